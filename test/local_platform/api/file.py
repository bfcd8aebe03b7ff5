"""/file: uploaded in parts, closed, read in ranges.

https://documentation.dnanexus.com/developer/api/introduction-to-data-object-classes/files

Bytes travel by GET and PUT on URLs that this module signs; server.py streams them.
"""

import hashlib
import hmac
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from local_platform.api import data_object
from local_platform.api.project import MAXIMUM_PART_SIZE, MAXIMUM_PARTS, MINIMUM_PART_SIZE
from local_platform.call import Call
from local_platform.errors import InvalidInput, InvalidState, PermissionDenied
from local_platform.store import Store, now

DAY = 24 * 60 * 60
SIGNATURE_HEADER = "X-DX-Signature"


@dataclass(frozen=True)
class Part:
    """What an upload URL was signed for; size in bytes."""

    file: str
    number: int
    size: int
    md5: str


def new(call: Call) -> dict:
    """/file/new."""
    extra = {"media": call.body["media"]} if call.field("media", str, None) else {}
    return {"id": data_object.create(call, "file", "open", extra)["id"]}


def upload(call: Call) -> dict:
    """/file-x/upload: a URL for one part, whose size and md5 are fixed by it."""
    call.placement(call.object_id, "UPLOAD")
    _require_open(call.store, call.object_id)
    number = call.field("index", int, 1)
    size = call.field("size", int)
    md5 = call.field("md5", str)
    if not 1 <= number <= MAXIMUM_PARTS:
        raise InvalidInput(f'Expected the field "index" to be from 1 to {MAXIMUM_PARTS}')
    if not 0 <= size <= MAXIMUM_PART_SIZE:
        raise InvalidInput(f'Expected the field "size" to be from 0 to {MAXIMUM_PART_SIZE}')
    if not re.fullmatch("[0-9a-f]{32}", md5):
        raise InvalidInput('Expected the field "md5" to be 32 hexadecimal digits')
    call.store.save_part(call.object_id, number, size, md5, "pending")
    expires = now() + DAY * 1000
    path = f"U/{expires}/{call.object_id}/{number}/{size}/{md5}"
    return {
        "url": f"{call.base_url}/F/{path}",
        "headers": {SIGNATURE_HEADER: sign(call.store, path)},
        "expires": expires,
    }


def expected_part(store: Store, path: str, signature: str) -> Part:
    """Return the part that a PUT on this path may bring.

    Raises:
        PermissionDenied: the path was altered, or has expired.
        InvalidState: the file is no longer open.
    """
    file_id, number, size, md5 = _verified(store, path, signature)
    _require_open(store, file_id)
    return Part(file_id, int(number), int(size), md5)


def keep_part(store: Store, part: Part, received: Path) -> None:
    """Move a received part to its place; only then is it complete."""
    _require_open(store, part.file)
    path = store.part_path(part.file, part.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    received.replace(path)
    store.save_part(part.file, part.number, part.size, part.md5, "complete")


def close(call: Call) -> dict:
    """/file-x/close: there is nothing to assemble, so "closing" is never seen."""
    call.placement(call.object_id, "UPLOAD")
    if call.store.get(call.object_id)["state"] != "closed":
        finish(call.store, call.object_id)
    return {"id": call.object_id}


def finish(store: Store, file_id: str) -> None:
    """Close a file.

    Raises:
        InvalidState: a part has not arrived, or one before the last is too small.
    """
    parts = store.parts(file_id)
    for number, part in parts.items():
        if part["state"] != "complete":
            raise InvalidState(f"Part {number} of {file_id} has not been uploaded")
        if part["size"] < MINIMUM_PART_SIZE and number != max(parts):
            raise InvalidState(
                f"Part {number} of {file_id} is smaller than {MINIMUM_PART_SIZE} bytes"
            )
    description = store.get(file_id)
    guessed = mimetypes.guess_type(description["name"])[0] or "application/octet-stream"
    changes = {
        "state": "closed",
        "size": sum(part["size"] for part in parts.values()),
        "media": description.get("media", guessed),
        "modified": now(),
    }
    store.save(description | changes)


def download(call: Call) -> dict:
    """/file-x/download: a URL that works alone if preauthenticated, else with its header."""
    call.placement(call.object_id, "VIEW", call.field("project", str, None))
    description = call.store.get(call.object_id)
    if description["state"] != "closed":
        raise InvalidState(f"{call.object_id} is not closed: it cannot be downloaded")
    expires = now() + call.field("duration", int, DAY) * 1000
    name = quote(call.field("filename", str, description["name"]), safe="", errors="replace")
    path = f"D/{expires}/{call.object_id}/{name}"
    signature = sign(call.store, path)
    if call.field("preauthenticated", bool, False):
        url = f"{call.base_url}/F/{path}?signature={signature}"
        return {"url": url, "headers": {}, "expires": expires}
    return {"url": f"{call.base_url}/F/{path}", "headers": {SIGNATURE_HEADER: signature}}


def readable_parts(store: Store, path: str, signature: str) -> list[tuple[Path, int]]:
    """Return the parts behind a download path, as files and sizes in bytes.

    Raises:
        PermissionDenied: the path was altered, or has expired.
        ResourceNotFound: the file was removed meanwhile.
    """
    file_id, _ = _verified(store, path, signature)
    store.get(file_id)
    parts = store.parts(file_id)
    return [(store.part_path(file_id, number), part["size"]) for number, part in parts.items()]


def sign(store: Store, path: str) -> str:
    """Return the signature of a path."""
    key = store.setting("url_key").encode()
    return hmac.new(key, path.encode(), hashlib.sha256).hexdigest()


def _verified(store: Store, path: str, signature: str) -> list[str]:
    """Return the elements of a signed path after its kind and time of expiry."""
    if not hmac.compare_digest(sign(store, path).encode(), signature.encode()):
        raise PermissionDenied("The signature of this URL does not match it")
    _, expires, *elements = path.split("/")
    if int(expires) < now():
        raise PermissionDenied("This URL has expired")
    return elements


def _require_open(store: Store, file_id: str) -> None:
    if store.get(file_id)["state"] != "open":
        raise InvalidState(f"{file_id} is closed: no part can be added")
