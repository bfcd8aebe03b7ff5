"""Links inside inputs, outputs and details: to data objects, and to outputs of jobs.

A job-based object reference stands for a value that a job has yet to produce:
https://documentation.dnanexus.com/developer/api/running-analyses/job-input-and-output
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local_platform.strict_json import Hash

LINK = "$dnanexus_link"
JOB_ID = re.compile(r"job-[0-9A-Za-z]{24}\Z")
OBJECT_ID = re.compile(r"(file|applet|record|workflow|database)-[0-9A-Za-z]{24}\Z")


def target(value: Any) -> Any:
    """Return what a link points to, or None when the value is no link."""
    if isinstance(value, dict) and value.keys() == {LINK}:
        return value[LINK]
    return None


def object_id(value: Any) -> str | None:
    """Return the data object a value links to, if it does."""
    linked = target(value)
    if isinstance(linked, dict):
        linked = linked.get("id")
    return linked if isinstance(linked, str) and OBJECT_ID.match(linked) else None


def reference(value: Any) -> Hash | None:
    """Return {"job", "field", "index"?, "metadata"?} when a value is a job-based object reference.

    It may stand without a link around it: dx-jobutil-add-output --class=jobref writes it so.
    """
    linked = value if _is_bare_reference(value) else target(value)
    if not isinstance(linked, dict) or not isinstance(linked.get("index", 0), int):
        return None
    names = (linked.get("job"), linked.get("field"))
    return linked if all(isinstance(name, str) for name in names) else None


def _is_bare_reference(value: Any) -> bool:
    """Tell whether a hash has the fields of a reference and no others."""
    return (
        isinstance(value, dict)
        and {"job", "field"} <= value.keys() <= {"job", "field", "index", "metadata"}
        and bool(JOB_ID.match(str(value["job"])))
    )


def walk(value: Any) -> Iterator[Any]:
    """Yield every link and reference inside a value, at any depth."""
    if target(value) is not None or reference(value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def object_ids(value: Any) -> list[str]:
    """Return every data object linked to inside a value, once each, in order."""
    found = (object_id(link) for link in walk(value))
    return list(dict.fromkeys(one for one in found if one))


def references(value: Any) -> list[Hash]:
    """Return every job-based object reference inside a value."""
    found = (reference(link) for link in walk(value))
    return [one for one in found if one]


def resolve(value: Any, outputs: dict[str, Hash], describe: Callable[[str], Hash]) -> Any:
    """Replace the references inside a value by the outputs of the jobs they name.

    A reference that stands in an array and yields an array is flattened into it.

    Args:
        value: what may contain references.
        outputs: outputs of all jobs that it names.
        describe: returns the description of a data object; a reference may ask for its name.

    Raises:
        LookupError: a job has no output field, no item, or no metadata, of that name.
    """
    wanted = reference(value)
    if wanted:
        found = _selected(wanted, outputs[wanted["job"]])
        if "metadata" not in wanted:
            return found
        named = object_id(found)
        if named is None or wanted["metadata"] != "name":
            raise LookupError(f'{_place(wanted)} has no metadata "{wanted["metadata"]}"')
        return describe(named)["name"]
    if target(value) is not None:
        return value
    if isinstance(value, dict):
        return {name: resolve(item, outputs, describe) for name, item in value.items()}
    if isinstance(value, list):
        items: list[Any] = []
        for item in value:
            resolved = resolve(item, outputs, describe)
            flatten = reference(item) and isinstance(resolved, list)
            items += resolved if flatten else [resolved]
        return items
    return value


def _selected(wanted: Hash, output: Hash) -> Any:
    """Return the field, or the item of it, that a reference names."""
    found = output.get(wanted["field"])
    if found is None:
        raise LookupError(f'{wanted["job"]} has no output field "{wanted["field"]}"')
    if "index" not in wanted:
        return found
    if not isinstance(found, list) or not 0 <= wanted["index"] < len(found):
        raise LookupError(f"{_place(wanted)} has no item {wanted['index']}")
    return found[wanted["index"]]


def _place(wanted: Hash) -> str:
    return f'the output field "{wanted["field"]}" of {wanted["job"]}'
