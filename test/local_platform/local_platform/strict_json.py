"""JSON as the API takes it: nothing that JSON has no word for, nothing that cannot be kept."""

import json
import re
from typing import Any

Hash = dict[str, Any]
"""A JSON object, by the name that the API's documentation gives it."""

# Larger ones would hold up everybody else while they are read.
LARGEST_TEXT = 16 * 2**20
LARGEST_DEPTH = 100
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class LimitError(ValueError):
    """A text is JSON, but more than this platform keeps; the message says what."""


def parse(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        LimitError: it is nested too deep, or holds a number or a character that cannot be kept.
        ValueError: it is not JSON in UTF-8; NaN and Infinity are not.
    """
    text = content.decode()
    too_deep = LimitError(f"it is nested more than {LARGEST_DEPTH} levels deep")
    try:
        value = json.loads(
            text, parse_int=_integer, parse_float=_real, parse_constant=_not_a_number
        )
    except RecursionError:
        raise too_deep from None
    if text.count("[") + text.count("{") > LARGEST_DEPTH and _is_deep(value):
        raise too_deep
    if SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise LimitError("it holds half of a surrogate pair, which is no character") from None
    return value


def _integer(digits: str) -> int:
    """Return an integer that SQLite, and other languages, can hold."""
    if len(digits) > 20 or not -(2**63) <= (value := int(digits)) < 2**63:
        raise LimitError(f"it holds an integer of {len(digits)} digits, which is more than 64 bits")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise LimitError(f"it holds the number {digits[:20]}, which is too large")
    return value


def _not_a_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _is_deep(value: Any) -> bool:
    """Tell whether a value has more levels than are kept."""
    level = [value]
    for _ in range(LARGEST_DEPTH + 1):
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                children += item.values()
            elif isinstance(item, list):
                children += item
        level = children
    return bool(level)
