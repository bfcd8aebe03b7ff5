"""Projects and jobs' workspaces: what they have in common, and what they take.

https://documentation.dnanexus.com/developer/api/data-containers
"""

from local_platform.store import entities, folders, places
from local_platform.store.database import Store, now
from local_platform.store.entities import new_id
from local_platform.strict_json import Hash

USER = "user-local"
EVERYBODY = "PUBLIC"
"""In the permissions of a project that every job can read."""
DEFAULT_REGION = "aws:us-east-1"
EVERYWHERE = "any region"
"""The region of what stands in for objects of the service."""
MINIMUM_PART_SIZE = 5 * 2**20
MAXIMUM_PART_SIZE = 5 * 2**30
MAXIMUM_PARTS = 10_000
# The figures of a project on AWS.
UPLOAD_PARAMETERS = {
    "minimumPartSize": MINIMUM_PART_SIZE,
    "maximumPartSize": MAXIMUM_PART_SIZE,
    "maximumNumParts": MAXIMUM_PARTS,
    "maximumFileSize": 5 * 2**40,
    "emptyLastPartAllowed": True,
}


# What the service makes of a project's flags is not done here: they are kept and shown.
FLAGS = (
    "protected",
    "restricted",
    "downloadRestricted",
    "externalUploadRestricted",
    "previewViewerRestricted",
    "containsPHI",
    "databaseUIViewOnly",
)


def create(
    store: Store,
    class_name: str,
    name: str,
    region: str,
    container_id: str | None = None,
    **fields: object,
) -> str:
    """Make an empty project or container and return its ID; its region stays what it is."""
    container_id = container_id or new_id(class_name)
    time = now()
    description: Hash = {
        "id": container_id,
        "class": class_name,
        "name": name,
        "summary": "",
        "description": "",
        "region": region,
        "billTo": USER,
        "created": time,
        "modified": time,
        "createdBy": {"user": USER},
        **dict.fromkeys(FLAGS, False),
        "allowedExecutables": None,
        "databaseResultsRestricted": None,
        "tags": [],
        "properties": {},
        "permissions": {USER: "ADMINISTER"},
    }
    entities.save(store, description | fields)
    folders.add(store, container_id, "/")
    return container_id


def regions(store: Store, object_id: str) -> set[str]:
    """Return the regions in which a data object lies."""
    return {entities.get(store, holder)["region"] for holder in places.holders(store, object_id)}


def empty(store: Store, container_id: str, folder: str = "/") -> None:
    """Take everything out of a folder and those below it."""
    for place in places.contents(store, container_id, folder):
        places.remove(store, place.object, container_id)


def destroy(store: Store, container_id: str) -> None:
    """Remove a container with what lies in no other."""
    empty(store, container_id)
    entities.delete(store, container_id)


def share(store: Store, object_ids: list[str], container_id: str, folder: str) -> None:
    """Put objects into a container under their own IDs, unless they are there."""
    for object_id in object_ids:
        found = places.of(store, object_id)
        if container_id not in [place.container for place in found]:
            metadata = found[0].metadata if found else {}
            places.put(store, object_id, container_id, folder, metadata)
