"""What jobs wait for: their inputs before they run, their tree and output after it.

https://documentation.dnanexus.com/user/running-apps-and-workflows/job-lifecycle
"""

from functools import partial

from local_platform.access import Caller
from local_platform.errors import ApiError
from local_platform.jobs import analyses, states
from local_platform.rules import links, spec
from local_platform.store import containers, entities, files, places
from local_platform.store.database import Store
from local_platform.strict_json import Hash


def look_for_input(store: Store, job: Hash) -> None:
    """Make a job runnable once everything it needs is there."""
    waits_for = [reference["job"] for reference in links.references(job["input"])]
    try:
        _check_circle(store, job, waits_for + job["dependsOn"])
        dependencies = [entities.get(store, one) for one in waits_for + job["dependsOn"]]
        needed = [analyses.current(store, one) for one in dependencies]
        objects = [entities.get(store, one) for one in links.object_ids(job["input"])]
    except (LookupError, ApiError) as error:
        states.fail(store, job, "DependencyUnsatisfiable", str(error))
        return
    for one in needed:
        if one.get("state") in ("failed", "partially_failed", "terminated"):
            states.fail(store, job, "DependencyUnsatisfiable", f"{one['id']} {one['state']}")
            return
    if any(one.get("state", "closed") not in ("done", "closed") for one in needed + objects):
        states.wait_for_input(store, job)
        return
    try:
        describe = partial(places.describe_oldest, store)
        values = links.resolve(job["input"], _outputs(store, job["input"]), describe)
        if job["outputFolder"]:
            executable = entities.get(store, job["executable"])
            spec.check_values(values, executable.get("inputSpec"), "input")
            spec.check_types(values, executable.get("inputSpec", []), describe)
    except (LookupError, ApiError) as error:
        states.fail(store, job, "InputError", str(error))
        return
    containers.share(store, links.object_ids(values), job["workspace"], "/")
    states.make_runnable(store, job, values)


def _check_circle(store: Store, job: Hash, waits_for: list[str]) -> None:
    """Raise LookupError if a job waits for itself, or for a job above it, which waits for it."""
    for one in {job["id"], *states.ancestors(store, job)}.intersection(waits_for):
        raise LookupError(f"it waits for {one}, which waits for it")


def _outputs(store: Store, value: object) -> dict[str, Hash]:
    """Return the outputs of the jobs that references in a value name."""
    named = {reference["job"] for reference in links.references(value)}
    return {job_id: entities.get(store, job_id)["output"] or {} for job_id in named}


def look_for_output(store: Store, job: Hash) -> None:
    """Finish a job once its tree below is done: resolve, check and hand over its output."""
    if any(member["state"] not in states.FINAL for member in states.subtree(store, job)[1:]):
        return
    try:
        # With the job's own rights: its output gives no access to what the job may not read.
        caller = Caller(store, job["id"])
        job["output"] = analyses.replace_references(caller, job["output"])
        caller.check_links(job["output"], "output")
        waits_for = [reference["job"] for reference in links.references(job["output"])]
        _check_circle(store, job, waits_for)
        if any(entities.get(store, one)["state"] not in states.FINAL for one in waits_for):
            return
        describe = partial(places.describe_oldest, store)
        output = links.resolve(job["output"], _outputs(store, job["output"]), describe)
        if job["outputFolder"]:
            executable = entities.get(store, job["executable"])
            spec.check_values(output, executable.get("outputSpec"), "output")
    except (LookupError, ApiError) as error:
        states.fail(store, job, "OutputError", str(error))
        return
    try:
        _close_files(store, links.object_ids(output))
    except ApiError as error:
        states.fail(store, job, "IncompleteUploads", str(error))
        return
    states.finish(store, job, output)


def _close_files(store: Store, object_ids: list[str]) -> None:
    """Close the files of an output that the program left open."""
    for object_id in object_ids:
        if entities.get(store, object_id)["state"] == "open" and object_id.startswith("file-"):
            files.close(store, object_id)
