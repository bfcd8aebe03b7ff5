"""Stand-ins: local files in the place of objects that only the service has.

A line says which: `ID = PATH`. The ID is one of these; a record stands for an asset.

    file-xxxx    record-xxxx    project-xxxx:file-xxxx    project-xxxx:record-xxxx
    project-xxxx:/folder/name
    project-xxxx:/folder/name version 1.0.0    an asset by its name

Without a path the stand-in is empty: a file without bytes, an asset that installs nothing.
"""

import hashlib
import os
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from local_platform.store import containers, entities, parts, places
from local_platform.store.database import Store, now
from local_platform.strict_json import Hash

LINE = re.compile(
    r"((?P<project>project-\w{24}):)?"
    r"((?P<id>(file|record)-\w{24})"
    r"|(?<=:)(?P<name>/[^=]*?[^=/\s])( version (?P<version>\S+))?)"
    r"\s*=\s*(?P<path>.*)"
)
FILE_NAME = "stand_ins.txt"
"""The file in the state folder whose lines are read when a platform starts."""
PROJECT = "project-StandIns0000000000000000"
"""Holds the stand-ins of objects whose project is not named."""


class LineError(ValueError):
    """A line does not have the form of a stand-in."""


@dataclass(frozen=True)
class StandIn:
    """One line."""

    project: str
    object: str
    """An ID, or the absolute path of a file or an asset in the project."""
    version: str | None
    """The version of an asset that is found by its name; None: the object is anything else."""
    path: Path | None
    """The local file; None: empty."""


def read(line: str, folder: Path) -> StandIn:
    """Return what a line says; a relative path starts from a folder.

    Raises:
        LineError: it does not have the form of a stand-in.
        OSError: there is no such file.
    """
    match = LINE.fullmatch(line.strip())
    if match is None:
        raise LineError(
            f"{line.strip()!r} is no stand-in. Write ID = PATH, or ID = for an empty one; the ID is"
            " file-xxxx, record-xxxx or project-xxxx:/folder/name, with all its 24 characters; for"
            " an asset, `version 1.0.0` may follow the name"
        )
    path = folder / Path(match["path"]).expanduser() if match["path"] else None
    if path:
        path.open("rb").close()
    project, wanted = match["project"] or PROJECT, match["id"] or match["name"]
    return StandIn(project, wanted, match["version"], path)


def read_file(store: Store) -> list[StandIn]:
    """Return the stand-ins in the state folder's file, if it is there.

    Raises:
        LineError: a line does not have the form of a stand-in.
        OSError: there is no such file.
    """
    file = store.root / FILE_NAME
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    return [read(line, store.root) for line in kept]


def add(store: Store, stand_in: StandIn) -> None:
    """Put a stand-in into its project, which everybody can read, in place of an earlier one."""
    with store.transaction():
        if entities.find(store, stand_in.project) is None:
            containers.create(
                store,
                "project",
                "Stand-ins" if stand_in.project == PROJECT else f"Stand-in of {stand_in.project}",
                containers.EVERYWHERE,
                container_id=stand_in.project,
                permissions={containers.USER: "ADMINISTER", containers.EVERYBODY: "VIEW"},
            )
        if stand_in.object.startswith("/"):
            _put_by_name(store, stand_in)
        elif stand_in.object.startswith("record-"):
            _put_asset(store, stand_in.object, stand_in, "/", f"asset {stand_in.object}")
        else:
            name = stand_in.path.name if stand_in.path else stand_in.object
            _put_file(store, stand_in.object, stand_in, "/", name)


def advice(store: Store, object_id: str, name: str = "/folder/name") -> str:
    """Return the sentence that tells how to go on without something that the service has.

    Args:
        store: the state that does not have it.
        object_id: its ID, or that of its project.
        name: in a project, what follows the ID.
    """
    which = f"{object_id}:{name}" if object_id.startswith("project-") else object_id
    return (
        f"If the service has it, give it a stand-in: start the platform with --stand-in"
        f" '{which} = PATH', or with that line in {store.root / FILE_NAME}. PATH is a local file;"
        " without one, the stand-in is empty"
    )


def _put_by_name(store: Store, stand_in: StandIn) -> None:
    """Put what has a path in its project, and no ID in its line."""
    folder, _, name = stand_in.object.rpartition("/")
    put, class_name = (_put_asset, "record") if stand_in.version else (_put_file, "file")
    put(store, _derived_id(class_name, stand_in), stand_in, folder or "/", name)


def _derived_id(class_name: str, stand_in: StandIn) -> str:
    """Return an ID for something that has none in its line, always the same."""
    text = f"{stand_in.project}:{stand_in.object} {stand_in.version}"
    return f"{class_name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _put_asset(store: Store, record: str, stand_in: StandIn, folder: str, name: str) -> None:
    """Put a record as dx build_asset makes it, and the archive that it links to."""
    archive = _derived_id("file", stand_in)
    empty = f"{name}, an empty stand-in that installs nothing"
    archive_name = stand_in.path.name if stand_in.path else empty
    _put_file(store, archive, stand_in, folder, archive_name, hidden=True)
    fields = {
        "name": name,
        "types": ["AssetBundle"],
        "properties": {"version": stand_in.version} if stand_in.version else {},
        "details": {"archiveFileId": {"$dnanexus_link": archive}},
    }
    _put(store, record, stand_in.project, folder, fields)


def _put_file(
    store: Store, file_id: str, stand_in: StandIn, folder: str, name: str, hidden: bool = False
) -> None:
    """Put a closed file with the bytes of the local one, unless it is there already."""
    stamp = None
    if stand_in.path:
        status = stand_in.path.stat()
        stamp = [str(stand_in.path), status.st_size, status.st_mtime_ns]
    before = entities.find(store, file_id)
    if stamp and before and before.get("standIn") == stamp:
        return
    received = store.incoming / file_id
    if stand_in.path:
        _link_or_copy(stand_in.path, received)
    elif hidden:
        # An archive.
        tarfile.open(received, "w:gz").close()
    else:
        received.touch()
    size, digest = received.stat().st_size, hashlib.md5(usedforsecurity=False)
    with received.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    parts.keep(store, received, file_id, 1)
    parts.save(store, file_id, 1, size, digest.hexdigest(), "complete")
    fields = {"name": name, "hidden": hidden, "size": size, "standIn": stamp}
    _put(store, file_id, stand_in.project, folder, fields)


def _link_or_copy(source: Path, target: Path) -> None:
    """Put a file's bytes elsewhere, at no cost where the disk is the same."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _put(store: Store, object_id: str, project: str, folder: str, fields: Hash) -> None:
    """Put a closed object into a project."""
    usual = {
        "id": object_id,
        "class": object_id.partition("-")[0],
        "state": "closed",
        "hidden": False,
        "created": now(),
        "modified": now(),
        "createdBy": {"user": containers.USER},
        "types": [],
        "tags": [],
        "properties": {},
        "details": {},
        "sponsored": False,
    }
    media = {"media": "application/octet-stream"} if object_id.startswith("file-") else {}
    entities.save(store, usual | media | fields)
    places.put(store, object_id, project, folder)
