"""What was asked: the fields of one call, and who calls."""

from dataclasses import dataclass

from local_platform.access import Caller
from local_platform.errors import InvalidInput
from local_platform.rules.fields import Fields
from local_platform.strict_json import Hash


@dataclass(frozen=True, kw_only=True)
class Call(Caller, Fields):
    """What every handler is given."""

    object_id: str
    base_url: str
    command: str = ""
    """The sub-command of dx that calls, as in "build"; empty if it is not dx."""

    def properties(self) -> dict[str, str]:
        """Return the field "properties" of the request: strings, without the nulls."""
        properties: Hash = self.field("properties", dict, {})
        given = {name: value for name, value in properties.items() if value is not None}
        for name, value in given.items():
            if not isinstance(value, str):
                raise InvalidInput(f'Expected the property "{name}" to be a string')
        return given
