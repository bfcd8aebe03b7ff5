"""What a test of an applet looks like: `pytest`, or `pytest --dx-project project-xxxx`."""

from pathlib import Path

import pytest

APPLET = Path(__file__).parent / "count_lines"


def test_lines_are_counted(dx_build_applet, dx_run, tmp_path):
    text = tmp_path / "two words.txt"
    text.write_text("one\ntwo\n")
    job = dx_run(dx_build_applet(APPLET), {"text": text})
    assert job.output["lines"] == 2
    assert job.download("report").read_text() == "two words.txt has 2 lines\n"


def test_empty_text_is_refused(dx_build_applet, dx_run, tmp_path):
    text = tmp_path / "empty.txt"
    text.touch()
    job = dx_run(dx_build_applet(APPLET), {"text": text}, state="failed")
    assert job.failure_reason == "AppError"
    assert job.failure_message == "empty.txt has no lines. Give a text with some."


def test_it_runs_from_the_command_line(dx, dx_build_applet, dx_upload_folder, tmp_path):
    dx_build_applet(APPLET)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "text.txt").write_text("one\n")
    dx_upload_folder(tmp_path / "data")
    assert (
        "Output: lines = 1" in dx("run", "count_lines", "-itext=text.txt", "-y", "--watch").stdout
    )


@pytest.mark.parametrize("fault", ["cut", "500"])
def test_interrupted_download_is_tried_again(fault, dx_build_applet, dx_run, dx_faults, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("one\ntwo\n")
    dx_faults(fault, file="text.txt")
    assert dx_run(dx_build_applet(APPLET), {"text": text}).output["lines"] == 2
