"""The applet's whole life with the real dx: what `make run` shows.

Usage: python test/run_applet.py FOLDER BAM BAI OUT APPLET [OPTION ...], with dx talking to a local
platform. FOLDER is where the command was typed: relative names begin there. An empty BAM means
the demo, an empty BAI for the index next to the BAM file, if there is one, an empty OUT for FOLDER,
and an empty APPLET for this applet. The options go to dx run.
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

from demo_bam import build_demo

APPLET = Path(__file__).parent.parent
DX = str(Path(sys.executable).parent / "dx")

FIELDS = ("mappings_sorted_bam", "mappings_sorted_bai")

PROGRESS_SECONDS = 5
# Lines of a count file that are shown; of a longer one its beginning and its total.
MOST_LINES = 30

# dxpy prints this in every job that has no log sockets, as on a laptop.
NOISE = "TODO: FIXME"
# The failure message is in the job's log, and again in its description. It is shown once, at the
# end.
LOGGED_FAILURE = re.compile(r" STDERR App\w*Error: ")
FAILED_JOB = re.compile(r"\* .* \(failed\) job-\w+$")
# The job's own folder takes the place of / on a worker.
JOB_FOLDER = re.compile(r"/\S*(?=/home/dnanexus/)")
INPUT_FOLDER = re.compile(r"/home/dnanexus/in/\w+/")
WARNING = re.compile(r" STD(?:OUT|ERR) (WARNING: .*)")
# dx prints its usage before the error.
USAGE = re.compile(r"^usage: .*?(?=^dx.*: error: )", re.MULTILINE | re.DOTALL)


class StepError(Exception):
    """A step failed; the message is what its user should read."""


def main() -> int:
    """Run the applet on the files of the command line; return the exit status."""
    stand, bam, bai, out, applet, *options = sys.argv[1:]
    end_in_order()
    try:
        enter(stand)
        with tempfile.TemporaryDirectory(prefix="make_run_") as folder:
            # Files of an interrupted dx are removed with this folder.
            os.environ["TMPDIR"] = folder
            source = find_applet(applet)
            if {"-h", "--help"}.intersection(options):
                show_inputs(source)
                return 0
            target = find_target(out)
            files = find_files(bam, bai) or build_demo(Path(folder))
            run_applet(source, files, options, target, Path(folder))
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def enter(stand: str) -> None:
    """Change to the folder in which the command was typed.

    Raises:
        StepError: that is not possible, because PWD is outdated or from another system.
    """
    try:
        os.chdir(stand)
    except OSError as error:
        raise StepError(f"Cannot enter the folder {stand!r}: {error.strerror}.") from error


def end_in_order() -> None:
    """Make every ending signal raise KeyboardInterrupt, once: temporary files are then removed."""

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Ignored signals stay ignored: nohup, or a background job of a script.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    for number in numbers:
        signal.signal(number, interrupt)


def find_applet(name: str) -> Path:
    """Return the folder of the applet, which is this one without a name.

    Raises:
        StepError: it is no applet's folder.
    """
    folder = Path(name).expanduser().absolute() if name else APPLET
    if not (folder / "dxapp.json").is_file():
        raise StepError(f"There is no dxapp.json in {str(folder)!r}. Give an applet's folder.")
    return folder


def find_target(name: str) -> Path:
    """Return the folder for the outputs, which need not exist.

    Raises:
        StepError: the outputs cannot be written there.
    """
    folder = Path(name).expanduser().absolute()
    there = next(one for one in (folder, *folder.parents) if os.access(one, os.F_OK))
    if not there.is_dir():
        raise StepError(f"{str(there)!r} is a file. Give a folder for the outputs as OUT=...")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StepError(f"{str(there)!r} is not writable. Give another folder as OUT=...")
    return folder


def find_files(bam_name: str, bai_name: str) -> list[Path]:
    """Return the paths of the BAM file and of its index, if there is one; none without a BAM.

    Raises:
        StepError: a name is no file, or there is an index alone.
    """
    if not bam_name:
        if bai_name:
            raise StepError("BAI needs the BAM file, too: BAM=... BAI=...")
        return []
    bam = find_file(bam_name, "BAM")
    if bai_name:
        return [bam, find_file(bai_name, "BAI")]
    index = find_index(bam)
    if index is None:
        return [bam]
    print(f"Using the index next to the BAM file: {index.name}")
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
        raise StepError(f"{str(path)!r} is not readable. Change its permissions.")
    return path


def find_index(bam: Path) -> Path | None:
    """Return the index next to a BAM file, by the names that samtools looks for."""
    stem = bam.name.removesuffix(".bam")
    names = (f"{bam.name}.bai", f"{stem}.bai", f"{bam.name}.csi", f"{stem}.csi")
    return next((bam.with_name(name) for name in names if bam.with_name(name).is_file()), None)


def show_inputs(source: Path) -> None:
    """Show the help of dx run about the applet's inputs and outputs."""
    dx("new", "project", "--select", "make_run")
    print(dx("run", build(source), "-h"))


def build(source: Path, *options: str) -> str:
    """Build the applet of a folder with dx build, and return its ID.

    Raises:
        StepError: dx failed; in its own words.
    """
    # A Makefile beside the applet may print lines before the result of dx.
    return json.loads(dx("build", *options, str(source)).splitlines()[-1])["id"]


def run_applet(
    source: Path, files: list[Path], options: list[str], out: Path, scratch: Path
) -> None:
    """Go through the steps, showing each command, the live log, the counts and the outputs.

    Args:
        source: the applet's folder.
        files: the BAM file and, if there is one, its index.
        options: for dx run.
        out: folder for the outputs.
        scratch: an empty folder, or one with other names in it.

    Raises:
        StepError: a step failed, or the job did.
    """
    project = dx("new", "project", "--brief", "--select", "make_run").strip()
    ids = [upload(file, project) for file in files]
    inputs = [f"-i{field}={file}" for field, file in zip(FIELDS, ids, strict=False)]
    job_id = dx("run", build(source), *inputs, *options, "-y", "--brief").strip()
    warnings = watch("watch", "--tree", job_id)
    job = json.loads(dx("describe", "--json", job_id, show=False))
    if job["state"] != "done":
        raise StepError(describe_failure(job))
    outputs = job["output"] | download(job["output"], scratch / "outputs")
    if "count_file" in outputs:
        count_file = scratch / "outputs" / outputs["count_file"]
        print(f"\n{count_file.name}:\n{shorten(count_file)}\n")
    for warning in warnings:
        print(warning)
    show_outputs(outputs, keep(scratch / "outputs", out, scratch.parent))


def download(output: dict, folder: Path) -> dict[str, str]:
    """Download the files among a job's outputs into a new folder; return their names by output."""
    import dxpy  # takes a while

    folder.mkdir()
    ids = {name: value["$dnanexus_link"] for name, value in output.items() if dxpy.is_dxlink(value)}
    if ids:
        dx("download", "--no-progress", "--output", str(folder), *ids.values())
    return {name: dxpy.describe(file)["name"] for name, file in ids.items()}


def shorten(count_file: Path) -> str:
    """Return the lines of a count file; if it is long, its beginning and its total."""
    lines = count_file.read_text(errors="backslashreplace").splitlines()
    if len(lines) > MOST_LINES:
        left_out = len(lines) - MOST_LINES
        lines[MOST_LINES - 1 : -1] = [f"... ({left_out + 1:,} more regions)"]
    return "\n".join(lines)


def keep(downloads: Path, out: Path, elsewhere: Path) -> Path:
    """Copy the outputs to their folder; return its full path.

    Raises:
        StepError: they cannot be written there. They are in a new folder in `elsewhere` then.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in downloads.iterdir():
            copy_whole(file, out / file.name)
    except OSError as error:
        folder = Path(tempfile.mkdtemp(prefix="counts_", dir=elsewhere))
        shutil.copytree(downloads, folder, dirs_exist_ok=True)
        raise StepError(
            f"The outputs cannot be written to {str(out)!r}: {error.strerror}."
            f" They are in {str(folder)!r}."
        ) from error
    return out


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file; its name never has an incomplete copy."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def show_outputs(outputs: dict, folder: Path) -> None:
    """Print the outputs, files by their names, and say how to open a page among them."""
    print(f"The outputs are in {folder}:")
    for name, value in outputs.items():
        print(f"  {name:<21} {value}")
    pages = [value for value in outputs.values() if str(value).endswith(".html")]
    for report in (folder / page for page in pages):
        print(f"Open the report in a browser: xdg-open {shlex.quote(str(report))}")
        print(f"  {report.as_uri()}")


def dx(*arguments: str, show: bool = True) -> str:
    """Run dx and return what it printed.

    Raises:
        StepError: it failed; in its own words.
    """
    with running_dx(*arguments, show=show) as process:
        return finish(process, *process.communicate())


def upload(file: Path, project: str) -> str:
    """Upload a file, and print the progress every few seconds; return its ID.

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
    """Wait a few seconds for a process to end; return whether it has ended."""
    try:
        process.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def count_uploaded_bytes(name: str, project: str) -> int:
    """Return how many bytes of a file have arrived so far."""
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


def watch(*arguments: str) -> list[str]:
    """Run dx watch, and show what it prints while it prints it; return the job's warnings."""
    warnings = []
    with running_dx(*arguments) as process:
        for line in select_lines(process.stdout):
            print(line, end="", flush=True)
            warnings += WARNING.findall(line)
    return list(dict.fromkeys(warnings))


def select_lines(log: Iterable[str]) -> Iterator[str]:
    """Yield the lines of dx watch that are worth showing, with paths as on a worker."""
    has_failed = False
    for line in log:
        if has_failed or NOISE in line or LOGGED_FAILURE.search(line):
            continue
        has_failed = FAILED_JOB.match(line) is not None
        yield JOB_FOLDER.sub("", line)


def describe_failure(job: dict) -> str:
    """Return why a job failed, with file names instead of paths."""
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
    """Return the error message of dx, without the usage that may come first."""
    return USAGE.sub("", text).strip()


if __name__ == "__main__":
    sys.exit(main())
