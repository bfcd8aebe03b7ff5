"""Input and output specifications: are they well formed, and do values conform to them?

https://documentation.dnanexus.com/developer/api/running-analyses/io-and-run-specifications
"""

import json
import re
from collections.abc import Callable
from typing import Any

from local_platform.errors import InvalidInput
from local_platform.rules import links
from local_platform.strict_json import Hash

NAME = re.compile(r"[a-zA-Z_][0-9a-zA-Z_]*\Z")
OBJECT_CLASSES = ("file", "record", "applet")
CLASSES = ("int", "float", "string", "boolean", "hash", *OBJECT_CLASSES)
INPUT_ONLY = ("default", "choices", "suggestions")


def check_spec(spec: Any, field: str) -> None:
    """Check an inputSpec or outputSpec when an applet is made.

    Raises:
        InvalidInput: names the field and entry at fault.
    """
    if not isinstance(spec, list):
        raise InvalidInput(f'Expected the field "{field}" to be an array')
    names = set()
    for position, entry in enumerate(spec):
        where = f'the field "{field}[{position}]'
        if not isinstance(entry, dict):
            raise InvalidInput(f'Expected {where}" to be a hash')
        name = entry.get("name")
        if not isinstance(name, str) or not NAME.match(name):
            raise InvalidInput(f'Expected {where}.name" to be letters, digits and underscores')
        if name in names:
            raise InvalidInput(f'{where}.name" repeats the name "{name}"')
        names.add(name)
        if str(entry.get("class")).removeprefix("array:") not in CLASSES:
            raise InvalidInput(f'Expected {where}.class" to be a class, not {entry.get("class")!r}')
        if not isinstance(entry.get("optional", False), bool):
            raise InvalidInput(f'Expected {where}.optional" to be a boolean')
        if not _is_type(entry.get("type", "")):
            raise InvalidInput(f'Expected {where}.type" to be a type, or types in $and and $or')
        for key in INPUT_ONLY:
            if field == "outputSpec" and key in entry:
                raise InvalidInput(f'{where}.{key}" is for inputs only')
        _check_choices(entry, where)


def check_types(values: Hash, spec: list[Hash], describe: Callable[[str], Hash]) -> None:
    """Check that linked data objects have the types that their inputs ask for.

    Raises:
        InvalidInput: names the input and the object at fault.
    """
    for entry in spec:
        for object_id in links.object_ids(values.get(entry["name"])) if "type" in entry else ():
            if not _has_type(describe(object_id)["types"], entry["type"]):
                wanted = json.dumps(entry["type"])
                raise InvalidInput(
                    f'the input "{entry["name"]}": {object_id} is not of type {wanted}'
                )


def _has_type(types: list[str], wanted: Any) -> bool:
    """Tell whether types meet a type, or types that are combined with $and and $or."""
    if isinstance(wanted, str):
        return wanted in types
    return all(_has_type(types, one) for one in wanted.get("$and", [])) and (
        "$or" not in wanted or any(_has_type(types, one) for one in wanted["$or"])
    )


def _is_type(wanted: Any) -> bool:
    """Tell whether something is a type, or a combination of types."""
    if isinstance(wanted, dict) and wanted and wanted.keys() <= {"$and", "$or"}:
        return all(isinstance(some, list) and all(map(_is_type, some)) for some in wanted.values())
    return isinstance(wanted, str)


def _check_choices(entry: Hash, where: str) -> None:
    """Check that choices and default have the class of their input, and agree."""
    choices = entry.get("choices")
    if choices is not None:
        if not isinstance(choices, list) or not choices:
            raise InvalidInput(f'Expected {where}.choices" to be a non-empty array')
        one = entry["class"].removeprefix("array:")
        if not all(conforms(choice, one) for choice in choices):
            raise InvalidInput(f'Expected each of {where}.choices" to be of class {one}')
    default = entry.get("default")
    if default is None:
        # Written out, null says the same as nothing.
        return
    if not conforms(default, entry["class"]):
        raise InvalidInput(f'Expected {where}.default" to be of class {entry["class"]}')
    if not _among(default, entry):
        raise InvalidInput(f'Expected {where}.default" to be one of its choices')


def conforms(value: Any, class_name: str) -> bool:
    """Tell whether a value is of a class; a reference to a job's output may be of any."""
    if links.reference(value):
        return True
    if class_name.startswith("array:"):
        one = class_name.removeprefix("array:")
        return isinstance(value, list) and all(conforms(item, one) for item in value)
    if class_name in OBJECT_CLASSES:
        return (links.object_id(value) or "").startswith(class_name + "-")
    if class_name == "boolean":
        return isinstance(value, bool)
    if class_name == "int":
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole and not isinstance(value, bool)
    if class_name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "hash": dict}[class_name])


def _among(value: Any, entry: Hash) -> bool:
    """Tell whether a value, or each item of it, is among the entry's choices."""
    choices = entry.get("choices")
    if choices is None:
        return True
    items = value if entry["class"].startswith("array:") and isinstance(value, list) else [value]
    return all(item in choices or links.reference(item) for item in items)


def with_defaults(values: Hash, spec: list[Hash]) -> Hash:
    """Return an input with the defaults of what was left out."""
    defaults = {entry["name"]: entry.get("default") for entry in spec}
    return {name: value for name, value in defaults.items() if value is not None} | values


def check_values(values: Hash, spec: list[Hash] | None, what: str) -> None:
    """Check an "input" or "output" against its specification; without one anything goes.

    Raises:
        InvalidInput: names the field at fault.
    """
    if spec is None:
        return
    entries = {entry["name"]: entry for entry in spec}
    for name in values:
        if name not in entries:
            raise InvalidInput(f'the {what} "{name}" is not in the {what}Spec')
    for name, entry in entries.items():
        if name not in values:
            if not entry.get("optional", False):
                raise InvalidInput(f'the required {what} "{name}" is missing')
        elif not conforms(values[name], entry["class"]):
            raise InvalidInput(f'the {what} "{name}" is not of class {entry["class"]}')
        elif not _among(values[name], entry):
            allowed = ", ".join(str(choice) for choice in entry["choices"])
            raise InvalidInput(f'the {what} "{name}" is not one of its choices: {allowed}')
