"""The errors of the API: each class is named as its `error.type` on the wire.

Status codes and types: https://documentation.dnanexus.com/developer/api/protocols#errors
"""

from local_platform.strict_json import Hash

# ruff: noqa: N818 - these are the names on the wire


class ApiError(Exception):
    """A refusal that reaches the client as an error body; the message says what to do."""

    status = 422

    def __init__(self, message: str, details: Hash | None = None) -> None:
        """Prepare a refusal; `details` is what a client reads of it beside the message."""
        super().__init__(message)
        self.details = details or {}

    def body(self) -> Hash:
        """Return the JSON that the clients turn into the exception of the same name."""
        details = {"details": self.details} if self.details else {}
        return {"error": {"type": type(self).__name__, "message": str(self), **details}}


class MalformedJSON(ApiError):
    """The body is not a JSON object."""

    status = 400


class InvalidAuthentication(ApiError):
    """The token is missing, unknown or destroyed."""

    status = 401


class PermissionDenied(ApiError):
    """The token is good, but does not reach this object. The service answers 401 here too."""

    status = 401


class ResourceNotFound(ApiError):
    """No such object, folder or route."""

    status = 404


class InvalidInput(ApiError):
    """A field of the request is missing, mistyped or unknown."""


class InvalidState(ApiError):
    """The object's state does not allow this."""
