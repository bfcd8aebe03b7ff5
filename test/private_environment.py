"""Takes a person's own login and proxies out of the environment; import it before dxpy.

dxpy reads its configuration as it is imported. With LIVE_PROJECT set, for `make test-live`, the
login stays, and the end-to-end tests use it.
"""

import os
import tempfile

from local_platform.environment import is_foreign

LIVE_PROJECT = os.environ.get("LIVE_PROJECT")

if not LIVE_PROJECT:
    for name in filter(is_foreign, list(os.environ)):
        del os.environ[name]
    _CONFIGURATION = tempfile.TemporaryDirectory(prefix="dnanexus_config_")
    os.environ["DX_USER_CONF_DIR"] = _CONFIGURATION.name
