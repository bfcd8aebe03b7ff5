"""The applet's whole life with the real dx: what `make run` shows.

Usage: python test/run_applet.py FOLDER BAM BAI OUT [OPTION ...], with dx talking to a local
platform. FOLDER is where the person stands: relative names begin there. An empty BAM stands for a
small one that is built, an empty BAI for an index beside the BAM file, if there is one, and an
empty OUT for FOLDER; the options go to dx run.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bam_builder import build_bam, index_bam, sam_line

APPLET = Path(__file__).parent.parent
DX = str(Path(sys.executable).parent / "dx")
# Regions of several blocks, so that machines can share them.
DEMO_READS = (("chr1", 9000, 6000), ("chr2", 8000, 4500), ("chrM", 300, 90), ("chrEmpty", 100, 0))

PROGRESS_SECONDS = 5
# Lines of a count file that are shown; of a longer one its beginning and its total.
MOST_LINES = 30

# A worker has log sockets, a laptop has none: dxpy says so in every job.
NOISE = "TODO: FIXME"
# What a failed job says of itself stands in its log, and again in the job's description. It is
# shown once, at the end.
LOGGED_FAILURE = re.compile(r" STDERR App\w*Error: ")
FAILED_JOB = re.compile(r"\* .* \(failed\) job-\w+$")
# The job's own folder stands for / on the worker.
JOB_FOLDER = re.compile(r"/\S*(?=/home/dnanexus/)")
INPUT_FOLDER = re.compile(r"/home/dnanexus/in/\w+/")
# dx says how it is used before it says what is wrong.
USAGE = re.compile(r"^usage: .*?(?=^dx.*: error: )", re.MULTILINE | re.DOTALL)


class StepError(Exception):
    """A step failed; the message is what its user should read."""


def main() -> int:
    """Run the applet on the files of the command line; return the exit status."""
    stand, bam, bai, out, *options = sys.argv[1:]
    os.chdir(stand)
    with tempfile.TemporaryDirectory(prefix="make_run_") as folder:
        # What an interrupted dx leaves behind goes with the folder.
        os.environ["TMPDIR"] = folder
        try:
            if {"-h", "--help"}.intersection(options):
                show_inputs()
            else:
                files = find_files(bam, bai) or build_demo(Path(folder))
                run_applet(files, options, Path(out).expanduser(), Path(folder))
        except StepError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            # A second one must not stop the cleaning up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return 130
    return 0


def find_files(bam_name: str, bai_name: str) -> list[Path]:
    """Return the paths of the BAM file and of its index, if there is one; none without a BAM.

    Raises:
        StepError: a name is no file, or there is an index alone.
    """
    if not bam_name:
        if bai_name:
            raise StepError("BAI is the index of a BAM file. Give that, too: BAM=... BAI=...")
        return []
    bam = find_file(bam_name, "BAM")
    if bai_name:
        return [bam, find_file(bai_name, "BAI")]
    index = find_index(bam)
    if index is None:
        return [bam]
    print(f"The index beside the BAM file is used: {index.name}")
    return [bam, index]


def find_file(name: str, variable: str) -> Path:
    """Return the path of a file that the person named as BAM=... or BAI=...

    Raises:
        StepError: there is none.
    """
    path = Path(name).expanduser().absolute()
    if path.is_dir():
        raise StepError(f"{str(path)!r} is a folder. Give the path of a file as {variable}=...")
    if not path.is_file():
        raise StepError(f"There is no file {str(path)!r}. Give its path as {variable}=...")
    if not os.access(path, os.R_OK):
        raise StepError(f"You may not read {str(path)!r}. Give a file that you may read.")
    return path


def find_index(bam: Path) -> Path | None:
    """Return the index that lies beside a BAM file, under a name that samtools looks for, too."""
    stem = bam.name.removesuffix(".bam")
    names = (f"{bam.name}.bai", f"{stem}.bai", f"{bam.name}.csi", f"{stem}.csi")
    return next((bam.with_name(name) for name in names if bam.with_name(name).is_file()), None)


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


def show_inputs() -> None:
    """Show what dx run says of the applet's inputs and outputs."""
    dx("new", "project", "--select", "make_run")
    applet = json.loads(dx("build", str(APPLET)))["id"]
    print(dx("run", applet, "-h"))


def run_applet(files: list[Path], options: list[str], out: Path, scratch: Path) -> None:
    """Go through the steps, showing each command, the live log, the counts and the outputs.

    Args:
        files: the BAM file and, if there is one, its index.
        options: for dx run.
        out: where the outputs shall lie.
        scratch: an empty folder, or one with other names in it.

    Raises:
        StepError: a step failed, or the job did.
    """
    project = dx("new", "project", "--brief", "--select", "make_run").strip()
    fields = ("mappings_sorted_bam", "mappings_sorted_bai")
    ids = [upload(file, project) for file in files]
    inputs = [f"-i{field}={file}" for field, file in zip(fields, ids, strict=False)]
    applet = json.loads(dx("build", str(APPLET)))["id"]
    job_id = dx("run", applet, *inputs, *options, "-y", "--brief").strip()
    watch("watch", "--tree", job_id)
    job = json.loads(dx("describe", "--json", job_id, show=False))
    if job["state"] != "done":
        raise StepError(describe_failure(job))
    links = {name: link["$dnanexus_link"] for name, link in job["output"].items()}
    downloads = scratch / "outputs"
    downloads.mkdir()
    dx("download", "--no-progress", "--output", str(downloads), *links.values())
    names = {
        output: json.loads(dx("describe", "--json", link, show=False))["name"]
        for output, link in links.items()
    }
    print(f"\n{names['count_file']}:\n{shorten(downloads / names['count_file'])}\n")
    show_outputs(names, keep(downloads, out, scratch.parent))


def shorten(count_file: Path) -> str:
    """Return the lines of a count file; of a long one, its beginning and its total."""
    lines = count_file.read_text(errors="backslashreplace").splitlines()
    if len(lines) > MOST_LINES:
        left_out = len(lines) - MOST_LINES
        lines[MOST_LINES - 1 : -1] = [f"... ({left_out + 1:,} more regions)"]
    return "\n".join(lines)


def keep(downloads: Path, out: Path, elsewhere: Path) -> Path:
    """Copy the outputs to where they shall lie; return where they are.

    That is a new folder in `elsewhere`, if they cannot lie where they shall.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in downloads.iterdir():
            copy_whole(file, out / file.name)
    except OSError as error:
        print(f"The outputs cannot be written to {str(out.absolute())!r}: {error.strerror}.")
        folder = Path(tempfile.mkdtemp(prefix="counts_", dir=elsewhere))
        shutil.copytree(downloads, folder, dirs_exist_ok=True)
        return folder
    return out.absolute()


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file; under its name there is never a part of it."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def show_outputs(names: dict[str, str], folder: Path) -> None:
    """Name the output files, and say how to open the page."""
    print(f"The outputs are in {folder}:")
    for output, name in names.items():
        print(f"  {output:<21} {name}")
    report = folder / names["count_report"]
    print(f"Open the report in a browser: xdg-open {shlex.quote(str(report))}\n  {report.as_uri()}")


def dx(*arguments: str, show: bool = True) -> str:
    """Run dx and return what it printed.

    Raises:
        StepError: it failed; in its own words.
    """
    with running_dx(*arguments, show=show) as process:
        return finish(process, *process.communicate())


def upload(file: Path, project: str) -> str:
    """Upload a file, saying every few seconds how far that is; return its ID.

    Raises:
        StepError: dx failed; in its own words.
    """
    size = file.stat().st_size
    with running_dx("upload", "--brief", "--wait", str(file)) as process:
        while not has_ended(process):
            uploaded = count_uploaded_bytes(file.name, project)
            print(f"  {uploaded:,} of {size:,} bytes ({uploaded / size:.0%})", flush=True)
        return finish(process, *process.communicate()).strip()


def has_ended(process: subprocess.Popen[str]) -> bool:
    """Wait a few seconds for the end of a process that prints little; tell whether it came."""
    try:
        process.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def count_uploaded_bytes(name: str, project: str) -> int:
    """Return how many bytes of a file have arrived whose upload goes on."""
    import dxpy  # takes a while, and only large files need it

    uploading = dxpy.find_data_objects(
        classname="file",
        state="open",
        name=name,
        project=project,
        describe={"fields": {"parts": True}},
    )
    parts = [part for one in uploading for part in one["describe"]["parts"].values()]
    return sum(part["size"] for part in parts if part["state"] == "complete")


def watch(*arguments: str) -> None:
    """Run dx watch, and show what it prints while it prints it."""
    with running_dx(*arguments) as process:
        for line in select_lines(process.stdout):
            print(line, end="", flush=True)


def select_lines(log: Iterable[str]) -> Iterator[str]:
    """Yield the lines of dx watch that are worth showing, and paths as on a worker."""
    has_failed = False
    for line in log:
        if has_failed or NOISE in line or LOGGED_FAILURE.search(line):
            continue
        has_failed = FAILED_JOB.match(line) is not None
        yield JOB_FOLDER.sub("", line)


def describe_failure(job: dict) -> str:
    """Return why a job that ended is not done; files are called by their names."""
    message = job.get("failureMessage") or f"The job was {job['state']}."
    return INPUT_FOLDER.sub("", JOB_FOLDER.sub("", message))


@contextmanager
def running_dx(*arguments: str, show: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Start dx, and show the command; an interrupted one does not go on."""
    if show:
        print("$", shlex.join(["dx", *arguments]), flush=True)
    with subprocess.Popen(
        [DX, *arguments],
        # A log is shown while it is written.
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def finish(process: subprocess.Popen[str], stdout: str, stderr: str) -> str:
    """Return what a finished dx printed.

    Raises:
        StepError: it failed; in its own words.
    """
    if process.returncode != 0:
        raise StepError(words_of_dx(stderr or stdout))
    return stdout


def words_of_dx(text: str) -> str:
    """Return what dx says of its failure, without the usage that it may say first."""
    return USAGE.sub("", text).strip()


if __name__ == "__main__":
    sys.exit(main())
