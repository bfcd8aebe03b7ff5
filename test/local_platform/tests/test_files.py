"""Files: parts in any order, checks, ranges, signed URLs, and large ones in bounded memory."""

import hashlib
import socket
import subprocess
from pathlib import Path
from urllib.parse import unquote

import dxpy
import pytest
import urllib3
from dxpy.exceptions import InvalidState, ResourceNotFound

from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx
from platform_fixtures import until

MEBIBYTE = 2**20
LARGE = 300 * MEBIBYTE


def put(target: dict, content: bytes) -> int:
    """Send bytes to an upload URL, and return the HTTP status."""
    return urllib3.request("PUT", target["url"], body=content, headers=target["headers"]).status


def get(url: str, **headers: str) -> urllib3.BaseHTTPResponse:
    """Read a download URL."""
    return urllib3.request("GET", url, headers=headers)


def declared(content: bytes, number: int = 1) -> dict:
    """Return what a client says of a part before it uploads it."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"index": number, "size": len(content), "md5": md5}


def test_parts_arrive_in_any_order(dx_project: str) -> None:
    del dx_project
    parts = {1: b"a" * 5 * MEBIBYTE, 2: b"b" * 5 * MEBIBYTE, 3: b"c"}
    file = dxpy.new_dxfile(name="parts")
    for number in (3, 1, 2):
        file.upload_part(parts[number], number)
    file.close(block=True)
    assert dxpy.DXFile(file.get_id()).read() == "".join(map(bytes.decode, parts.values()))
    description = file.describe(fields={"parts": True, "size": True})
    assert description["size"] == 10 * MEBIBYTE + 1
    assert description["parts"]["3"] == {
        "state": "complete",
        "size": 1,
        "md5": hashlib.md5(b"c", usedforsecurity=False).hexdigest(),
    }


def test_close_is_refused_while_a_part_is_missing(dx_project: str) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="incomplete")
    dxpy.api.file_upload(file.get_id(), declared(b"never sent"))
    with pytest.raises(InvalidState, match=r"Part 1 of .* has not been uploaded"):
        dxpy.api.file_close(file.get_id())


def test_close_is_refused_when_a_part_before_the_last_is_small(dx_project: str) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="small parts")
    file.upload_part(b"a", 1)
    file.upload_part(b"b", 2)
    with pytest.raises(InvalidState, match=r"Part 1 of .* is smaller"):
        file.close()


@pytest.mark.parametrize("sent", [b"ABC", b"ab", b"abcd"])
def test_part_that_is_not_the_declared_one_is_refused(dx_project: str, sent: bytes) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="checked")
    assert put(dxpy.api.file_upload(file.get_id(), declared(b"abc")), sent) == 422
    assert file.describe(fields={"parts": True})["parts"]["1"]["state"] == "pending"


def test_part_can_be_sent_again(dx_project: str) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="again")
    file.upload_part(b"first", 1)
    file.upload_part(b"second", 1)
    file.close(block=True)
    assert dxpy.DXFile(file.get_id()).read() == "second"


def test_closed_file_takes_no_more_parts(dx_project: str) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="closed")
    target = dxpy.api.file_upload(file.get_id(), declared(b"abc"))
    assert put(target, b"abc") == 200
    file.close()
    assert put(target, b"abc") == 422
    with pytest.raises(InvalidState):
        dxpy.api.file_upload(file.get_id(), declared(b"abc"))


def test_open_file_cannot_be_downloaded(dx_project: str) -> None:
    del dx_project
    with pytest.raises(InvalidState):
        dxpy.api.file_download(dxpy.new_dxfile(name="open").get_id())


def test_empty_file_makes_the_round_trip(dx: Dx) -> None:
    (dx.folder / "empty").touch()
    dx("upload", "empty", "--wait")
    dx("download", "empty", "-o", "back")
    assert (dx.folder / "back").read_bytes() == b""


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        (None, 200, b"0123456789"),
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=7-100", 206, b"789"),
        ("bytes=-2", 206, b"89"),
    ],
)
def test_ranges(dx_project: str, asked: str | None, status: int, content: bytes) -> None:
    del dx_project
    file = dxpy.upload_string("0123456789", name="digits", wait_on_close=True)
    url, _ = file.get_download_url(preauthenticated=True)
    headers = {"Range": asked} if asked else {}
    reply = get(url, **headers)
    assert (reply.status, reply.data) == (status, content)


def test_range_across_parts(dx_project: str) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="parts")
    file.upload_part(b"a" * 5 * MEBIBYTE, 1)
    file.upload_part(b"b" * 10, 2)
    file.close(block=True)
    url, _ = file.get_download_url(preauthenticated=True)
    reply = get(url, Range=f"bytes={5 * MEBIBYTE - 2}-{5 * MEBIBYTE + 1}")
    assert reply.data == b"aabb"
    assert reply.headers["Content-Range"].endswith(f"/{5 * MEBIBYTE + 10}")


def test_range_past_the_end_is_refused(dx_project: str) -> None:
    del dx_project
    file = dxpy.upload_string("0123456789", name="digits", wait_on_close=True)
    url, _ = file.get_download_url(preauthenticated=True)
    assert get(url, Range="bytes=10-").status == 416


def test_samtools_reads_a_region_through_a_url(dx: Dx) -> None:
    sam = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:one\tLN:1000\n"
    sam += "".join(f"r{n}\t0\tone\t{n}\t60\t1M\t*\t0\t0\tA\tI\n" for n in range(1, 101))
    bam = dx.folder / "reads.bam"
    subprocess.run(["samtools", "view", "-b", "-o", bam], input=sam, text=True, check=True)
    subprocess.run(["samtools", "index", bam], check=True)
    files = [dxpy.upload_local_file(str(path), wait_on_close=True) for path in (bam, f"{bam}.bai")]
    urls = [file.get_download_url(preauthenticated=True)[0] for file in files]
    command = ["samtools", "view", "-c", "-X", *urls, "one:11-20"]
    counted = subprocess.run(command, capture_output=True, text=True, cwd=dx.folder)
    assert counted.stdout == "10\n", counted.stderr


def test_url_that_is_not_preauthenticated_needs_its_headers(dx_project: str) -> None:
    del dx_project
    file = dxpy.upload_string("secret", name="file", wait_on_close=True)
    reply = dxpy.api.file_download(file.get_id(), {"preauthenticated": False})
    assert get(reply["url"]).status == 401
    assert get(reply["url"], **reply["headers"]).status == 200


def test_plain_url_is_the_same_when_asked_twice(dx_project: str) -> None:
    assert dx_project
    file = dxpy.upload_string("text", name="file", wait_on_close=True).get_id()
    assert dxpy.DXFile(file).get_download_url() == dxpy.DXFile(file).get_download_url()


def test_preauthenticated_url_is_new_each_time(dx_project: str) -> None:
    assert dx_project
    file = dxpy.upload_string("text", name="file", wait_on_close=True).get_id()
    asked = {"preauthenticated": True, "duration": 60}
    urls = {dxpy.api.file_download(file, asked)["url"] for _ in range(5)}
    assert len(urls) == 5
    assert {get(url).data for url in urls} == {b"text"}


def test_project_that_does_not_hold_the_file_is_an_error_for_a_download(dx_project: str) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    file = dxpy.upload_string("text", name="file", wait_on_close=True).get_id()
    for wrong in (other, "project-" + "B" * 24):
        with pytest.raises(ResourceNotFound, match=wrong):
            dxpy.api.file_download(file, {"project": wrong})
        assert dxpy.api.file_describe(file, {"project": wrong})["project"] == dx_project
    dxpy.api.project_clone(dx_project, {"objects": [file], "project": other})
    reply = dxpy.api.file_download(file, {"project": other})
    assert get(reply["url"], **reply["headers"]).data == b"text"


def test_altered_url_reaches_no_other_file(dx_project: str) -> None:
    del dx_project
    mine = dxpy.upload_string("mine", name="file", wait_on_close=True)
    other = dxpy.upload_string("other", name="file", wait_on_close=True)
    url, _ = mine.get_download_url(preauthenticated=True)
    assert get(url).status == 200
    assert get(url.replace(mine.get_id(), other.get_id())).status == 401
    assert get(url.replace("/F/D/", "/F/D/9")).status == 401


def test_url_expires(dx_project: str) -> None:
    del dx_project
    file = dxpy.upload_string("text", name="file", wait_on_close=True)
    reply = dxpy.api.file_download(file.get_id(), {"preauthenticated": True, "duration": -1})
    assert get(reply["url"]).status == 401


def test_removed_file_is_gone_from_its_url(dx_project: str) -> None:
    file = dxpy.upload_string("text", name="file", wait_on_close=True)
    url, _ = file.get_download_url(preauthenticated=True)
    dxpy.DXProject(dx_project).remove_objects([file.get_id()])
    assert get(url).status == 404


def test_cat_head_and_make_download_url(dx: Dx) -> None:
    (dx.folder / "lines.txt").write_text("one\ntwo\n")
    dx("upload", "lines.txt", "--wait")
    assert dx("cat", "lines.txt").stdout == "one\ntwo\n"
    assert dx("head", "-n", "1", "lines.txt").stdout == "one\n"
    url = dx("make_download_url", "lines.txt").stdout.strip()
    assert get(url).data == b"one\ntwo\n"


@pytest.fixture
def in_parts(dx_project: str) -> dxpy.DXFile:
    """Upload a file of three parts."""
    del dx_project
    file = dxpy.new_dxfile(name="parts")
    for number in (1, 2, 3):
        file.upload_part(bytes([64 + number]) * 12 * MEBIBYTE, number)
    file.close(block=True)
    return dxpy.DXFile(file.get_id())


def part_on_disk(dx_platform: LocalPlatform, file: dxpy.DXFile, number: int) -> Path:
    """Return where the platform keeps a part."""
    return dx_platform.state / "parts" / file.get_id() / str(number)


def received_until_cut(reply: urllib3.BaseHTTPResponse) -> bytes:
    """Return what a download brings before its connection is cut."""
    received = bytearray()
    try:
        for chunk in reply.stream(MEBIBYTE):
            received += chunk
    except urllib3.exceptions.ProtocolError:
        reply.close()
        return bytes(received)
    pytest.fail("the download came to an end")


def test_part_that_is_cut_short_on_disk_cuts_the_download(
    in_parts: dxpy.DXFile, dx_platform: LocalPlatform
) -> None:
    with part_on_disk(dx_platform, in_parts, 2).open("r+b") as part:
        part.truncate(MEBIBYTE)
    url, _ = in_parts.get_download_url(preauthenticated=True)
    reply = urllib3.request("GET", url, preload_content=False)
    assert received_until_cut(reply) == b"A" * 12 * MEBIBYTE + b"B" * MEBIBYTE
    assert "part 2 of" in dx_platform.complaints()
    assert get(url, Range="bytes=0-3").data == b"AAAA"


def test_file_that_is_removed_during_its_download_cuts_it(
    in_parts: dxpy.DXFile, dx_project: str, dx_platform: LocalPlatform
) -> None:
    url, _ = in_parts.get_download_url(preauthenticated=True)
    reply = urllib3.request("GET", url, preload_content=False)
    first = reply.read(4)
    dxpy.DXProject(dx_project).remove_objects([in_parts.get_id()])
    assert set(first + received_until_cut(reply)) <= set(b"ABC")
    assert dx_platform.complaints() == ""


def test_upload_that_breaks_off_is_no_defect(dx_project: str, dx_platform: LocalPlatform) -> None:
    del dx_project
    file = dxpy.new_dxfile(name="broken off")
    target = dxpy.api.file_upload(file.get_id(), declared(b"x" * MEBIBYTE))
    address = urllib3.util.parse_url(target["url"])
    with socket.create_connection((address.host, address.port)) as connection:
        headers = {"Host": address.netloc, "Content-Length": MEBIBYTE} | target["headers"]
        lines = [f"PUT {address.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        connection.sendall("\r\n".join([*lines, "", "half"]).encode())
    assert until(lambda: not list((dx_platform.state / "incoming").iterdir()))


def peak_memory(pid: int) -> int:
    """Return the largest resident size that a process had so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_large_file_streams_up_and_down(dx: Dx, dx_platform: LocalPlatform) -> None:
    large = dx.folder / "large"
    digest = hashlib.md5(usedforsecurity=False)
    with large.open("wb") as target:
        for number in range(LARGE // MEBIBYTE):
            block = number.to_bytes(4, "big") * (MEBIBYTE // 4)
            digest.update(block)
            target.write(block)
    before = peak_memory(dx_platform.pid)
    dx("upload", "large", "--wait")
    large.unlink()
    dx("download", "large")
    received = subprocess.run(["md5sum", large], capture_output=True, text=True, check=True)
    assert received.stdout.split()[0] == digest.hexdigest()
    assert peak_memory(dx_platform.pid) - before < 100 * MEBIBYTE


@pytest.mark.parametrize("name", ["words.txt", "a b#?.txt", "ünïcode"])
def test_download_address_ends_in_the_file_s_name(dx: Dx, dx_project: str, name: str) -> None:
    file = dxpy.upload_string("text", name=name, project=dx_project, wait_on_close=True)
    url = dx("make_download_url", file.get_id()).stdout.strip()
    assert unquote(url.rpartition("/")[2]) == name
    assert urllib3.request("GET", url).data == b"text"
    other = dx("make_download_url", file.get_id(), "--filename", "other").stdout.strip()
    assert other.endswith("/other")
    assert urllib3.request("GET", other).data == b"text"
