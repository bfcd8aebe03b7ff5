"""The applet's whole life with the real dx: what `make run` shows.

Usage: python test/run_applet.py BAM BAI [OPTION ...], with dx talking to a local platform.
An empty BAM stands for a small one that is built, an empty BAI for no index; the options go to
dx run. The output files are left in the current folder.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bam_builder import build_bam, index_bam, sam_line

APPLET = Path(__file__).parent.parent
DX = str(Path(sys.executable).parent / "dx")
# A worker has log sockets, a laptop has none: dxpy says so in every job.
NOISE = "TODO: FIXME"
# Regions of several blocks, so that machines can share them.
DEMO_READS = (("chr1", 9000, 6000), ("chr2", 8000, 4500), ("chrM", 300, 90), ("chrEmpty", 100, 0))


class StepError(Exception):
    """A step failed; the message is what its user should read."""


def main() -> int:
    """Run the applet on the files of the command line; return the exit status."""
    bam, bai, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = find_files(bam, bai)
            run_applet(files or build_demo(Path(folder)), options)
        except StepError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def find_files(bam: str, bai: str) -> list[Path]:
    """Return the paths of the user's files; none if no name is given.

    Raises:
        StepError: a name is no file, or there is an index alone.
    """
    if bai and not bam:
        raise StepError("BAI is the index of a BAM file. Give that, too: make run BAM=... BAI=...")
    files = [Path(name).absolute() for name in (bam, bai) if name]
    for file in files:
        if not file.is_file():
            raise StepError(f"There is no file {str(file)!r}. Give its path as BAM=... or BAI=...")
    return files


def build_demo(folder: Path) -> list[Path]:
    """Build a small BAM file and its index."""
    contigs = [(name, length) for name, length, _ in DEMO_READS]
    reads = [
        sam_line(f"{name}.{number}", name, number)
        for name, _, count in DEMO_READS
        for number in range(1, count + 1)
    ]
    bam = build_bam(folder / "demo.bam", contigs, reads)
    return [bam, index_bam(bam, folder / "demo.bam.bai")]


def run_applet(files: list[Path], options: list[str]) -> None:
    """Go through the steps, showing each command, the live log and the count file.

    Raises:
        StepError: a step failed, or the job did.
    """
    dx("new", "project", "--select", "make_run")
    fields = ("mappings_sorted_bam", "mappings_sorted_bai")
    ids = [dx("upload", "--brief", "--wait", str(file)).strip() for file in files]
    inputs = [f"-i{field}={file}" for field, file in zip(fields, ids, strict=False)]
    applet = json.loads(dx("build", str(APPLET)))["id"]
    job_id = dx("run", applet, *inputs, *options, "-y", "--brief").strip()
    watch("watch", "--tree", job_id)
    job = json.loads(dx("describe", "--json", job_id, show=False))
    if job["state"] != "done":
        raise StepError(job.get("failureMessage", f"The job was {job['state']}."))
    outputs = {name: link["$dnanexus_link"] for name, link in job["output"].items()}
    dx("download", "--overwrite", "--no-progress", *outputs.values())
    count_file = json.loads(dx("describe", "--json", outputs["count_file"], show=False))["name"]
    print(f"\n{count_file}:\n{Path(count_file).read_text(errors='surrogateescape')}")


def dx(*arguments: str, show: bool = True) -> str:
    """Run dx and return what it printed.

    Raises:
        StepError: it failed; in its own words.
    """
    if show:
        print("$ dx", *arguments, flush=True)
    done = subprocess.run([DX, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise StepError((done.stderr or done.stdout).strip())
    return done.stdout


def watch(*arguments: str) -> None:
    """Run dx, and show what it prints while it prints it."""
    print("$ dx", *arguments, flush=True)
    with subprocess.Popen([DX, *arguments], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if NOISE not in line:
                print(line, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
