"""`python -m local_platform.testing`: a platform for one run of tests, with faults on request.

The command line is the ordinary one. It ends with the process that started it, which must hold
its standard input open.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from local_platform.__main__ import main
from local_platform.testing.faults import FOLDER_VARIABLE, Injector


def end_with_parent() -> None:
    """Wait until standard input is closed, which a killed parent does too, and end."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(main([Injector(Path(os.environ[FOLDER_VARIABLE])).spoil]))
