"""Batches: dx generate_batch_inputs, and dx run --batch-tsv."""

import csv
from collections.abc import Callable

import dxpy
import pytest
from dxpy.exceptions import InvalidInput

from local_platform.testing.project import Dx
from platform_fixtures import ended

MakeApplet = Callable[..., dxpy.DXApplet]
LEFT, RIGHT = "-ileft=(.*)_1.txt$", "-iright=(.*)_2.txt$"
SPEC = [
    {"name": "left", "class": "file"},
    {"name": "right", "class": "file"},
    {"name": "number", "class": "int", "default": 1},
]


def upload(*names: str, folder: str = "/") -> dict[str, str]:
    """Upload small files and return their IDs by name."""
    return {
        name: dxpy.upload_string(
            name, name=name, folder=folder, parents=True, wait_on_close=True
        ).get_id()
        for name in names
    }


def test_files_that_belong_together_are_one_row(dx: Dx, dx_project: str) -> None:
    files = upload("a_1.txt", "a_2.txt", "b_1.txt", "b_2.txt", "b_2.txt.md5")
    said = dx("generate_batch_inputs", LEFT, RIGHT).stderr
    assert "Found 2 valid batch IDs" in said
    with (dx.folder / "dx_batch.0000.tsv").open() as table:
        assert list(csv.reader(table, delimiter="\t")) == [
            ["batch ID", "left", "right", "left ID", "right ID"],
            *(
                [key, f"{key}_1.txt", f"{key}_2.txt"]
                + [f"{dx_project}:{files[f'{key}_{side}.txt']}" for side in (1, 2)]
                for key in "ab"
            ),
        ]


def test_first_of_several_groups_is_the_batch_id(dx: Dx) -> None:
    upload("RP10_S1_R1_001.gz", "RP10_S1_R2_001.gz")
    dx("generate_batch_inputs", "-ileft=RP(.*)_R1_(.*).gz", "-iright=RP(.*)_R2_(.*).gz")
    rows = (dx.folder / "dx_batch.0000.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["batch ID", "10_S1"]


def test_search_is_confined_to_a_folder(dx: Dx) -> None:
    upload("a_1.txt", "a_2.txt")
    upload("b_1.txt", "b_2.txt", folder="/deep/er")
    dx("generate_batch_inputs", LEFT, RIGHT, "--path", "/deep")
    assert "a_1" not in (dx.folder / "dx_batch.0000.tsv").read_text()
    assert "b_1" in (dx.folder / "dx_batch.0000.tsv").read_text()


def test_missing_and_ambiguous_files_are_named_and_left_out(dx: Dx) -> None:
    upload("a_1.txt", "a_2.txt", "lonely_1.txt", "twice_1.txt", "twice_2.txt")
    upload("twice_2.txt", folder="/copy")
    refused = dx("generate_batch_inputs", LEFT, RIGHT, status=3).stderr
    assert 'ERROR processing batch ID matching pattern "lonely"' in refused
    assert "Matched input names: left" in refused
    assert "Input right is associated with a file name that matches multiple IDs" in refused
    rows = (dx.folder / "dx_batch.0000.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["batch ID", "a"]


@pytest.mark.parametrize("pattern", ["no group", "(", r"(a)\1"])
def test_pattern_that_cannot_group_is_refused(dx_project: str, pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"inputs\.left"):
        dxpy.api.system_generate_batch_inputs({"project": dx_project, "inputs": {"left": pattern}})


def test_each_row_is_a_job_with_the_common_input(make_applet: MakeApplet, dx: Dx) -> None:
    upload("a_1.txt", "a_2.txt", "b_1.txt", "b_2.txt")
    applet = make_applet("true", "bash", inputSpec=SPEC)
    dx("generate_batch_inputs", LEFT, RIGHT)
    options = ("--batch-tsv", "dx_batch.0000.tsv", "-inumber=7", "--batch-folders")
    jobs = dx("run", applet.get_id(), *options, "-y", "--brief").stdout.strip().split(",")
    described = [ended(dxpy.DXJob(job)) for job in jobs]
    assert [one["state"] for one in described] == ["done", "done"]
    assert [one["name"] for one in described] == ["small-a", "small-b"]
    assert [one["folder"] for one in described] == ["/a", "/b"]
    assert [one["input"]["number"] for one in described] == [7, 7]
    batches = [dxpy.DXJob(job).describe(fields={"properties": True}) for job in jobs]
    assert [one["properties"]["batch-id"] for one in batches] == ["a", "b"]


def test_batch_is_checked_before_its_first_job(make_applet: MakeApplet, dx: Dx) -> None:
    applet = make_applet("true", "bash", inputSpec=SPEC)
    rows = ["batch ID\tnumber", "a\t1", "b\t2"]
    (dx.folder / "batch.tsv").write_text("\n".join(rows) + "\n")
    refused = dx("run", applet.get_id(), "--batch-tsv", "batch.tsv", "-y", status=3)
    assert "Run 1 of the batch" in refused.stderr
    assert "left" in refused.stderr
    assert list(dxpy.find_jobs(project=applet.get_proj_id())) == []


def test_columns_of_different_lengths_are_refused(make_applet: MakeApplet) -> None:
    applet = make_applet("true", "bash", inputSpec=[])
    with pytest.raises(InvalidInput, match="arrays of one length"):
        dxpy.api.applet_validate_batch(applet.get_id(), {"batchInput": {"a": [1], "b": [1, 2]}})
