"""What the tests of this folder share."""

import private_environment  # noqa: F401 - before dxpy reads a person's login

pytest_plugins = ["platform_fixtures"]
