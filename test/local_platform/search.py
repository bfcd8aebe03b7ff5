"""What every search shares: filters, pages, and the choice of fields in a description."""

import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import Any

from local_platform.errors import InvalidInput
from local_platform.strict_json import Hash

LARGEST_PAGE = 1000


def matches_name(wanted: Any, name: str) -> bool:
    """Match a name against a string, {"glob": pattern} or {"regexp": pattern, "flags": "i"}."""
    if isinstance(wanted, str):
        return name == wanted
    if isinstance(wanted, dict) and isinstance(wanted.get("glob"), str):
        return re.match(_glob_to_regexp(wanted["glob"]), name) is not None
    if isinstance(wanted, dict) and isinstance(wanted.get("regexp"), str):
        flags = re.IGNORECASE if "i" in wanted.get("flags", "") else 0
        try:
            return re.search(wanted["regexp"], name, flags) is not None
        except re.error as error:
            raise InvalidInput(f'The field "name" holds an invalid regexp: {error}') from None
    raise InvalidInput('Expected the field "name" to be a string, a glob or a regexp')


def _glob_to_regexp(glob: str) -> str:
    """Translate a glob in which a backslash makes the next character an ordinary one."""
    literal = re.compile(r"\\(.)", re.DOTALL)
    return fnmatch.translate(
        literal.sub(lambda match: f"[{match[1]}]" if match[1] in "*?[" else match[1], glob)
    )


def matches_labels(query: Hash, description: Hash) -> bool:
    """Match tags, types, properties and the times of creation and change."""
    for field, labels in (("tag", "tags"), ("tags", "tags"), ("type", "types")):
        held = description.get(labels, [])
        if field in query and not _holds(query[field], held.__contains__):
            return False
    properties = description.get("properties", {})
    if "properties" in query and not _holds(
        query["properties"],
        lambda pairs: all(
            name in properties and value in (True, properties[name])
            for name, value in pairs.items()
        ),
    ):
        return False
    return all(
        query.get(field, {}).get("after", 0) <= description[field]
        and description[field] <= query.get(field, {}).get("before", description[field])
        for field in ("created", "modified")
    )


def _holds(condition: Any, test: Callable[[Any], bool]) -> bool:
    """Evaluate a condition that may be combined with $and and $or."""
    if isinstance(condition, dict) and "$and" in condition:
        return all(_holds(part, test) for part in condition["$and"])
    if isinstance(condition, dict) and "$or" in condition:
        return any(_holds(part, test) for part in condition["$or"])
    return test(condition)


def one_of(wanted: Any, value: Any) -> bool:
    """Match a value against one wanted value or a list of them."""
    return value in wanted if isinstance(wanted, list) else value == wanted


def start(query: Hash) -> int | None:
    """Return the sequence number that this page goes on after."""
    starting = query.get("starting")
    if starting is None:
        return None
    if not isinstance(starting, dict) or not isinstance(starting.get("before"), int):
        raise InvalidInput('The field "starting" is not a "next" that a search returned')
    return int(starting["before"])


def page(query: Hash, found: Iterable[tuple[int, Hash]]) -> Hash:
    """Return one page of (sequence number, result), and where the next one starts."""
    limit = query.get("limit", LARGEST_PAGE)
    if not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise InvalidInput(f'Expected the field "limit" to be from 1 to {LARGEST_PAGE}')
    results: list[Hash] = []
    last = None
    for seq, result in found:
        if len(results) == limit:
            return {"results": results, "next": {"before": last}}
        results.append(result)
        last = seq
    return {"results": results, "next": None}


def select(description: Hash, options: Any, on_demand: Iterable[str] = ()) -> Hash:
    """Return the fields asked for, in either of the dialects that clients speak.

    `{"fields": {name: true}}` names each field, `defaultFields` adds the usual ones; without
    "fields", the usual ones come, and `{name: true}` adds one that comes on demand only.
    """
    options = options if isinstance(options, dict) else {}
    usual = description.keys() - set(on_demand)
    if "fields" in options or "defaultFields" in options:
        fields = options.get("fields", {})
        wanted = usual if options.get("defaultFields") else {"id"}
        wanted = wanted | {name for name, want in fields.items() if want}
        wanted = wanted - {name for name, want in fields.items() if not want}
    else:
        wanted = usual | {name for name, want in options.items() if want is True}
    return {name: value for name, value in description.items() if name in wanted}
