"""What an applet or a run says of a job's machine, time and restarts, checked.

https://documentation.dnanexus.com/developer/api/running-analyses/io-and-run-specifications
"""

import re
from collections.abc import Callable

from local_platform.errors import InvalidInput
from local_platform.rules.fields import Fields
from local_platform.strict_json import Hash

# Families and core counts; v1 types are retired, but stand in the applets that people have:
# https://documentation.dnanexus.com/developer/api/running-analyses/instance-types
INSTANCE_TYPE = re.compile(
    r"((azure|oci):)?mem[1-5]_(ssd|hdd)[1-3](_(gpu|GPU|fpga)[1-8]?)?(_v(2|3|3i|A10))?"
    r"_x(1|2|4|8|12|16|20|24|30|32|36|40|48|60|64|72|96|128|192)"
)
UNIT_MILLISECONDS = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000}
LARGEST_AMOUNT = 100_000
EXECUTABLES = ("applet-", "app-", "workflow-", "globalworkflow-")


def durations(asked: Fields) -> Hash:
    """Return time limits by entry point, each {"days", "hours", "minutes"}."""
    for entry_point, limit in asked.hashes():
        for unit, amount in limit.whole().items():
            number = isinstance(amount, int | float) and not isinstance(amount, bool)
            if unit not in UNIT_MILLISECONDS or not number or not 0 <= amount <= LARGEST_AMOUNT:
                raise asked.expected(entry_point, f"a hash of {', '.join(UNIT_MILLISECONDS)}")
    return asked.whole()


def milliseconds(limit: Hash) -> float:
    """Return a time limit in milliseconds."""
    return float(sum(UNIT_MILLISECONDS[unit] * amount for unit, amount in limit.items()))


def restarts(asked: Fields) -> Hash:
    """Return an execution policy: how often which failure restarts a job."""
    counts = asked.within("restartOn")
    given = [counts.field(reason, int) for reason in counts.body]
    if min([*given, asked.field("maxRestarts", int, 0)]) < 0:
        raise InvalidInput(f'Expected the field "{asked.path[:-1]}" to hold no negative number')
    return asked.whole()


def machines(asked: Fields) -> Hash:
    """Return system requirements by entry point."""
    for _, requirement in asked.hashes():
        wanted = requirement.optional("instanceType", str)
        if wanted is not None and not INSTANCE_TYPE.fullmatch(wanted):
            raise requirement.expected(
                "instanceType", f"an instance type such as mem1_ssd1_v2_x4, not {wanted!r}"
            )
    return asked.whole()


def by_executable(asked: Fields, field: str, check: Callable[[Fields], Hash]) -> Hash:
    """Return what a field asks for by executable, and then by entry point."""
    given = asked.within(field)
    for name in given.body:
        if name != "*" and not name.startswith(EXECUTABLES):
            raise given.expected(name, 'the requirements of an executable\'s ID, or of "*"')
    return {name: check(one) for name, one in given.hashes()}


def merge_by_executable(below: Hash, above: Hash) -> Hash:
    """Merge what a job and its parent ask for by executable: what the parent asks comes first."""
    return {name: below.get(name, {}) | above.get(name, {}) for name in below | above}


def merge(below: Hash, above: Hash) -> Hash:
    """Return requirements by entry point: `above`, and of those below it what it leaves open.

    What `above` asks of every entry point ("*") holds also for those that `below` names.
    """
    everywhere = above.get("*", {})
    merged = {
        name: {field: value for field, value in one.items() if field not in everywhere}
        for name, one in below.items()
    }
    for name, one in above.items():
        merged[name] = merged.get(name, {}) | one
    return {name: one for name, one in merged.items() if one}
