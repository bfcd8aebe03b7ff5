"""The inputs: read and verified before anything is downloaded."""

import subprocess

import dxpy
import pytest

import applet
from options import FLAG_BITS, Filters, Options, parse_flags, read_options


def read(
    min_mapping_quality: int = 0,
    require_flags: str = "",
    exclude_flags: str = "",
    count_from_index: bool = False,
    machines: int = 1,
    output_prefix: str = "",
    has_index: bool = False,
) -> Options:
    filters = (min_mapping_quality, require_flags, exclude_flags)
    return read_options(*filters, count_from_index, machines, output_prefix, has_index)


def test_the_inputs_become_options():
    assert read(30, "", "DUP", machines=2) == Options(Filters(30, 0, 1024), False, 2, "")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"min_mapping_quality": 256}, "min_mapping_quality is 256. .* from 0 to 255"),
        ({"min_mapping_quality": -1}, "min_mapping_quality is -1. .* from 0 to 255"),
        ({"require_flags": "4096"}, "require_flags is 4096. .* from 0 to 4095"),
        ({"exclude_flags": "-4"}, "exclude_flags is -4. .* from 0 to 4095"),
        ({"machines": 0}, "machines is 0. .* from 1 to 64"),
        ({"machines": 65}, "machines is 65. .* from 1 to 64"),
        ({"output_prefix": "a/b"}, "output_prefix is 'a/b', but must not contain '/'"),
        ({"count_from_index": True}, "count_from_index needs an index"),
        (
            {"count_from_index": True, "has_index": True, "machines": 2},
            "count_from_index needs only one machine",
        ),
        (
            {"count_from_index": True, "has_index": True, "min_mapping_quality": 1},
            "An index has no counts of filtered records",
        ),
        (
            {"require_flags": "UNMAP,REVERSE", "exclude_flags": "1028"},
            "No record can pass the filters, because they both require and exclude UNMAP",
        ),
    ],
    ids=str,
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(dxpy.AppError, match=f"^{message}"):
        read(**inputs)


def test_inputs_are_refused_before_anything_is_downloaded():
    with pytest.raises(dxpy.AppError, match="No record can pass"):
        applet.main({}, require_flags="4", exclude_flags="4")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", 0),
        ("0", 0),
        ("2308", 2308),
        ("0x904", 2308),
        ("UNMAP", 4),
        ("UNMAP,SECONDARY,SUPPLEMENTARY", 2308),
        (" dup, unmap ,DUP,", 1028),
    ],
)
def test_flags_are_a_number_or_names(text, flags):
    assert parse_flags("require_flags", text) == flags


@pytest.mark.parametrize("text", ["1,024", "UNMAP,256", "DUPLICATE", "010", "4.0", "UNMAP|DUP"])
def test_flags_that_are_neither_are_refused_with_the_names(text):
    with pytest.raises(dxpy.AppError, match=r"^exclude_flags is .* names are PAIRED, PROPER_PAIR,"):
        parse_flags("exclude_flags", text)


def test_the_names_of_flags_are_those_of_samtools():
    listed = subprocess.run(["samtools", "flags"], capture_output=True, text=True)
    rows = [line.split() for line in (listed.stdout + listed.stderr).splitlines() if "0x" in line]
    assert {row[2]: int(row[1]) for row in rows} == FLAG_BITS


@pytest.mark.parametrize(
    ("filters", "suffix", "options", "expression"),
    [
        (Filters(), "", "", ""),
        (
            Filters(min_mapping_quality=30, exclude_flags=2308),
            "_q30_exclude2308",
            "-q 30 -F 2308",
            "mapq >= 30 && (flag & 2308) == 0",
        ),
        (Filters(require_flags=4), "_require4", "-f 4", "(flag & 4) == 4"),
        (Filters(exclude_flags=4), "_exclude4", "-F 4", "(flag & 4) == 0"),
    ],
)
def test_filters_are_in_file_names_and_commands(filters, suffix, options, expression):
    assert filters.suffix == suffix
    assert " ".join(filters.view_options) == options
    assert filters.expression == expression


@pytest.mark.parametrize(
    ("bam_name", "command"),
    [
        ("x.bam", "samtools view -c -q 30 x.bam REGION"),
        ("a b.bam", "samtools view -c -q 30 'a b.bam' REGION"),
        ("-x.bam", "samtools view -c -q 30 ./-x.bam REGION"),
    ],
)
def test_the_command_is_one_that_a_person_can_run(bam_name, command):
    assert Filters(30).describe_command(bam_name) == command
