"""What jobs wait for: their inputs before they run, their tree and output after it.

https://documentation.dnanexus.com/user/running-apps-and-workflows/job-lifecycle
"""

from local_platform import links, spec
from local_platform.api import file
from local_platform.api.job import FINAL, dependencies, set_state
from local_platform.call import Call
from local_platform.errors import ApiError
from local_platform.jobs.life import end, fail
from local_platform.store import Store


def wait_for_input(store: Store, job: dict) -> None:
    """Make a job runnable once everything it needs is there."""
    try:
        needed = [store.get(dependency) for dependency in dependencies(job)]
        objects = [store.get(one) for one in links.object_ids(job["input"])]
    except ApiError as error:
        fail(store, job, "DependencyUnsatisfiable", str(error))
        return
    for one in needed:
        if one.get("state") in ("failed", "terminated"):
            fail(store, job, "DependencyUnsatisfiable", f"{one['id']} {one['state']}")
            return
    if any(one.get("state", "closed") not in ("done", "closed") for one in needed + objects):
        if job["state"] == "idle":
            set_state(store, job, "waiting_on_input")
        return
    try:
        values = links.resolve(job["input"], _outputs(store, job["input"]))
        if job["outputFolder"]:
            executable = store.get(job["executable"])
            spec.check_values(values, executable.get("inputSpec"), "input")
    except (LookupError, ApiError) as error:
        fail(store, job, "InputError", str(error))
        return
    _clone(store, links.object_ids(values), job["workspace"], "/")
    set_state(store, job, "runnable", input=values)


def _outputs(store: Store, value: object) -> dict[str, dict]:
    """Return the outputs of the jobs that references in a value name."""
    named = {reference["job"] for reference in links.references(value)}
    return {job_id: store.get(job_id)["output"] or {} for job_id in named}


def finish(store: Store, job: dict) -> None:
    """End a job whose tree below is done: resolve, check and hand over its output."""
    try:
        # With the job's own rights: an output gives nobody access to what the job may not read.
        own = Call(store, job["id"], {}, job["id"])
        spec.check_links(own, job["output"], "output")
        references = links.references(job["output"])
        if any(store.get(reference["job"])["state"] not in FINAL for reference in references):
            return
        output = links.resolve(job["output"], _outputs(store, job["output"]))
        if job["outputFolder"]:
            executable = store.get(job["executable"])
            spec.check_values(output, executable.get("outputSpec"), "output")
    except (LookupError, ApiError) as error:
        fail(store, job, "OutputError", str(error))
        return
    try:
        _close_files(store, links.object_ids(output))
    except ApiError as error:
        fail(store, job, "IncompleteUploads", str(error))
        return
    if job["outputFolder"]:
        _clone(store, links.object_ids(output), *job["outputFolder"])
    end(store, job, "done", output=output)


def _close_files(store: Store, object_ids: list[str]) -> None:
    """Close the files of an output that the program left open."""
    for object_id in object_ids:
        if store.get(object_id)["state"] == "open" and object_id.startswith("file-"):
            file.finish(store, object_id)


def _clone(store: Store, object_ids: list[str], container: str, folder: str) -> None:
    """Put objects into a container under their own IDs, unless they are there."""
    for object_id in object_ids:
        if container not in [place.container for place in store.placements(object_id)]:
            store.place(object_id, container, folder)
