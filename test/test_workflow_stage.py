"""The applet as a stage of a workflow: the session on the local platform's page, typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from local_platform.testing.project import Dx

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "test" / "local_platform" / "README.md"


def test_the_workflow_of_the_page_counts_the_bam_that_its_first_stage_makes(
    dx: Dx, dx_project: str, tmp_path: Path
) -> None:
    del dx_project
    script = re.search("## Workflows.*?```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT,
        env=dx.environment | {"PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "sum.records = 1" in done.stdout
    assert [f"Stage {number}" in done.stdout for number in range(3)] == [True] * 3
