"""What goes wrong while the pool counts: each ends in one sentence, and nothing waits forever."""

import re
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam_of_many_blocks, index_bam
from job_log import MORE_MEMORY

REGIONS = [("chr1", 300_000), ("chr2", 300_000)]


@pytest.fixture
def bam(tmp_path) -> Path:
    return build_bam_of_many_blocks(tmp_path / "sample.bam", REGIONS)


@pytest.fixture
def fail(count, bam, tmp_path, monkeypatch):
    """Count a BAM, which must fail; return the message."""
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", 0)
    index = index_bam(bam, tmp_path / "x.bai")

    def fail_to_count(index: Path | None = index) -> str:
        with pytest.raises((dxpy.AppError, dxpy.AppInternalError)) as failure:
            count(bam, index)
        message = str(failure.value)
        print(message)
        assert "'sample.bam'" in message
        assert "\n" not in message
        return message

    return fail_to_count


@pytest.mark.parametrize(
    ("subcommand", "said"),
    [
        ("idxstats", "'sample.bam' could not be counted in the 2 regions from 'chr1' to 'chr2'"),
        ("view -c", "'sample.bam' could not be counted in region 'chr"),
        ("index", "'sample.bam' could not be indexed"),
        ("quickcheck", "'sample.bam' could not be checked"),
        ("view -H", "The header of 'sample.bam' could not be read"),
    ],
)
@pytest.mark.parametrize(
    ("signal", "cause"),
    [
        (9, f"samtools was killed, probably because it ran out of memory. {MORE_MEMORY}"),
        (11, "crashed (signal 11). Check that samtools view -c reads the file to its end."),
        (35, "crashed (signal 35). Check that samtools view -c reads the file to its end."),
    ],
)
def test_samtools_is_killed(fail, sabotage_samtools, subcommand, said, signal, cause):
    suicide = f"import os; os.kill(os.getpid(), {signal})"
    sabotage_samtools(f'case "$*" in "{subcommand} "*) exec python3 -c "{suicide}";; esac')
    message = fail(None) if subcommand == "index" else fail()
    assert message.startswith(said)
    assert message.endswith(cause)


def test_a_killed_samtools_does_not_have_the_file_counted_again(fail, sabotage_samtools, capsys):
    sabotage_samtools('[ "$1" = idxstats ] && kill -9 $$')
    assert "samtools was killed" in fail()
    log = capsys.readouterr().out
    assert "Building" not in log
    assert log.count("Counting in ") == 1


# The pool starts another process in the place of the killed one, from a thread.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_of_the_pool_is_killed(count, bam, monkeypatch, sabotage_samtools):
    monkeypatch.setattr("pool.PROGRESS_SECONDS", 0.2)
    sabotage_samtools('[ "$1" = idxstats ] && kill -9 $PPID && sleep 1')
    with pytest.raises(dxpy.AppError, match=f"process was killed.* {re.escape(MORE_MEMORY)}"):
        count(bam)


def test_samtools_index_that_waits_for_itself_is_run_with_one_thread(
    count, bam, monkeypatch, sabotage_samtools
):
    monkeypatch.setattr("processes.STALL_SECONDS", 0.3)
    monkeypatch.setattr("processes.STALL_SHARE", 0.1)
    sabotage_samtools('case "$*" in "index -b -@ 0 "*) ;; index*) exec sleep 100;; esac')
    monkeypatch.setattr("choose_index.cpu_count", lambda: 3)
    assert count(bam).endswith("Total reads: 4000")


def test_no_further_task_is_started_after_a_failure(fail, sabotage_samtools, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.SMALLEST_TASK", 1)
    log = tmp_path / "started"
    sabotage_samtools(f'[ "$2" = -c ] && echo >> {log} && sleep 0.1 && exit 1')
    fail()
    assert len(log.read_text()) < 10


def test_an_unexpected_error_names_the_task(fail, sabotage_samtools):
    sabotage_samtools('[ "$1" = idxstats ] && echo 17 && exit')
    assert re.match(r"'sample.bam' could not be counted in .*: ValueError: ", fail())


def test_an_error_on_stderr_is_a_failure_though_samtools_exits_with_0(fail, sabotage_samtools):
    sabotage_samtools('[ "$1" = idxstats ] && echo "[E::x] unknown reference name" >&2')
    message = fail()
    assert "although samtools" in message
    assert 'can read every record (samtools idxstats: "[E::x] unknown reference name")' in message


@pytest.mark.parametrize(
    "line", ["[W::x] not as new as it was", "[I::x] new", "samtools 9: no index, reading on", "!"]
)
def test_what_a_new_samtools_says_is_no_failure(count, bam, sabotage_samtools, line, capsys):
    sabotage_samtools(f"echo '{line}' >&2")
    assert count(bam).endswith("Total reads: 4000")
    warned = f"WARNING: samtools: {line}\n" in capsys.readouterr().out
    assert warned == line.startswith("[W::")
