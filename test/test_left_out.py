"""The last line of a run says which tests were left out, and why."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(2))
def test_without_a_browser(number):
    pytest.skip("no browser")

def test_that_runs():
    pass

def test_not_asked_for():
    pass
"""


def test_the_last_line_names_what_was_left_out_and_why(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "left_out", "-k", "browser or runs"]
    here = str(Path(__file__).parent)
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": here}, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "Tests left out: 2 (no browser), 1 (not asked for); "
        "make bench and make test-live are run apart."
    )
