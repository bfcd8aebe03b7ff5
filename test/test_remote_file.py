"""Ranges of a file on the platform: what was asked for, or one clear sentence, whatever happens."""

import random
import re
from multiprocessing import get_context

import dxpy
import pytest

from local_platform.testing.faults import DOWNLOADS
from remote_file import RemoteFile

DATA = random.Random(0).randbytes(300_000)
shared: dict[str, RemoteFile] = {}

# Wrong bytes are noticed where they are unpacked.
NOTICED = [fault for fault in DOWNLOADS if fault not in ("wrong_bytes", "expired")]


@pytest.fixture
def file(dx_project, monkeypatch) -> RemoteFile:
    """Upload a file, and be quick to try again."""
    del dx_project
    monkeypatch.setattr("remote_file.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("remote_file.TIMEOUT_SECONDS", 0.5)
    with dxpy.new_dxfile(mode="wb", name="x.bam") as uploaded:
        uploaded.write(DATA)
    uploaded.wait_on_close()
    return RemoteFile(dxpy.dxlink(uploaded))


def test_the_bytes_that_were_asked_for_come(file):
    assert file.fetch(1_000, 250_000) == DATA[1_000:250_000]


@pytest.mark.parametrize("fault", NOTICED)
def test_after_a_fault_the_bytes_are_asked_for_again(file, dx_faults, fault):
    asked = dx_faults("nothing", times=None)
    dx_faults(fault)
    assert file.fetch(1_000, 250_000) == DATA[1_000:250_000]
    assert asked() == 2


def test_each_try_may_meet_another_fault(file, dx_faults):
    for fault in ("cut", "503", "500", "early_end", "whole_file", "foreign_range"):
        dx_faults(fault)
    assert file.fetch(0, 100_000) == DATA[:100_000]


@pytest.mark.parametrize("fault", NOTICED)
def test_a_fault_for_ever_is_one_sentence_without_a_url(file, dx_faults, monkeypatch, capfd, fault):
    monkeypatch.setattr("remote_file.TRIES", 3)
    dx_faults(fault, times=3)
    with pytest.raises(dxpy.AppError) as error:
        file.fetch(0, 250_000, "region 'chr1'")
    assert re.fullmatch(
        r"Downloading bytes 0-249,999 of 'x\.bam' \(region 'chr1'\) failed 3 times: "
        r"(connection lost|the server (answered with status \d+|sent nothing for .* seconds"
        r"|sent only [\d,]+ bytes|sent another range))\. Run the applet again\.",
        str(error.value),
    )
    shown = str(error.value) + "".join(capfd.readouterr())
    assert "/F/" not in shown
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize("fault", ["expired", "cut", "503"])
def test_a_new_url_is_requested_after_a_fault(file, dx_faults, fault):
    asked = dx_faults("nothing", method="file/download", times=None)
    dx_faults(fault)
    file.fetch(0, 10)
    file.fetch(10, 20)
    assert asked() == 2


def test_a_url_is_renewed_before_it_expires(file, dx_faults, monkeypatch):
    asked = dx_faults("nothing", method="file/download", times=None)
    monkeypatch.setattr("remote_file.URL_SECONDS", 30)
    for begin in (0, 10, 20):
        file.fetch(begin, begin + 10)
    assert asked() == 3


def test_processes_that_are_forked_have_each_a_connection(file, dx_faults):
    """On a shared one they would get one another's answers, and have to ask again."""
    asked = dx_faults("nothing", times=None)
    file.fetch(0, 1)
    begins = range(0, 300_000, 3_000)
    # Forked processes know the file; it is not sent to them.
    with get_context("fork").Pool(4, shared.update, [{"file": file}]) as pool:
        assert b"".join(pool.map(fetch_from_shared_file, begins, chunksize=1)) == DATA
    assert asked() == 1 + len(begins)


def fetch_from_shared_file(begin: int) -> bytes:
    return shared["file"].fetch(begin, begin + 3_000)
