"""Commands: their output, what they are fed, and the one that waits for itself."""

import dxpy
import pytest

from processes import CommandResult, run_cmd
from samtools import get_samtools_version


def test_a_result_has_output_messages_and_exit_status():
    result = run_cmd(["sh", "-c", "cat; echo said >&2; exit 3"], lambda target: target.write(b"x"))
    assert result == CommandResult("sh -c", "x", "said\n", 3)


def test_a_command_reads_nothing_if_it_is_fed_nothing():
    assert run_cmd(["cat"]).stdout == ""


def test_more_than_a_pipe_holds_is_fed_and_read():
    assert len(run_cmd(["cat"], lambda target: target.write(bytes(1 << 20))).stdout) == 1 << 20


def test_a_command_may_end_before_it_has_read_everything():
    result = run_cmd(["sh", "-c", "exit 2"], lambda target: target.write(bytes(1 << 20)))
    assert result.exit_code == 2


def test_what_goes_wrong_while_a_command_is_fed_is_raised():
    def feed_half(target):
        target.write(b"half")
        raise ValueError("the block is damaged")

    with pytest.raises(ValueError, match="the block is damaged"):
        run_cmd(["cat"], feed_half)


def test_files_are_called_by_their_names(tmp_path):
    assert "'x'" in run_cmd(["ls", f"{tmp_path}/x"]).stderr.replace("x:", "'x'")
    assert str(tmp_path) not in run_cmd(["ls", f"{tmp_path}/x"]).stderr


def test_samtools_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dxpy.AppError, match=r"samtools is not installed .* apt-get install"):
        get_samtools_version()


def test_a_command_that_waits_for_itself_is_killed(monkeypatch):
    monkeypatch.setattr("processes.STALL_SECONDS", 0.2)
    assert run_cmd(["sleep", "100"], may_stall=True).exit_code == -9


def test_a_command_that_works_is_not_killed(monkeypatch):
    monkeypatch.setattr("processes.STALL_SECONDS", 0.1)
    monkeypatch.setattr("processes.STALL_SHARE", 0)
    assert run_cmd(["sleep", "0.3"], may_stall=True).exit_code == 0
