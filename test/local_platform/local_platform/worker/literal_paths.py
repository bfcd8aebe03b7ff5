"""Finds the places of a worker that a program names itself, not through $HOME."""

import ast
import re
from collections.abc import Iterator

# Not as a part of another path, nor as the path within a container (-v folder:/data).
PLACE = re.compile(r"""(?<![\w.~/}$)*:-])/(?:home/dnanexus|data)(?![\w.-])""")
COMMENT = re.compile(r"(^|\s)#.*")


def find(code: str, interpreter: str) -> tuple[int, str] | None:
    """Return the number of the first line that names such a place, and the place."""
    texts = _commands(code) if interpreter == "bash" else _strings(code)
    found = ((number, PLACE.search(text)) for number, text in texts)
    return next(((number, match[0]) for number, match in found if match), None)


def _commands(code: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a bash program without their comments."""
    for number, line in enumerate(code.splitlines(), 1):
        yield number, COMMENT.sub("", line)


def _strings(code: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a Python program that are more than remarks."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError):
        # The interpreter says it better.
        return
    remarks = [node.value for node in nodes if isinstance(node, ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in remarks:
            yield node.lineno, node.value
