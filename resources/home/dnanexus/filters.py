"""Which records are counted."""

import shlex
from typing import Any, NamedTuple

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

    def describe_command(self, bam_name: str, region: str) -> str:
        """Return the command that counts the records of a region, as a person can run it."""
        # In braces a name is what it is, though it looks like a range of positions.
        quoted = f"{{{region}}}" if {":", ","} & set(region) or region == "." else region
        name = f"./{bam_name}" if bam_name.startswith("-") else bam_name
        return shlex.join(["samtools", "view", "-c", *self.options, name, quoted])


# What a filter may be ("Sequence Alignment/Map Format Specification", 1.4).
LARGEST = Filters(min_mapping_quality=255, require_flags=4095, exclude_flags=4095)

MOST_MACHINES = 64


def verify_filters(filters: Filters) -> None:
    """Verify that each filter is in its range.

    Raises:
        dxpy.AppError: one is not; the message names the input and the range.
    """
    for name, value, largest in zip(filters._fields, filters, LARGEST, strict=True):
        if not 0 <= value <= largest:
            raise dxpy.AppError(f"{name} is {value}. Give a number from 0 to {largest}.")


def verify_inputs(
    filters: Filters, count_from_index: bool, machines: int, index: dict[str, Any] | None
) -> None:
    """Verify what the inputs say, before anything is downloaded.

    Raises:
        dxpy.AppError: they contradict one another, or one is out of its range.
    """
    verify_filters(filters)
    if not 1 <= machines <= MOST_MACHINES:
        raise dxpy.AppError(f"machines is {machines}. Give a number from 1 to {MOST_MACHINES}.")
    if count_from_index and machines > 1:
        raise dxpy.AppError(
            "Counts from the index need one machine only. Leave out machines or count_from_index."
        )
    if count_from_index and filters.options:
        raise dxpy.AppError(
            "An index has no counts of filtered records. Leave out count_from_index or the filters."
        )
    if count_from_index and not index:
        raise dxpy.AppError(
            "There is no index to take the counts from. "
            "Give mappings_sorted_bai, or leave count_from_index off."
        )
