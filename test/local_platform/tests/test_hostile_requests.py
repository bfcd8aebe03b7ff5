"""What a hostile or clumsy client can send: it gets an error, and no other client notices."""

import json
import random
import re
import socket
from collections.abc import Callable, Iterator

import dxpy
import pytest
import urllib3
import websocket
from dxpy.exceptions import InvalidInput, MalformedJSON

from local_platform.api.routes import ROUTES
from local_platform.testing.local import LocalPlatform
from platform_fixtures import ended

MakeApplet = Callable[..., dxpy.DXApplet]


def send(path: str, body: str | bytes) -> None:
    """Call a route with a body that dxpy would not write."""
    dxpy.DXHTTPRequest(path, body, jsonify_data=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"name": "\\ud800"}', "surrogate"),
        ('{"name": ' + "9" * 5000 + "}", "digits"),
        ('{"name": ' + "-" + "9" * 30 + "}", "digits"),
        ('{"name": ' + "[" * 900 + "]" * 900 + "}", "deep"),
        ('{"name": ' + '{"a":' * 100_000 + "1" + "}" * 100_001, "deep"),
        ('{"name": 1e999}', "1e999"),
        ('{"name": "' + "x" * 2**24 + '"}', "Too Large"),
    ],
)
def test_json_beyond_what_can_be_kept_is_refused(dx_project: str, body: str, message: str) -> None:
    del dx_project
    with pytest.raises(InvalidInput, match=message):
        send("/project/new", body)


@pytest.mark.parametrize(
    "body", ['{"name": NaN}', '{"name": -Infinity}', b'{"name": "\xed\xa0\x80"}']
)
def test_what_is_no_json_is_refused(dx_project: str, body: str | bytes) -> None:
    del dx_project
    with pytest.raises(MalformedJSON):
        send("/project/new", body)


def test_name_may_hold_any_character_of_unicode(dx_project: str) -> None:
    name = "\0 \U0001f9ec \u202e \x7f"
    record = dxpy.new_dxrecord(name=name, project=dx_project)
    assert record.describe()["name"] == name
    assert [one["id"] for one in dxpy.find_data_objects(project=dx_project, name=name)] == [
        record.get_id()
    ]


def test_regular_expression_that_backtracks_is_answered(dx_project: str) -> None:
    dxpy.new_dxrecord(name="a" * 60 + "b", project=dx_project)
    query = {"project": dx_project, "name": "(a+)+$", "name_mode": "regexp"}
    assert list(dxpy.find_data_objects(**query)) == []


def test_glob_that_backtracks_is_answered(dx_project: str) -> None:
    dxpy.new_dxrecord(name="a" * 200, project=dx_project)
    query = {"project": dx_project, "name": "*a" * 30 + "b", "name_mode": "glob"}
    assert list(dxpy.find_data_objects(**query)) == []


@pytest.mark.parametrize("mode", ["glob", "regexp"])
def test_pattern_of_any_length_is_refused(dx_project: str, mode: str) -> None:
    with pytest.raises(InvalidInput, match="1000 characters"):
        list(dxpy.find_data_objects(project=dx_project, name="[" * 2**20, name_mode=mode))


def test_file_may_be_named_like_a_broken_url(dx_project: str) -> None:
    file = dxpy.upload_string("x", name="http://[x.txt", project=dx_project, wait_on_close=True)
    assert file.describe()["media"] == "text/plain"


@pytest.mark.parametrize("expression", ["(", r"(a)\1", "(?=a)", "(((a{1000}){1000}){1000})"])
def test_regular_expression_that_cannot_be_matched_in_time_is_refused(
    dx_project: str, expression: str
) -> None:
    dxpy.new_dxrecord(name="a", project=dx_project)
    with pytest.raises(InvalidInput, match="regexp"):
        list(dxpy.find_data_objects(project=dx_project, name=expression, name_mode="regexp"))


def test_folder_of_thousands_of_levels_is_refused(dx_project: str) -> None:
    deep = "/a" * 6000
    made: list[Callable[[], object]] = [
        lambda: dxpy.DXProject(dx_project).new_folder(deep, parents=True),
        lambda: dxpy.new_dxrecord(project=dx_project, folder=deep, parents=True),
    ]
    for make in made:
        with pytest.raises(InvalidInput, match="levels"):
            make()
    assert dxpy.DXProject(dx_project).list_folder()["folders"] == []


def test_folder_is_not_moved_deeper_than_folders_go(dx_project: str) -> None:
    one = dxpy.DXProject(dx_project)
    one.new_folder("/a" * 200, parents=True)
    one.new_folder("/b" * 100, parents=True)
    with pytest.raises(InvalidInput, match="levels"):
        one.move_folder("/a", "/b" * 100)
    assert "/a" in one.list_folder()["folders"]


def test_foreign_fields_of_an_applet_harm_nothing(make_applet: MakeApplet, dx_project: str) -> None:
    applet = make_applet("true", "bash", size="x", links="x", parts="x", media="x")
    assert dxpy.DXProject(dx_project).describe()["dataUsage"] == 0
    assert applet.describe()["id"] == applet.get_id()
    assert ended(applet.run({}))["state"] == "done"


def test_mistyped_title_of_an_applet_is_refused(make_applet: MakeApplet) -> None:
    with pytest.raises(InvalidInput, match="title"):
        make_applet("true", "bash", title=5)


@pytest.mark.parametrize("asked", ["bytes=-3", "bytes=0-", "bytes=0-0"])
def test_range_of_an_empty_file_is_not_satisfiable(dx_project: str, asked: str) -> None:
    assert dx_project
    file = dxpy.upload_string("", name="empty", wait_on_close=True)
    url, _ = file.get_download_url(preauthenticated=True)
    reply = urllib3.request("GET", url, headers={"Range": asked})
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */0")


@pytest.mark.parametrize("asked", ["bytes=x", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=1-2,4-5"])
def test_range_that_is_not_understood_is_refused(dx_project: str, asked: str) -> None:
    assert dx_project
    file = dxpy.upload_string("0123456789", name="digits", wait_on_close=True)
    url, _ = file.get_download_url(preauthenticated=True)
    reply = urllib3.request("GET", url, headers={"Range": asked})
    assert reply.status == 422
    assert reply.json()["error"]["type"] == "InvalidInput"


@pytest.mark.parametrize(
    "request_line",
    [
        b"NONSENSE",
        b"\x16\x03\x01 TLS",
        b"POST /system/whoami HTTP/9.9",
        b"POST /\xff HTTP/1.1",
        b"POST /system/whoami HTTP/1.1\r\nContent-Length: many",
        b"POST http://[::1 HTTP/1.1",
    ],
)
def test_what_is_no_http_is_answered_without_a_word_in_the_log(
    dx_platform: LocalPlatform, request_line: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", int(dx_platform.port)), timeout=30) as connection:
        connection.sendall(request_line + b"\r\n\r\n")
        assert b" 400 " in connection.recv(1000)
    assert dx_platform.complaints() == ""


def test_body_that_is_not_encoded_as_it_says_is_refused(dx_platform: LocalPlatform) -> None:
    headers = {"Authorization": f"Bearer {dx_platform.token}", "Content-Encoding": "gzip"}
    url = f"http://127.0.0.1:{dx_platform.port}/system/whoami"
    reply = urllib3.request("POST", url, body=b"no gzip", headers=headers)
    assert (reply.status, reply.json()["error"]["type"]) == (400, "MalformedJSON")
    assert dx_platform.complaints() == ""


def test_every_answer_has_an_id_and_forbids_guessing_its_type(
    dx_project: str, dx_platform: LocalPlatform
) -> None:
    del dx_project
    url = f"http://127.0.0.1:{dx_platform.port}"
    answers = [
        dxpy.api.system_whoami(want_full_response=True),
        urllib3.request("POST", f"{url}/system/whoami"),
        urllib3.request("GET", f"{url}/F/D/1/plain/file-x/name"),
    ]
    assert [answer.status for answer in answers] == [200, 401, 401]
    for answer in answers:
        assert re.fullmatch(r"\d{13}-\d{1,6}", answer.headers["X-Request-Id"])
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("frame", ["", "x", "[]", "5", '{"access_token": []}', '{"a": NaN}'])
def test_log_stream_with_a_strange_first_frame_is_closed(
    dx_platform: LocalPlatform, frame: str
) -> None:
    stream = websocket.create_connection(
        f"ws://127.0.0.1:{dx_platform.port}/job-{'B' * 24}/getLog/websocket", timeout=30
    )
    stream.send(frame)
    opcode, content = stream.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(content[:2], "big") == 1008
    stream.shutdown()


IDENTIFIERS = ("project", "container", "file", "record", "applet", "job")
WORDS = """
    access created dependsOn describe destination details detach duration dxapi executionPolicy
    fields filename folder folders force function hidden id ignoreReuse includeHidden index
    input inputSpec io level limit md5 media modified name newpath nonce objects only outputSpec
    parents parentJob preauthenticated priority project properties rank recurse region runSpec
    scope size starting state summary systemRequirements tags timeoutPolicyByExecutable title
    tokenSignature types visibility class tag type executable originJob after before glob regexp
    flags hours * a $and $or $dnanexus_link job field restartOn maxRestarts interpreter code
    distribution release version bundledDepends execDepends stages package_manager choices
    default optional
"""
FIELDS = WORDS.split()


def anything(chance: random.Random, known: list[str], depth: int = 0) -> object:
    """Return a JSON value that may be what a handler expects, or anything else."""
    plain = [
        None,
        True,
        False,
        0,
        -1,
        1.5,
        2**62,
        "",
        "x",
        "/",
        "/a/b",
        "..",
        "\0",
        "any",
        "closed",
    ]
    kind = chance.randrange(8 if depth < 4 else 4)
    if kind < 3:
        return chance.choice(plain)
    if kind == 3:
        return chance.choice(known)
    if kind < 6:
        return hostile_body(chance, known, depth + 1)
    return [anything(chance, known, depth + 1) for _ in range(chance.randrange(3))]


def hostile_body(chance: random.Random, known: list[str], depth: int = 0) -> dict:
    """Return a hash of a few fields that some handler knows."""
    names = chance.sample(FIELDS, chance.randrange(1, 8))
    return {name: anything(chance, known, depth) for name in names}


def hostile_requests(chance: random.Random, known: list[str], count: int) -> Iterator[tuple]:
    """Yield requests for every route in turn."""
    routes = [route for route in ROUTES if route != ("system", "destroyAuthToken")]
    for number in range(count):
        name, method = routes[number % len(routes)]
        ids = [one for one in known if one.startswith(f"{name}-")]
        target = chance.choice([name, f"{name}-x", *ids, *ids, *ids])
        yield f"/{target}/{method}", hostile_body(chance, known)


def error_of(path: str, body: dict) -> tuple[int, str]:
    """Call a route; return the status and the message of its error, if there is one."""
    try:
        dxpy.DXHTTPRequest(path, body, max_retries=0, always_retry=False)
    except dxpy.exceptions.DXAPIError as error:
        return error.code, str(error)
    return 200, ""


@pytest.mark.parametrize("seed", range(3))
def test_any_request_is_answered_or_refused_in_a_sentence(
    dx_project: str, make_applet: MakeApplet, dx_platform: LocalPlatform, seed: int
) -> None:
    applet = make_applet(
        "true", "bash", inputSpec=[{"name": "a", "class": "file", "optional": True}]
    )
    job = applet.run({})
    known = [
        dx_project,
        job.describe()["workspace"],
        dxpy.upload_string("x", name="x", project=dx_project).get_id(),
        dxpy.new_dxrecord(name="x", project=dx_project).get_id(),
        applet.get_id(),
        job.get_id(),
        "user-local",
    ]
    for path, body in hostile_requests(random.Random(seed), known, 800):
        code, message = error_of(path, body)
        assert code < 500, (path, body)
        assert "The local platform failed" not in message, (path, json.dumps(body), message)
    assert dx_platform.complaints() == ""
