"""The static contract: dxapp.json, the entry point's parameters and the README agree."""

import inspect
import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dxpy.app_categories import APP_CATEGORIES

import applet
import outputs
import summary

ROOT = Path(__file__).parent.parent
DXAPP = json.loads((ROOT / "dxapp.json").read_text())
README = (ROOT / "README.md").read_text()
FIELDS = DXAPP["inputSpec"] + DXAPP["outputSpec"]


def field(name: str) -> dict:
    (found,) = (one for one in FIELDS if one["name"] == name)
    return found


@pytest.mark.parametrize("one", FIELDS, ids=lambda one: one["name"])
def test_every_field_has_a_short_label_and_a_help_sentence(one):
    assert 1 <= len(one["label"].split()) <= 4
    assert re.fullmatch(r"[A-Z].+\.", one["help"])


def test_the_readme_has_a_row_for_every_input_and_output():
    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) == [one["name"] for one in FIELDS]


def test_the_readme_says_which_input_is_required():
    (required,) = (
        one["name"] for one in DXAPP["inputSpec"] if not (one.get("optional") or "default" in one)
    )
    assert f"Only `{required}` is required" in README


def test_the_readme_names_the_output_files():
    rows = re.findall(r"^\| `(\w+)` \| `(sample\S*)` \|", README, re.MULTILINE)
    assert dict(rows) == {one.name: f"sample{one.suffix}" for one in outputs.OUTPUTS}


def test_inputs_are_the_parameters_of_main():
    parameters = inspect.signature(applet.main).parameters
    assert list(parameters) == [one["name"] for one in DXAPP["inputSpec"]]
    for one in DXAPP["inputSpec"]:
        may_be_left_out = parameters[one["name"]].default is not inspect.Parameter.empty
        assert may_be_left_out == (one.get("optional", False) or "default" in one)


@pytest.mark.parametrize(
    ("name", "file_name", "matches"),
    [
        ("mappings_sorted_bam", "sample one.bam", True),
        ("mappings_sorted_bam", "sample.bam.bai", False),
        ("mappings_sorted_bai", "sample.bam.bai", True),
        ("mappings_sorted_bai", "sample.bai", True),
        ("mappings_sorted_bai", "sample.bam.csi", True),
        ("mappings_sorted_bai", "sample.bam", False),
        ("count_file", "sample_count.txt", True),
    ],
)
def test_patterns_are_globs_that_match(name, file_name, matches):
    assert any(fnmatch(file_name, pattern) for pattern in field(name)["patterns"]) == matches


def test_every_output_is_written_under_a_name_that_only_its_own_pattern_matches():
    declared = {one["name"]: one["patterns"] for one in DXAPP["outputSpec"]}
    assert declared == {one.name: [f"*{one.suffix}"] for one in outputs.OUTPUTS}
    for one in outputs.OUTPUTS:
        matching = [
            other
            for other, patterns in declared.items()
            if any(fnmatch(f"sample{one.suffix}", pattern) for pattern in patterns)
        ]
        assert matching == [one.name]


def test_the_version_in_the_report_is_that_of_the_applet():
    assert DXAPP["version"] == summary.VERSION


def test_metadata_are_those_of_a_well_kept_app():
    assert set(DXAPP["categories"]) <= APP_CATEGORIES
    assert DXAPP["title"] == "SAMtools count, parallel by region"
    assert not DXAPP["summary"].endswith(".")
    assert DXAPP["details"]["whatsNew"].startswith(f"{DXAPP['version']}: ")
    assert all(one.startswith("doi:10.") for one in DXAPP["details"]["citations"])
    for project in DXAPP["details"]["upstreamProjects"]:
        assert {"name", "repoUrl", "version", "license", "licenseUrl"} <= set(project)


def test_the_description_can_be_read_in_the_web_ui():
    assert re.findall(r"\]\((?!https://)|<\w", README) == []


def test_samtools_is_declared_and_the_network_is_not():
    assert DXAPP["runSpec"]["execDepends"] == [{"name": "samtools"}]
    assert "access" not in DXAPP


def test_readme_names_the_instance_type_and_the_time_limit():
    instance_type = DXAPP["runSpec"]["systemRequirements"]["*"]["instanceType"]
    assert f"`{instance_type}`" in README
    assert f"{DXAPP['runSpec']['timeoutPolicy']['*']['hours']} hours" in README


def test_entry_file_is_where_dxapp_says():
    assert (ROOT / DXAPP["runSpec"]["file"]).samefile(applet.__file__)
