"""Reads the inputs other than files, and verifies them before anything is downloaded."""

import shlex
from typing import NamedTuple

import dxpy

# Names of the FLAG bits, from 1 to 2048, as `samtools flags` lists them.
_NAMES = (
    *("PAIRED", "PROPER_PAIR", "UNMAP", "MUNMAP", "REVERSE", "MREVERSE", "READ1", "READ2"),
    *("SECONDARY", "QCFAIL", "DUP", "SUPPLEMENTARY"),
)
FLAG_BITS = {name: 1 << number for number, name in enumerate(_NAMES)}

# "Sequence Alignment/Map Format Specification", 1.4.
LARGEST_MAPPING_QUALITY, LARGEST_FLAGS = 255, 4095

MOST_MACHINES = 64


class Filters(NamedTuple):
    """Which records are counted: those that pass all filters. 0 means no filter."""

    min_mapping_quality: int = 0
    require_flags: int = 0
    """Sum of FLAG bits that must all be set."""
    exclude_flags: int = 0
    """Sum of FLAG bits that must all be unset."""

    @property
    def view_options(self) -> list[str]:
        """The filters as options of samtools view."""
        pairs = zip(("-q", "-f", "-F"), self, strict=True)
        return [word for option, value in pairs if value for word in (option, str(value))]

    @property
    def expression(self) -> str:
        """The filters as a filter expression of samtools; empty if all records pass."""
        quality, require, exclude = self
        terms = {
            f"mapq >= {quality}": quality,
            f"(flag & {require}) == {require}": require,
            f"(flag & {exclude}) == 0": exclude,
        }
        return " && ".join(term for term, value in terms.items() if value)

    @property
    def suffix(self) -> str:
        """The filters in the names of files, such as `_q30_exclude2308`; empty if all pass.

        Words instead of -f and -F, because some file systems ignore case.
        """
        pairs = zip(("q", "require", "exclude"), self, strict=True)
        return "".join(f"_{word}{value}" for word, value in pairs if value)

    def describe_command(self, bam_name: str) -> str:
        """Return the command that counts the records of a region, with REGION in its place."""
        name = f"./{bam_name}" if bam_name.startswith("-") else bam_name
        return shlex.join(["samtools", "view", "-c", *self.view_options, name, "REGION"])


class Options(NamedTuple):
    """The inputs other than files."""

    filters: Filters = Filters()
    count_from_index: bool = False
    machines: int = 1
    output_prefix: str = ""


def read_options(
    min_mapping_quality: int,
    require_flags: str,
    exclude_flags: str,
    count_from_index: bool,
    machines: int,
    output_prefix: str,
    has_index: bool,
) -> Options:
    """Return the inputs as Options, after verifying them and their combination.

    Raises:
        dxpy.AppError: an input is out of range or cannot be parsed, or two exclude each other.
    """
    filters = Filters(
        _check_range("min_mapping_quality", min_mapping_quality, 0, LARGEST_MAPPING_QUALITY),
        parse_flags("require_flags", require_flags),
        parse_flags("exclude_flags", exclude_flags),
    )
    both = filters.require_flags & filters.exclude_flags
    if both:
        names = ",".join(name for name, bit in FLAG_BITS.items() if bit & both)
        raise dxpy.AppError(
            f"No record can pass the filters, because they both require and exclude {names}. "
            "Change require_flags or exclude_flags."
        )
    _check_range("machines", machines, 1, MOST_MACHINES)
    if count_from_index and machines > 1:
        raise dxpy.AppError(
            "count_from_index needs only one machine. Omit machines or count_from_index."
        )
    if count_from_index and filters.view_options:
        raise dxpy.AppError(
            "An index has no counts of filtered records. Omit count_from_index or the filters."
        )
    if count_from_index and not has_index:
        raise dxpy.AppError(
            "count_from_index needs an index. Give mappings_sorted_bai, or omit count_from_index."
        )
    if "/" in output_prefix:
        raise dxpy.AppError(
            f"output_prefix is {output_prefix!r}, but must not contain '/'. "
            "Choose the output folder with dx run --destination."
        )
    return Options(filters, count_from_index, machines, output_prefix)


def parse_flags(name: str, text: str) -> int:
    """Return the sum of FLAG bits that a text gives: one number, or names separated by commas.

    Args:
        name: of the input, for the error message.
        text: such as `2308`, `0x904` or `UNMAP,SECONDARY,SUPPLEMENTARY`; empty is 0.

    Raises:
        dxpy.AppError: the text is neither, or the number is out of range.
    """
    words = [word.strip() for word in text.upper().split(",") if word.strip()]
    try:
        if len(words) == 1 and words[0] not in FLAG_BITS:
            return _check_range(name, int(words[0], base=0), 0, LARGEST_FLAGS)
        return sum({FLAG_BITS[word] for word in words})
    except (KeyError, ValueError):
        raise dxpy.AppError(
            f"{name} is {text!r}. Give a number, such as 2308, or flag names, such as "
            f"UNMAP,SECONDARY,SUPPLEMENTARY. The names are {', '.join(FLAG_BITS)}."
        ) from None


def _check_range(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise dxpy.AppError(f"{name} is {value}. Give a number from {least} to {most}.")
    return value
