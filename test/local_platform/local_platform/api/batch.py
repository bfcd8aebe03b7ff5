"""Batches: many runs of one applet, planned from the names of files.

https://documentation.dnanexus.com/user/running-apps-and-workflows/running-batch-jobs
"""

from typing import Any

from local_platform.api.call import Call
from local_platform.api.search import compiled
from local_platform.errors import InvalidInput
from local_platform.rules import spec
from local_platform.store import places
from local_platform.strict_json import Hash


def generate_inputs(call: Call) -> Hash:
    """/system/generateBatchInputs: files for which a pattern's first group is the same are one run.

    Oldest first. A run that lacks an input, or has several files for one, has an "error".
    """
    project = call.container(call.field("project", str), "VIEW")["id"]
    patterns = {name: _pattern(call, name) for name in call.field("inputs", dict)}
    batches: dict[str, Hash] = {}
    for _, file in reversed([*places.search(call.store, [project], call.folder())]):
        if file["class"] != "file" or file["state"] != "closed" or file["hidden"]:
            continue
        for name, pattern in patterns.items():
            if match := pattern.search(file["name"]):
                batch = batches.setdefault(match[1] or "", {})
                files = batch.setdefault(name, {"name": file["name"], "ids": []})
                files["ids"].append(file["id"])
    return {
        "batchInputs": [_checked(key, inputs, set(patterns)) for key, inputs in batches.items()]
    }


def _pattern(call: Call, name: str) -> Any:
    """Return the regular expression for an input; its first group is the ID of the run."""
    inputs = call.within("inputs")
    pattern = compiled(inputs.field(name, str), f"{inputs.path}{name}")
    if not pattern.groups:
        raise inputs.expected(name, "a regular expression with a group in parentheses")
    return pattern


def _checked(key: str, inputs: Hash, wanted: set[str]) -> Hash:
    """Return one run of a batch, with an "error" unless it has one file for each input."""
    found: Hash = {"batchPattern": key, "inputs": inputs}
    if missing := sorted(wanted - inputs.keys()):
        return found | {"error": f"No file was found for {', '.join(missing)}"}
    if several := sorted(name for name, files in inputs.items() if len(files["ids"]) > 1):
        return found | {"error": f"Several files were found for {', '.join(several)}"}
    return found


def validate(call: Call) -> Hash:
    """/applet-x/validateBatch: the input of each run, checked as a run checks it.

    Raises:
        InvalidInput: columns of different lengths, or an input that is refused.
    """
    # The files and instance types of all runs together, which are checked run by run.
    call.ignore("files", "instanceTypes")
    applet = call.described(call.object_id)
    columns: Hash = call.field("batchInput", dict)
    common: Hash = call.field("commonInput", dict, {})
    lengths = {len(column) for column in columns.values() if isinstance(column, list)}
    if len(lengths) != 1 or not all(isinstance(column, list) for column in columns.values()):
        raise call.expected("batchInput", "a hash of arrays of one length, an input each")
    runs = [
        common | {name: column[number] for name, column in columns.items()}
        for number in range(lengths.pop())
    ]
    for number, values in enumerate(runs, 1):
        _check_run(call, applet, number, values)
    return {"expandedBatch": runs}


def _check_run(call: Call, applet: Hash, number: int, values: Hash) -> None:
    """Check the input of one run of a batch."""
    values = spec.with_defaults(values, applet.get("inputSpec", []))
    try:
        spec.check_values(values, applet.get("inputSpec"), "input")
        call.check_links(values, "input")
    except InvalidInput as error:
        raise InvalidInput(f"Run {number} of the batch: {error}") from None
