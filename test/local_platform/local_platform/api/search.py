"""What every search shares: filters, pages, and the choice of fields in a description."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import re2

from local_platform.errors import InvalidInput
from local_platform.rules.fields import Fields
from local_platform.strict_json import Hash

LARGEST_PAGE = 1000
LONGEST_PATTERN = 1000
# A backslash makes the next character an ordinary one.
GLOB = re.compile(
    r"\\(?P<escaped>.)|(?P<many>\*+)|(?P<one>\?)"
    r"|\[(?P<not>!?)(?P<set>\]?[^\]]*)\]|(?P<plain>.)",
    re.DOTALL,
)

Test = Callable[[Hash], bool]
Found = tuple[int, Hash, Callable[[], Hash]]
"""What a search finds: its sequence number, its IDs, and what describes it."""


class Filter:
    """What a search asks of a description; all of it must hold.

    Raises:
        InvalidInput: a field of the query is malformed.
    """

    def __init__(self, query: Fields) -> None:
        """Read the filters that every search has: name, tags, types, properties and times."""
        self._tests: list[Test] = []
        if query.raw("name") is not None:
            matches = _name_test(query)
            self._tests.append(lambda found: matches(found["name"]))
        for field, labels in (("tag", "tags"), ("tags", "tags"), ("type", "types")):
            if (labelled := query.raw(field)) is not None:
                self._tests.append(_combined(labelled, _label_test(labels), field))
        if (properties := query.raw("properties")) is not None:
            self._tests.append(_combined(properties, _properties_test, "properties"))
        for field in ("created", "modified"):
            self._tests += _time_tests(query.within(field), field)

    def add(self, test: Test) -> None:
        """Ask one more thing."""
        self._tests.append(test)

    def add_exact(self, query: Fields, field: str) -> None:
        """Ask that a field is the one in the query, or one of those in it, if there is one."""
        if field not in query.body:
            return
        wanted = query.raw(field)
        values = wanted if isinstance(wanted, list) else [wanted]
        self._tests.append(lambda found: found[field] in values)

    def __call__(self, description: Hash) -> bool:
        """Tell whether all of it holds."""
        return all(test(description) for test in self._tests)


def plain_name(query: Fields) -> str | None:
    """Return the one name that a query asks for, if it is one: clients send most as globs."""
    name = query.raw("name")
    glob = name.get("glob") if isinstance(name, dict) else None
    if isinstance(glob, str) and len(glob) <= LONGEST_PATTERN:
        parts = list(GLOB.finditer(glob))
        plain = [part["escaped"] or part["plain"] for part in parts]
        name = "".join(plain) if all(plain) else None
    return name if isinstance(name, str) else None


def _name_test(query: Fields) -> Callable[[str], bool]:
    """Return a test for a name, {"glob": pattern} or {"regexp": pattern, "flags": "i"}."""
    wanted = query.raw("name")
    if isinstance(wanted, str):
        return lambda name: name == wanted
    pattern = query.within("name")
    glob, regexp = pattern.optional("glob", str), pattern.optional("regexp", str)
    case_sensitive = "i" not in pattern.field("flags", str, "")
    if glob is not None:
        _check_length(glob, "name")
        whole = _compile(_glob_to_regexp(glob), "name", case_sensitive, dot_nl=True)
        return lambda name: whole.fullmatch(name) is not None
    if regexp is not None:
        part = compiled(regexp, "name", case_sensitive)
        return lambda name: part.search(name) is not None
    raise query.expected("name", "a string, a glob or a regexp")


def compiled(expression: str, field: str, case_sensitive: bool = True) -> Any:
    """Return a regular expression that a field of a request holds.

    RE2 matches in linear time: no expression of one caller can hold up the others.

    Raises:
        InvalidInput: it is too long, invalid, or of a kind that RE2 does not have.
    """
    _check_length(expression, field)
    return _compile(expression, field, case_sensitive)


def _check_length(pattern: str, field: str) -> None:
    """Raise InvalidInput unless a pattern can be read in no time."""
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidInput(
            f'Expected the field "{field}" to have up to {LONGEST_PATTERN} characters'
        )


def _compile(expression: str, field: str, case_sensitive: bool, dot_nl: bool = False) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive, options.dot_nl = case_sensitive, dot_nl
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        raise InvalidInput(
            f'The field "{field}" holds a regexp that is invalid, or has look-around or'
            f" back-references, which are not served: {_words(error)}"
        ) from None


def _words(error: Exception) -> str:
    """Return what RE2 says, which it says in bytes."""
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _glob_to_regexp(glob: str) -> str:
    """Translate a glob."""

    def translate(match: re.Match[str]) -> str:
        if match["many"]:
            return ".*"
        if match["one"]:
            return "."
        if match["set"]:
            characters = re.sub(r"([\\\[\]^])", r"\\\1", match["set"])
            return f"[{'^' if match['not'] else ''}{characters}]"
        return str(re2.escape(match["escaped"] or match["plain"]))

    return GLOB.sub(translate, glob)


def _combined(condition: Any, make_test: Callable[[Any], Test | None], field: str) -> Test:
    """Return the test of a condition that may be combined with $and and $or."""
    if isinstance(condition, dict):
        for word, combine in (("$and", all), ("$or", any)):
            if isinstance(condition.get(word), list):
                tests = [_combined(part, make_test, field) for part in condition[word]]
                return lambda found: combine(test(found) for test in tests)
    test = make_test(condition)
    if test is None:
        raise InvalidInput(f'The field "{field}" holds a condition that is not understood')
    return test


def _label_test(labels: str) -> Callable[[Any], Test | None]:
    """Return what makes the test for one tag or type."""

    def make_test(label: Any) -> Test | None:
        if not isinstance(label, str):
            return None
        return lambda found: label in found.get(labels, [])

    return make_test


def _properties_test(wanted: Any) -> Test | None:
    """Return the test for properties: each has a value, or (true) is there."""
    if not isinstance(wanted, dict):
        return None
    return lambda found: all(
        name in found["properties"] and value in (True, found["properties"][name])
        for name, value in wanted.items()
    )


def _time_tests(limits: Fields, field: str) -> list[Test]:
    """Return the tests for a time in milliseconds: {"after", "before"}."""
    after, before = limits.optional("after", int), limits.optional("before", int)
    tests: list[Test] = []
    if after is not None:
        tests.append(lambda found: found[field] >= after)
    if before is not None:
        tests.append(lambda found: found[field] <= before)
    return tests


def start(query: Fields) -> int | None:
    """Return the sequence number that this page goes on after."""
    if query.raw("starting") is None:
        return None
    return query.within("starting").field("before", int)


def page(query: Fields, found: Iterable[Found]) -> Hash:
    """Return one page of what was found, described if that is asked for, and where to go on."""
    described = bool(query.raw("describe"))
    limit = query.field("limit", int, LARGEST_PAGE)
    if not 1 <= limit <= LARGEST_PAGE:
        raise query.expected("limit", f"from 1 to {LARGEST_PAGE}")
    results: list[Hash] = []
    last = None
    for seq, result, describe in found:
        if len(results) == limit:
            return {"results": results, "next": {"before": last}}
        results.append(result | ({"describe": describe()} if described else {}))
        last = seq
    return {"results": results, "next": None}


class Selection:
    """The fields asked for, in either of the dialects that clients speak.

    `{"fields": {name: true}}` names each field, `defaultFields` adds the usual ones; without
    "fields", the usual ones come, and `{name: true}` adds one that comes on demand only.
    """

    def __init__(self, options: Any, on_demand: Iterable[str] = ()) -> None:
        """Read what a request asks for; anything but a hash stands for the usual fields.

        Raises:
            InvalidInput: it is malformed.
        """
        asked = Fields(body=options if isinstance(options, dict) else {}, path="describe.")
        newer = "fields" in asked.body or "defaultFields" in asked.body
        names: Hash = asked.field("fields", dict, {}) if newer else asked.body
        self._usual = not newer or bool(asked.body.get("defaultFields"))
        self._named = ["id", *(name for name, want in names.items() if want is True)]
        dropped = {name for name, want in names.items() if newer and not want}
        self._left_out = dropped | set(on_demand).difference(self._named)

    def of(self, description: Hash) -> Hash:
        """Return the fields asked for.

        What is costly stands in a description as a function, called only if it is asked for.
        """
        if self._usual:
            names = [name for name in description if name not in self._left_out]
        else:
            names = [name for name in self._named if name in description]
        fields = ((name, description[name]) for name in names)
        return {name: value() if callable(value) else value for name, value in fields}
