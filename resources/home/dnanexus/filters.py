"""Which records are counted."""

from typing import NamedTuple

import dxpy

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
