"""DNAnexus on 127.0.0.1, for the unmodified dx and dxpy: see README.md."""

__version__ = "0.2.0"
