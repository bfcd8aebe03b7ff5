"""The applet as a process of its own, in dxpy's debug mode: what needs no server."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bam_builder import build_bam

ROOT = Path(__file__).parent.parent


def run_applet(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run the applet without a job, as dxpy does where DX_JOB_ID is unset."""
    (folder / "job_input.json").write_text('{"mappings_sorted_bam": {"$dnanexus_link": "file-x"}}')
    return subprocess.run(
        [sys.executable, ROOT / "src" / "applet.py"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "resources/home/dnanexus"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
    )


def test_an_app_error_ends_the_run_with_its_sentence_and_no_traceback(tmp_path):
    done = run_applet(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("AppError: samtools is not installed or not on PATH.")
    assert done.stderr.count("\n") == 1


def test_the_log_begins_with_the_samtools_version_and_the_cpus(tmp_path):
    done = run_applet(tmp_path)
    assert re.search(r"^samtools \d+\.\d+", done.stdout, re.MULTILINE)
    assert f", {os.cpu_count()} CPUs\n" in done.stdout


def test_a_log_that_knows_ascii_only_shows_every_name(tmp_path):
    bam = build_bam(tmp_path / "café.bam", [("chr1", 9)])
    done = subprocess.run(
        [sys.executable, ROOT / "test/run_main.py", bam],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert "Regions in the header of 'caf\\xe9.bam': 1" in done.stdout
