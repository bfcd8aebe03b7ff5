"""Which records are counted."""

from typing import NamedTuple

import dxpy


class Filters(NamedTuple):
    """Which records are counted: those that pass each filter. 0 lets all pass."""

    min_mapping_quality: int = 0
    """Least MAPQ."""
    require_flags: int = 0
    """Sum of FLAG bits that must all be set."""
    exclude_flags: int = 0
    """Sum of FLAG bits of which none may be set."""

    @property
    def options(self) -> list[str]:
        """The options of samtools view that say so."""
        pairs = zip(("-q", "-f", "-F"), self, strict=True)
        return [word for option, value in pairs if value for word in (option, str(value))]


# What a filter may be ("Sequence Alignment/Map Format Specification", 1.4).
LARGEST = Filters(min_mapping_quality=255, require_flags=4095, exclude_flags=4095)


def verify_filters(filters: Filters) -> None:
    """Verify that each filter is in its range.

    Raises:
        dxpy.AppError: one is not; the message names the input and the range.
    """
    for name, value, largest in zip(filters._fields, filters, LARGEST, strict=True):
        if not 0 <= value <= largest:
            raise dxpy.AppError(f"{name} is {value}. Give a number from 0 to {largest}.")
