"""Who calls, and what this caller may reach.

Levels: https://documentation.dnanexus.com/developer/api/data-containers/project-api-methods
"""

from dataclasses import dataclass

from local_platform.errors import (
    InvalidAuthentication,
    InvalidInput,
    PermissionDenied,
    ResourceNotFound,
)
from local_platform.rules import links
from local_platform.store import containers, entities, places, stand_ins, tokens
from local_platform.store.database import Store
from local_platform.store.places import Placement
from local_platform.strict_json import Hash

# What a job may do in its own project, and in all others, if its applet says nothing of them.
USUAL_ACCESS = {"project": "VIEW", "allProjects": "NONE"}
OTHER_ACCESS = ("projectCreation", "developer")
LEVELS = ("NONE", "VIEW", "UPLOAD", "CONTRIBUTE", "ADMINISTER")


@dataclass(frozen=True)
class Caller:
    """The user, or a job with the rights of its own token."""

    store: Store
    job_id: str | None = None

    @classmethod
    def with_token(cls, store: Store, scheme: object, token: object) -> "Caller":
        """Return the caller that a token belongs to.

        Raises:
            InvalidAuthentication: the token is unknown, or its job is not running.
        """
        known, job_id = tokens.holder(store, token) if isinstance(token, str) else (False, None)
        if scheme != "Bearer" or not known:
            raise InvalidAuthentication("The token could not be found")
        return cls(store, job_id)

    def level(self, container_id: str) -> str:
        """Return what the caller may do in a project or workspace."""
        container = entities.find(self.store, container_id)
        if container is None or container["class"] not in ("project", "container"):
            return "NONE"
        if self.job_id is None:
            return "ADMINISTER" if container["class"] == "project" else "VIEW"
        job = entities.get(self.store, self.job_id)
        if container_id == job["workspace"]:
            return "CONTRIBUTE"
        if container_id == job["project"]:
            return str(job["access"].get("project", USUAL_ACCESS["project"]))
        if container["class"] == "project":
            public = container["permissions"].get(containers.EVERYBODY, "NONE")
            given = job["access"].get("allProjects", USUAL_ACCESS["allProjects"])
            return str(max(public, given, key=LEVELS.index))
        return "NONE"

    def at_most_own(self, access: Hash) -> Hash:
        """Return rights cut down to those that the caller has; the user has all."""
        if self.job_id is None:
            return access
        own = entities.get(self.store, self.job_id)["access"]
        networks = [
            one for one in access.get("network", []) if {one, "*"} & {*own.get("network", [])}
        ]
        levels = {
            field: min(access.get(field, usual), own.get(field, usual), key=LEVELS.index)
            for field, usual in USUAL_ACCESS.items()
        }
        others = {
            right: access.get(right, False) and own.get(right, False) for right in OTHER_ACCESS
        }
        return access | levels | others | {"network": networks}

    def container(self, container_id: str, level: str) -> Hash:
        """Return a project or workspace in which the caller has at least this level.

        Raises:
            ResourceNotFound: there is no such container.
            PermissionDenied: the caller may not do this there.
        """
        container = entities.find(self.store, container_id)
        if container is None:
            raise self._missing(container_id)
        if container["class"] not in ("project", "container"):
            raise ResourceNotFound(f'The entity "{container_id}" is not a project or container')
        if not self._has(level, container_id):
            raise PermissionDenied(f"{level} permission is required in {container_id}")
        return container

    def placement(self, object_id: str, level: str = "VIEW", hint: str | None = None) -> Placement:
        """Return a place that gives the caller a level on a data object, preferably the hinted one.

        A wrong hint is ignored, as on the service: clients copy it from links.

        Raises:
            ResourceNotFound: there is no such object.
            PermissionDenied: none of its places gives the caller this level.
        """
        found = places.of(self.store, object_id)
        if not found:
            raise self._missing(object_id)
        if level != "VIEW":
            # A job's workspace also holds its inputs: these can be changed in their project only.
            found = [place for place in found if place.container.startswith("project-")] or found
        enough = [place for place in found if self._has(level, place.container)]
        if not enough:
            raise PermissionDenied(f"{level} permission is required on {object_id}")
        return next((place for place in enough if place.container == hint), enough[0])

    def _missing(self, object_id: str) -> ResourceNotFound:
        """Return the error for a missing object; a job's error says how to give it a stand-in."""
        refusal = f"The entity {object_id} could not be found"
        if self.job_id and object_id.startswith(("file-", "record-", "project-")):
            refusal += f". {stand_ins.advice(self.store, object_id)}"
        return ResourceNotFound(refusal)

    def described(self, object_id: str, hint: str | None = None) -> Hash:
        """Return the description of a data object in a place through which the caller reaches it.

        Raises:
            ResourceNotFound: there is no such object.
            PermissionDenied: the caller may not see it.
        """
        return places.describe(self.store, self.placement(object_id, "VIEW", hint))

    def _has(self, level: str, container_id: str) -> bool:
        """Tell whether the caller has at least this level in a project or workspace."""
        return LEVELS.index(self.level(container_id)) >= LEVELS.index(level)

    def job(self, job_id: str) -> Hash:
        """Return a job that the caller may see: the user any, a job those of its own tree.

        Raises:
            ResourceNotFound: there is no such job.
            PermissionDenied: it belongs to another tree.
        """
        job = self.execution(job_id)
        if job["class"] != "job":
            raise ResourceNotFound(f'The entity "{job_id}" is not a job')
        return job

    def execution(self, execution_id: str) -> Hash:
        """Return a job or an analysis that the caller may see.

        Raises:
            ResourceNotFound: there is none.
            PermissionDenied: it belongs to another tree.
        """
        execution = entities.get(self.store, execution_id)
        if execution["class"] not in ("job", "analysis"):
            raise ResourceNotFound(f'The entity "{execution_id}" is not an execution')
        if self.job_id:
            own = entities.get(self.store, self.job_id)
            if own["rootExecution"] != execution["rootExecution"]:
                raise PermissionDenied(f"{execution_id} is not part of this job's tree")
        return execution

    def check_links(self, values: Hash, what: str) -> None:
        """Check that every object and job linked to exists, and that the caller may read it.

        Raises:
            InvalidInput: names the field and the link at fault.
            PermissionDenied: the link is good, but not for this caller.
        """
        for name, value in values.items():
            jobs = [reference["job"] for reference in links.references(value)]
            for linked in links.object_ids(value) + jobs:
                if entities.find(self.store, linked) is None:
                    refusal = f'the {what} "{name}": {linked} could not be found'
                    if linked.startswith(("file-", "record-")):
                        refusal += f". {stand_ins.advice(self.store, linked)}"
                    raise InvalidInput(refusal)
            for object_id in links.object_ids(value):
                self.placement(object_id)
            for job_id in jobs:
                self.job(job_id)
