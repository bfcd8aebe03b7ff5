"""Which records are counted, and what the inputs must be to say so."""

import shlex
from typing import Any, NamedTuple

import dxpy

from job_log import log

# Names of the FLAG bits, as `samtools flags` lists them.
FLAG_BITS = {
    "PAIRED": 1,
    "PROPER_PAIR": 2,
    "UNMAP": 4,
    "MUNMAP": 8,
    "REVERSE": 16,
    "MREVERSE": 32,
    "READ1": 64,
    "READ2": 128,
    "SECONDARY": 256,
    "QCFAIL": 512,
    "DUP": 1024,
    "SUPPLEMENTARY": 2048,
}


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

    @property
    def name(self) -> str:
        """What tells a file of these records by its name, such as `_q30_exclude2308`.

        Not -f and -F: two names that differ in case alone are one on some disks.
        """
        pairs = zip(("q", "require", "exclude"), self, strict=True)
        return "".join(f"_{word}{value}" for word, value in pairs if value)

    @property
    def contradiction(self) -> str | None:
        """Why no record can pass; None if one could."""
        names = [
            name for name, bit in FLAG_BITS.items() if bit & self.require_flags & self.exclude_flags
        ]
        if not names:
            return None
        return f"No record can pass: {','.join(names)} is both required and excluded."


# What a filter may be ("Sequence Alignment/Map Format Specification", 1.4).
LARGEST = Filters(min_mapping_quality=255, require_flags=4095, exclude_flags=4095)

MOST_MACHINES = 64


def read_filters(min_mapping_quality: int, require_flags: str, exclude_flags: str) -> Filters:
    """Read the inputs of these names.

    Raises:
        dxpy.AppError: one is not understood or out of its range; the message names the input.
    """
    filters = Filters(
        min_mapping_quality,
        parse_flags("require_flags", require_flags),
        parse_flags("exclude_flags", exclude_flags),
    )
    verify_filters(filters)
    return filters


def parse_flags(name: str, text: str) -> int:
    """Return the sum of FLAG bits that a text gives: as a number, or as names with commas.

    One number or names, as samtools view takes them: in `1,024` a comma would mean something else.

    Args:
        name: the input that the text is from.
        text: such as `2308`, `0x904` or `UNMAP,SECONDARY,SUPPLEMENTARY`; empty is 0.

    Raises:
        dxpy.AppError: it is neither; the message names the input.
    """
    words = [word.strip() for word in text.upper().split(",") if word.strip()]
    try:
        if len(words) == 1 and words[0] not in FLAG_BITS:
            return int(words[0], base=0)
        return sum({FLAG_BITS[word] for word in words})
    except (KeyError, ValueError):
        raise dxpy.AppError(
            f"{name} is {text!r}. Give a sum of FLAG bits, such as 2308, or their names, such as "
            f"UNMAP,SECONDARY,SUPPLEMENTARY. The names are {', '.join(FLAG_BITS)}."
        ) from None


def verify_filters(filters: Filters) -> None:
    """Verify that each filter is in its range.

    Raises:
        dxpy.AppError: one is not; the message names the input and the range.
    """
    for name, value, largest in zip(filters._fields, filters, LARGEST, strict=True):
        if not 0 <= value <= largest:
            raise dxpy.AppError(f"{name} is {value}. Give a number from 0 to {largest}.")


def verify_inputs(
    filters: Filters,
    count_from_index: bool,
    machines: int,
    index: dict[str, Any] | None,
    output_prefix: str,
) -> None:
    """Verify what the inputs say, before anything is downloaded.

    Raises:
        dxpy.AppError: they contradict one another, or one is out of its range.
    """
    if filters.contradiction:
        log(f"WARNING: {filters.contradiction}")
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
    if "/" in output_prefix:
        raise dxpy.AppError(
            f"output_prefix is {output_prefix!r}, and a file's name has no '/'. Leave that out; "
            "the folder of the outputs is chosen where the job is started (dx run --destination)."
        )
