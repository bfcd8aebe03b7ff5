"""The stages of a workflow: what their inputs link to, and what a run replaces the links by.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

import re
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from local_platform.errors import InvalidInput
from local_platform.rules import links
from local_platform.strict_json import Hash

STAGE_ID = re.compile(r"([a-zA-Z_]|stage-)[0-9a-zA-Z_]*")
LINKS = (("stage", "outputField"), ("stage", "inputField"), ("workflowInputField",))
"""What a link in a workflow names, each with a string."""
MISSING = object()
"""In the place of a link to an input that a run leaves out."""


def link_target(value: Any) -> Hash | None:
    """Return what a value links to, if that is a field of a stage or an input of the workflow."""
    linked = links.target(value)
    if not isinstance(linked, dict):
        return None
    known = any(all(isinstance(linked.get(name), str) for name in names) for names in LINKS)
    return linked if known else None


def job_reference(job_id: str, field: str, asked: Hash) -> Hash:
    """Return a reference to the output of a job, or to that of it which another link asks for."""
    selected = {name: asked[name] for name in ("index", "metadata") if name in asked}
    return {links.LINK: {"job": job_id, "field": field} | selected}


def targets(value: Any) -> Iterator[Hash]:
    """Yield what each such link inside a value points to."""
    yield from (target for link in links.walk(value) if (target := link_target(link)))


def replace(value: Any, substitute: Callable[[Hash], Any]) -> Any:
    """Return a value with each link to a stage or to the workflow's input replaced.

    An array leaves out what is MISSING.
    """
    target = link_target(value)
    if target is not None:
        return substitute(target)
    if isinstance(value, dict):
        return {name: replace(item, substitute) for name, item in value.items()}
    if isinstance(value, list):
        items = [replace(item, substitute) for item in value]
        return [item for item in items if item is not MISSING]
    return value


def in_order(stages: list[Hash]) -> list[Hash]:
    """Return stages in an order in which each comes after those that its input links to.

    Raises:
        InvalidInput: a stage links to one that the workflow does not have, or two wait for each
            other.
    """
    by_id = {stage["id"]: stage for stage in stages}
    needs = {
        stage["id"]: {target["stage"] for target in targets(stage["input"]) if "stage" in target}
        for stage in stages
    }
    for stage_id, needed in needs.items():
        for missing in sorted(needed - by_id.keys()):
            raise InvalidInput(
                f'The stage "{stage_id}" links to "{missing}", which is not a stage of the workflow'
            )
    try:
        return [by_id[stage_id] for stage_id in TopologicalSorter(needs).static_order()]
    except CycleError as error:
        raise InvalidInput(f"The stages wait for each other: {', '.join(error.args[1])}") from None


def input_spec(stage: Hash, executable: Hash) -> list[Hash]:
    """Return the inputs of one stage as inputs of its workflow: `stage.name`.

    What the stage sets is the default; what it links to another stage may be left out.
    """
    entries = []
    for entry in executable.get("inputSpec", []):
        named = entry | {"name": f"{stage['id']}.{entry['name']}"}
        if entry["name"] in stage["input"]:
            value = stage["input"][entry["name"]]
            is_linked = any(True for _ in targets(value))
            named |= {"optional": True} if is_linked else {"default": value}
        entries.append(named)
    return entries


def output_spec(stage: Hash, executable: Hash) -> list[Hash]:
    """Return the outputs of one stage as outputs of its workflow: `stage.name`."""
    return [
        entry | {"name": f"{stage['id']}.{entry['name']}"}
        for entry in executable.get("outputSpec", [])
    ]


def check_output_sources(outputs: list[Hash]) -> None:
    """Check that each output of a workflow that has a source links to the output of a stage.

    Raises:
        InvalidInput: names the output at fault.
    """
    for entry in outputs:
        source = link_target(entry.get("outputSource"))
        if "outputSource" in entry and (source is None or "outputField" not in source):
            raise InvalidInput(
                f'Expected the "outputSource" of the output "{entry["name"]}" to be a link to the'
                " output of a stage"
            )


def output_sources(outputs: list[Hash]) -> dict[str, str]:
    """Return where the outputs of a workflow come from: their names, and `stage.name`."""
    sources = {entry["name"]: link_target(entry.get("outputSource")) for entry in outputs}
    return {
        name: f"{source['stage']}.{source['outputField']}"
        for name, source in sources.items()
        if source
    }


def incompatibilities(old: Hash, new: Hash) -> list[str]:
    """Return why one executable cannot take the place of another one in a stage."""
    reasons = []
    for what in ("input", "output"):
        before = {entry["name"]: entry for entry in old.get(f"{what}Spec", [])}
        after = {entry["name"]: entry for entry in new.get(f"{what}Spec", [])}
        for name, entry in before.items():
            if name not in after:
                reasons.append(f'The {what} "{name}" is missing')
            elif after[name]["class"] != entry["class"]:
                reasons.append(
                    f'The {what} "{name}" is of class {after[name]["class"]}, not {entry["class"]}'
                )
        if what == "input":
            reasons += [
                f'The input "{name}" is new and required'
                for name, entry in after.items()
                if name not in before and not entry.get("optional") and "default" not in entry
            ]
    return reasons


def join_folder(base: str, folder: str | None) -> str:
    """Return the output folder of a stage: absolute, or below that of the analysis."""
    if not folder:
        return base
    return folder if folder.startswith("/") else f"{base.rstrip('/')}/{folder}".rstrip("/")
