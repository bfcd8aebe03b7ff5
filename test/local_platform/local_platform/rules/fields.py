"""What a client sent: each field is checked for its type as it is read."""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from local_platform.errors import InvalidInput, MalformedJSON
from local_platform.strict_json import Hash, LimitError, parse

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
    read: set[str] = dataclasses.field(default_factory=set)
    """Paths of the fields that were read; "x." and "x[]" were looked into."""

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
        return self._checked(name, kind, self.raw(name))

    def _checked(self, name: str, kind: type[T], value: Any) -> T | None:
        """Return the value of a field, which must be absent, null, or of a type."""
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.expected(name, KIND_NAMES[kind])
        return value

    def raw(self, name: str, default: Any = None) -> Any:
        """Return a field of any type, or the default when it is absent."""
        self.read.add(self.path + name)
        return self.body.get(name, default)

    def ignore(self, *names: str) -> None:
        """Take fields that have no effect here; the README's list of simplifications says so."""
        self.read.update(self.path + name for name in names)

    def whole(self) -> Hash:
        """Return all fields; they count as read."""
        self.ignore(*self.body)
        return self.body

    def unread(self) -> list[str]:
        """Return the paths of the fields that were not read."""
        return list(_unread(self.body, self.path, self.read))

    def one_of(self, name: str, allowed: tuple[str, ...], default: str = REQUIRED) -> str:
        """Return a field that is one of a few words."""
        value = self.field(name, str, default)
        if value not in allowed:
            raise self.expected(name, " or ".join(allowed))
        return value

    def strings(self, name: str, default: list[str] = REQUIRED) -> list[str]:
        """Return a field that is an array of strings."""
        values: list[Any] = self.field(name, list, default)
        if not all(isinstance(value, str) for value in values):
            raise self.expected(name, "an array of strings")
        return values

    def folder(self, name: str = "folder", default: str = "/") -> str:
        """Return a field that holds the absolute path of a folder."""
        path = self.field(name, str, default)
        if not path.startswith("/"):
            raise self.expected(name, "an absolute path")
        return "/" + re.sub("/+", "/", path).strip("/")

    def within(self, name: str) -> "Fields":
        """Return a nested hash as Fields, empty if absent."""
        return self._inner(f"{self.path}{name}.", self._look_into(name, dict, ".") or {})

    def each(self, name: str) -> Iterator["Fields"]:
        """Yield the fields of each hash in an array, which may be absent."""
        for position, item in enumerate(self._look_into(name, list, "[]") or []):
            path = f"{self.path}{name}[{position}]"
            if not isinstance(item, dict):
                raise InvalidInput(f'Expected the field "{path}" to be a hash')
            yield self._inner(f"{path}.", item)

    def hashes(self) -> Iterator[tuple[str, "Fields"]]:
        """Yield the name and the fields of each field, which must be a hash."""
        for name in self.body:
            yield name, self.within(name)

    def _inner(self, path: str, body: Hash) -> "Fields":
        return Fields(body=body, path=path, read=self.read)

    def _look_into(self, name: str, kind: type[T], mark: str) -> T | None:
        """Return a field whose own fields are yet to be read."""
        self.read.add(f"{self.path}{name}{mark}")
        return self._checked(name, kind, self.body.get(name))

    def expected(self, name: str, what: str) -> InvalidInput:
        """Return the refusal of a field that is not what it must be."""
        return InvalidInput(f'Expected the field "{self.path}{name}" to be {what}')


def _unread(body: Hash, path: str, read: set[str]) -> Iterator[str]:
    """Yield the paths of the fields in a hash that were not read."""
    for name, value in body.items():
        here = f"{path}{name}"
        if value is None or here in read:
            continue
        if f"{here}." in read:
            yield from _unread(value, f"{here}.", read)
        elif f"{here}[]" in read:
            for position, item in enumerate(value):
                yield from _unread(item, f"{here}[{position}].", read)
        else:
            yield here


def json_of(content: bytes) -> Any:
    """Return the JSON that a client sent.

    Raises:
        MalformedJSON: the body is not JSON.
        InvalidInput: the body is JSON, but exceeds a limit of the platform.
    """
    try:
        return parse(content)
    except LimitError as error:
        raise InvalidInput(f"The body cannot be taken: {error}") from None
    except ValueError as error:
        raise MalformedJSON(f"The body is not JSON: {error}") from None


def hash_of(content: bytes) -> Hash:
    """Return the hash that a client sent.

    Raises:
        MalformedJSON: the body is not a JSON object.
        InvalidInput: the body is JSON, but exceeds a limit of the platform.
    """
    body = json_of(content)
    if not isinstance(body, dict):
        raise MalformedJSON("The body is not a JSON object")
    return body
