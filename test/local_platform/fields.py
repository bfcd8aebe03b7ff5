"""What a client sent: each field is checked for its type as it is read."""

from dataclasses import dataclass
from typing import Any, TypeVar

from local_platform.errors import InvalidInput
from local_platform.strict_json import Hash

T = TypeVar("T")
REQUIRED: Any = object()
KIND_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    bool: "a boolean",
    dict: "a hash",
    list: "an array",
}


@dataclass(frozen=True, kw_only=True)
class Fields:
    """A hash of a request, and where it stands in it, for messages."""

    body: Hash
    path: str = ""

    def field(self, name: str, kind: type[T], default: T = REQUIRED) -> T:
        """Return a field.

        Raises:
            InvalidInput: it is missing and has no default, or is of another type.
        """
        value = self.optional(name, kind)
        if value is not None:
            return value
        if default is REQUIRED:
            raise InvalidInput(f'The field "{self.path}{name}" is missing')
        return default

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a field, or None when it is absent or null.

        Raises:
            InvalidInput: it is of another type.
        """
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidInput(f'Expected the field "{self.path}{name}" to be {KIND_NAMES[kind]}')
        return value
