"""/file: uploaded in parts, closed, read in ranges.

https://documentation.dnanexus.com/developer/api/introduction-to-data-object-classes/files
"""

import re
import secrets

from local_platform.api import data_object
from local_platform.api.call import Call
from local_platform.errors import InvalidInput, InvalidState, ResourceNotFound
from local_platform.store import entities, files, parts, places
from local_platform.store.containers import MAXIMUM_PART_SIZE, MAXIMUM_PARTS
from local_platform.store.database import now
from local_platform.strict_json import Hash

DAY = 24 * 60 * 60
DAY_MILLISECONDS = DAY * 1000


def new(call: Call) -> Hash:
    """/file/new."""
    media = call.optional("media", str)
    return data_object.create(call, "file", "open", {"media": media} if media else {})


def upload(call: Call) -> Hash:
    """/file-x/upload: a URL for one part, whose size and md5 are fixed by it."""
    call.placement(call.object_id, "UPLOAD")
    entities.require_open(call.store, call.object_id)
    number = call.field("index", int, 1)
    size = call.field("size", int)
    md5 = call.field("md5", str)
    if not 1 <= number <= MAXIMUM_PARTS:
        raise InvalidInput(f'Expected the field "index" to be from 1 to {MAXIMUM_PARTS}')
    if not 0 <= size <= MAXIMUM_PART_SIZE:
        raise InvalidInput(f'Expected the field "size" to be from 0 to {MAXIMUM_PART_SIZE}')
    if not re.fullmatch("[0-9a-f]{32}", md5):
        raise InvalidInput('Expected the field "md5" to be 32 hexadecimal digits')
    parts.save(call.store, call.object_id, number, size, md5, "pending")
    expires = now() + DAY_MILLISECONDS
    path = files.upload_path(files.Part(call.object_id, number, size, md5), expires)
    return {
        "url": f"{call.base_url}/F/{path}",
        "headers": {files.SIGNATURE_HEADER: files.sign(call.store, path)},
        "expires": expires,
    }


def close(call: Call) -> Hash:
    """/file-x/close."""
    call.placement(call.object_id, "UPLOAD")
    if entities.get(call.store, call.object_id)["state"] != "closed":
        files.close(call.store, call.object_id)
    return {"id": call.object_id}


def download(call: Call) -> Hash:
    """/file-x/download: a URL that works alone if preauthenticated, else with its header."""
    description = call.described(call.object_id, _project(call))
    if description["state"] != "closed":
        raise InvalidState(f"{call.object_id} is not closed: it cannot be downloaded")
    name = call.field("filename", str, description["name"])
    duration = call.field("duration", int, DAY) * 1000
    if call.field("preauthenticated", bool, False):
        expires = now() + duration
        path = files.download_path(call.object_id, name, expires, secrets.token_hex(8))
        url = f"{call.base_url}/F/{files.with_signature(call.store, path)}"
        return {"url": url, "headers": {}, "expires": expires}
    # At the end of the next day: clients that ask twice are given the same URL.
    expires = (now() // DAY_MILLISECONDS + 2) * DAY_MILLISECONDS
    path = files.download_path(call.object_id, name, expires, "plain")
    signature = files.sign(call.store, path)
    return {"url": f"{call.base_url}/F/{path}", "headers": {files.SIGNATURE_HEADER: signature}}


def _project(call: Call) -> str | None:
    """Return the project through which a file is to be downloaded, if one is named.

    Raises:
        ResourceNotFound: the file does not lie there. (A description does not mind.)
    """
    project = call.optional("project", str)
    if project is not None:
        call.container(project, "VIEW")
        if project not in places.holders(call.store, call.object_id):
            raise ResourceNotFound(f"{call.object_id} could not be found in {project}")
    return project
