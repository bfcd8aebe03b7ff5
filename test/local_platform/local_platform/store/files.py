"""Files and their bytes: parts, and the signed URLs by which they come and go.

https://documentation.dnanexus.com/developer/api/introduction-to-data-object-classes/files
"""

import hashlib
import hmac
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from local_platform.errors import InvalidState, PermissionDenied
from local_platform.store import entities, parts, places
from local_platform.store.containers import MINIMUM_PART_SIZE
from local_platform.store.database import Store, now

SIGNATURE_HEADER = "X-DX-Signature"
SIGNATURE_LENGTH = 64
"""Hexadecimal digits of a SHA-256."""


@dataclass(frozen=True)
class Part:
    """What an upload URL was signed for; size in bytes."""

    file: str
    number: int
    size: int
    md5: str


def upload_path(part: Part, expires: int) -> str:
    """Return the path to be signed for one part, until a time in milliseconds."""
    return f"U/{expires}/{part.file}/{part.number}/{part.size}/{part.md5}"


def download_path(file_id: str, name: str, expires: int, mark: str) -> str:
    """Return the path to be signed for a file, until a time in milliseconds.

    The mark tells one path from another for the same file and time.
    """
    return f"D/{expires}/{mark}/{file_id}/{quote(name, safe='', errors='replace')}"


def sign(store: Store, path: str) -> str:
    """Return the signature of a path."""
    return hmac.new(store.url_key, path.encode(), hashlib.sha256).hexdigest()


def with_signature(store: Store, path: str) -> str:
    """Return a path that holds its own signature, and still ends in the file's name."""
    kind, _, rest = path.partition("/")
    return f"{kind}/{sign(store, path)}/{rest}"


def split_signature(path: str) -> tuple[str, str]:
    """Return a path as it was signed, and the signature that it holds or ""."""
    kind, _, rest = path.partition("/")
    signature, _, signed = rest.partition("/")
    return (f"{kind}/{signed}", signature) if len(signature) == SIGNATURE_LENGTH else (path, "")


def expected_part(store: Store, path: str, signature: str) -> Part:
    """Return the part that a PUT on this path may bring.

    Raises:
        PermissionDenied: the path was altered, or has expired.
        InvalidState: the file is no longer open.
    """
    file_id, number, size, md5 = _verified(store, path, signature)
    entities.require_open(store, file_id)
    return Part(file_id, int(number), int(size), md5)


def keep_part(store: Store, part: Part, received: Path) -> None:
    """Move a received part to its place; only then is it complete."""
    entities.require_open(store, part.file)
    parts.keep(store, received, part.file, part.number)
    parts.save(store, part.file, part.number, part.size, part.md5, "complete")


def readable_parts(store: Store, path: str, signature: str) -> list[tuple[Path, int]]:
    """Return the parts behind a download path, as files and sizes in bytes.

    Raises:
        PermissionDenied: the path was altered, or has expired.
        ResourceNotFound: the file was removed meanwhile.
    """
    _, file_id, _ = _verified(store, path, signature)
    entities.get(store, file_id)
    found = parts.of(store, file_id)
    return [(parts.path_of(store, file_id, number), part["size"]) for number, part in found.items()]


def media_type(store: Store, path: str) -> str:
    """Return the media type of the file behind a download path that was verified."""
    return str(entities.get(store, path.split("/")[-2])["media"])


def close(store: Store, file_id: str) -> None:
    """Close a file; there is nothing to assemble, so "closing" is never seen.

    Raises:
        InvalidState: a part has not arrived, or one before the last is too small.
    """
    found = parts.of(store, file_id)
    for number, part in found.items():
        if part["state"] != "complete":
            raise InvalidState(f"Part {number} of {file_id} has not been uploaded")
        if part["size"] < MINIMUM_PART_SIZE and number != max(found):
            raise InvalidState(
                f"Part {number} of {file_id} is smaller than {MINIMUM_PART_SIZE} bytes"
            )
    description = entities.get(store, file_id)
    name = places.describe_oldest(store, file_id)["name"]
    # A name is no URL, whatever it looks like.
    guessed = mimetypes.guess_type(f"./{name}")[0] or "application/octet-stream"
    changes = {
        "state": "closed",
        "size": sum(part["size"] for part in found.values()),
        "media": description.get("media", guessed),
        "modified": now(),
    }
    entities.save(store, description | changes)


def _verified(store: Store, path: str, signature: str) -> list[str]:
    """Return the elements of a signed path after its kind and time of expiry."""
    given = signature.encode(errors="surrogatepass")
    if not hmac.compare_digest(sign(store, path).encode(), given):
        raise PermissionDenied("The signature of this URL does not match it")
    _, expires, *elements = path.split("/")
    if int(expires) < now():
        raise PermissionDenied("This URL has expired")
    return elements
