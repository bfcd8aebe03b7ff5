"""What drives a platform from a test or a script: its process, the real clients, faults."""

COMPLAINT = "complaint: "
"""How the lines that a platform prints for tests begin: what it could not do, as JSON."""


class PlatformError(Exception):
    """A platform could not start, could not be reached, or could not do what was asked."""


class UnexpectedEndError(AssertionError):
    """A command or a job did not end as expected; the message says how it ended."""
