"""JSON as the API takes and gives it."""

from typing import Any

Hash = dict[str, Any]
"""A JSON object, by the name that the API's documentation gives it."""
