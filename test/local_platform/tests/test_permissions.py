"""Who reaches what: tokens, jobs and their trees, hosts, addresses."""

import http.client
import json
import re
from collections.abc import Callable
from pathlib import Path

import dxpy
import pytest
import urllib3
import websocket
from dxpy.exceptions import ResourceNotFound

from local_platform.testing.local import LocalPlatform
from platform_fixtures import ended, in_state, job_log, until

MakeApplet = Callable[..., dxpy.DXApplet]
WHOAMI = "/system/whoami"
# A program that answers with what its token is refused, and with what it finds.
REFUSED = """
import dxpy

def refused(method, *arguments):
    try:
        method(*arguments)
    except dxpy.exceptions.PermissionDenied:
        return True
    return False
"""
TRIES = f"""{REFUSED}
@dxpy.entry_point("main")
def main(target):
    context = dxpy.PROJECT_CONTEXT_ID
    return {{answers}}
"""


def as_job(make_applet: MakeApplet, script: str, **fields: object) -> str:
    """Run commands with a job's token, and return what they print."""
    job = make_applet(script, "bash", **fields).run({})
    state, log = ended(job)["state"], job_log(job)
    assert state == "done", log
    return log


def answers(make_applet: MakeApplet, target: object, expressions: str) -> list:
    """Return what expressions are worth in a job."""
    code = TRIES.replace("{answers}", "{'answers': [" + expressions + "]}")
    description = ended(make_applet(code).run({"target": target}))
    return description["output"]["answers"]


def call_with(platform: LocalPlatform, header: str | None) -> urllib3.BaseHTTPResponse:
    """Call a method with a header of authorization, or without one."""
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    return urllib3.request("POST", f"http://127.0.0.1:{platform.port}{WHOAMI}", headers=headers)


@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", "Bearer ", "Bearer", "Bearer \xff\xfe", "\xff", "Basic eDp5"],
)
def test_wrong_token_is_refused(dx_platform: LocalPlatform, header: str | None) -> None:
    reply = call_with(dx_platform, header)
    assert (reply.status, reply.json()["error"]["type"]) == (401, "InvalidAuthentication")


def open_log(platform: LocalPlatform, job: dxpy.DXJob, token: str) -> websocket.WebSocket:
    """Ask for a job's log, line by line."""
    address = f"ws://127.0.0.1:{platform.port}/{job.get_id()}/getLog/websocket"
    stream = websocket.create_connection(address, timeout=60)
    stream.send(json.dumps({"access_token": token, "token_type": "Bearer", "tail": True}))
    return stream


@pytest.mark.parametrize("token", ["wrong", ""])
def test_log_needs_a_token_too(
    make_applet: MakeApplet, dx_platform: LocalPlatform, token: str
) -> None:
    stream = open_log(dx_platform, make_applet("true", "bash").run({}), token)
    opcode, content = stream.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(content[:2], "big") == 1008
    stream.shutdown()


def token_printed(make_applet: MakeApplet) -> tuple[dxpy.DXJob, str]:
    """Run an applet that prints its token and goes on; return its job and the token."""
    job = make_applet('echo "$DX_SECURITY_CONTEXT"\nsleep 600', "bash").run({})
    found = until(lambda: re.search(r"\{.*\}", job_log(job, to_end=False)))
    return job, json.loads(found[0])["auth_token"]


def test_token_is_worthless_once_its_job_has_ended_even_during_a_call(
    make_applet: MakeApplet, dx_platform: LocalPlatform
) -> None:
    job, token = token_printed(make_applet)
    assert call_with(dx_platform, f"Bearer {token}").status == 200
    body = json.dumps({"function": "main", "input": {}})
    connection = http.client.HTTPConnection("127.0.0.1", int(dx_platform.port))
    connection.putrequest("POST", "/job/new")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:1].encode())
    job.terminate()
    assert ended(job)["state"] == "terminated"
    connection.send(body[1:].encode())
    reply = connection.getresponse()
    assert (reply.status, json.load(reply)["error"]["type"]) == (401, "InvalidAuthentication")
    connection.close()
    assert len(list(dxpy.find_executions(root_execution=job.get_id()))) == 1
    assert call_with(dx_platform, f"Bearer {token}").status == 401


def test_log_is_not_streamed_to_a_job_that_has_ended(
    make_applet: MakeApplet, dx_platform: LocalPlatform
) -> None:
    job, token = token_printed(make_applet)
    stream = open_log(dx_platform, job, token)
    assert stream.recv()
    job.terminate()
    while (frame := stream.recv_data())[0] == websocket.ABNF.OPCODE_TEXT:
        assert json.loads(frame[1])["msg"] != "END_LOG"
    assert int.from_bytes(frame[1][:2], "big") == 1008
    stream.shutdown()


def test_job_reads_the_project_and_writes_into_its_workspace(
    make_applet: MakeApplet, dx_project: str
) -> None:
    file = dxpy.upload_string("text", name="mine.txt", wait_on_close=True)
    tried = """
        dxpy.DXFile(target, project=context).read(),
        refused(dxpy.api.file_new, {"name": "new", "project": context}),
        refused(dxpy.api.project_remove_objects, context, {"objects": [target]}),
        refused(dxpy.api.file_rename, target, {"name": "new", "project": context}),
        refused(dxpy.api.project_destroy, context),
        refused(dxpy.api.file_new, {"name": "new", "project": dxpy.WORKSPACE_ID}),
    """
    assert answers(make_applet, file.get_id(), tried) == ["text", True, True, True, True, False]
    assert file.describe()["name"] == "mine.txt"
    assert dxpy.DXProject(dx_project).list_folder()["objects"]


def test_job_does_not_change_its_inputs_or_its_applet(make_applet: MakeApplet) -> None:
    file = dxpy.upload_string("text", name="mine", wait_on_close=True)
    tried = """
        refused(dxpy.api.file_rename, target["$dnanexus_link"], {"name": "new"}),
        refused(dxpy.api.applet_rename, dxpy.describe(dxpy.JOB_ID)["applet"], {"name": "new"}),
    """
    assert answers(make_applet, dxpy.dxlink(file), tried) == [True, True]
    assert file.describe()["name"] == "mine"


def test_job_with_access_writes_into_the_project(make_applet: MakeApplet) -> None:
    script = 'echo new > new.txt; dx upload new.txt --path "$DX_PROJECT_CONTEXT_ID:/" --wait'
    as_job(make_applet, script, access={"project": "CONTRIBUTE"})
    assert dxpy.find_one_data_object(name="new.txt", folder="/")


def test_job_sees_no_other_project(make_applet: MakeApplet) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    secret = dxpy.upload_string("secret", name="secret", project=other, wait_on_close=True)
    tried = f"""
        refused(dxpy.api.file_describe, target),
        refused(dxpy.api.file_download, target),
        refused(dxpy.api.project_describe, "{other}"),
        refused(dxpy.api.project_list_folder, "{other}"),
        refused(dxpy.api.system_find_data_objects, {{"scope": {{"project": "{other}"}}}}),
        "{other}" in [one["id"] for one in dxpy.find_projects(level="VIEW")],
        [one["id"] for one in dxpy.find_data_objects(name="secret")],
    """
    expected = [True, True, True, True, True, False, []]
    assert answers(make_applet, secret.get_id(), tried) == expected


def test_job_with_access_to_all_projects_reads_them(make_applet: MakeApplet) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    dxpy.upload_string("shared", name="shared", project=other, wait_on_close=True)
    script = f"dx cat {other}:shared"
    assert "shared" in as_job(make_applet, script, access={"allProjects": "VIEW"})


def test_input_from_another_project_is_readable(make_applet: MakeApplet) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    file = dxpy.upload_string("given", name="given", project=other, wait_on_close=True)
    spec = [{"name": "file", "class": "file"}]
    applet = make_applet('dx cat "$file"', "bash", inputSpec=spec)
    job = applet.run({"file": dxpy.dxlink(file.get_id(), other)})
    assert ended(job)["state"] == "done"
    assert "given" in job_log(job)


def test_job_neither_sees_nor_ends_another_tree(make_applet: MakeApplet) -> None:
    other = make_applet("sleep 600", "bash").run({})
    in_state(other, "running")
    workspace = other.describe()["workspace"]
    tried = f"""
        refused(dxpy.api.job_describe, target),
        refused(dxpy.api.job_terminate, target),
        refused(dxpy.api.job_add_tags, target, {{"tags": ["mine"]}}),
        refused(dxpy.api.container_list_folder, "{workspace}"),
        len(list(dxpy.find_executions())),
    """
    assert answers(make_applet, other.get_id(), tried) == [True, True, True, True, 1]
    assert other.describe()["state"] == "running"
    other.terminate()


def test_job_neither_sees_nor_uses_an_analysis_of_another_tree(make_applet: MakeApplet) -> None:
    number = [{"name": "number", "class": "int"}]
    applet = make_applet("sleep 600", "bash", outputSpec=number).get_id()
    other = dxpy.new_dxworkflow(name="flow", stages=[{"id": "one", "executable": applet}]).run({})
    reference = {"input": {"number": other.get_output_ref("one.number")}}
    tried = f"""
        refused(dxpy.api.analysis_describe, target),
        refused(dxpy.api.analysis_terminate, target),
        refused(dxpy.api.analysis_add_tags, target, {{"tags": ["mine"]}}),
        refused(dxpy.api.job_new, {reference | {"function": "main"}}),
        refused(dxpy.api.workflow_new, {{
            "project": dxpy.WORKSPACE_ID, "initializeFrom": {{"id": target}}}}),
        len(list(dxpy.find_executions())),
    """
    assert answers(make_applet, other.get_id(), tried) == [True] * 5 + [1]
    assert other.describe()["state"] == "in_progress"
    other.terminate()


def test_output_gives_no_access_to_a_file_the_job_may_not_read(
    make_applet: MakeApplet, dx_project: str
) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    secret = dxpy.upload_string("secret", name="secret", project=other, wait_on_close=True)
    code = """
import dxpy

@dxpy.entry_point("main")
def main(secret):
    return {"file": dxpy.dxlink(secret)}
"""
    description = ended(make_applet(code).run({"secret": secret.get_id()}))
    assert description["failureReason"] == "OutputError"
    assert list(dxpy.find_data_objects(project=dx_project, name="secret")) == []


def test_subjob_gets_no_file_the_job_may_not_read(make_applet: MakeApplet) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    secret = dxpy.upload_string("secret", name="secret", project=other, wait_on_close=True)
    tried = """
        refused(dxpy.new_dxjob, {"target": dxpy.dxlink(target)}, "main"),
    """
    assert answers(make_applet, secret.get_id(), tried) == [True]


DESTROYS = f"""{REFUSED}
@dxpy.entry_point("main")
def main(other):
    new = {{"project": dxpy.PROJECT_CONTEXT_ID, "name": "new"}}
    return {{
        "reads": refused(dxpy.api.project_list_folder, other),
        "writes": refused(dxpy.api.file_new, new),
        "destroys": refused(dxpy.api.project_destroy, other),
    }}
"""
EVERYTHING = {"project": "ADMINISTER", "allProjects": "ADMINISTER", "projectCreation": True}


def test_subjob_has_at_most_the_rights_of_its_caller(make_applet: MakeApplet) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    greedy = make_applet(DESTROYS, access=EVERYTHING)
    code = f"""
import dxpy

@dxpy.entry_point("main")
def main(other):
    job = dxpy.DXApplet("{greedy.get_id()}").run({{"other": other}})
    return {{name: job.get_output_ref(name) for name in ("reads", "writes", "destroys")}}
"""
    output = ended(make_applet(code).run({"other": other}))["output"]
    assert output == {"reads": True, "writes": True, "destroys": True}
    with_rights = ended(make_applet(code, access={"project": "UPLOAD"}).run({"other": other}))
    assert with_rights["output"] == {"reads": True, "writes": False, "destroys": True}
    own = ended(greedy.run({"other": other}))
    assert own["output"] == {"reads": False, "writes": False, "destroys": False}


def test_detached_run_needs_the_right_to_change_the_project(make_applet: MakeApplet) -> None:
    inner = make_applet("true", "bash")
    code = f"""
import dxpy

@dxpy.entry_point("main")
def main():
    try:
        dxpy.DXApplet("{inner.get_id()}").run({{}}, detach=True)
    except dxpy.exceptions.PermissionDenied:
        return {{"refused": True}}
"""
    job = make_applet(code, access={"project": "UPLOAD"}).run({})
    assert ended(job)["output"] == {"refused": True}


def test_detached_run_has_at_most_the_rights_of_its_caller(make_applet: MakeApplet) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    greedy = make_applet(DESTROYS, access=EVERYTHING)
    code = f"""
import dxpy

@dxpy.entry_point("main")
def main(other):
    job = dxpy.DXApplet("{greedy.get_id()}").run({{"other": other}}, detach=True)
    return {{"job": job.get_id()}}
"""
    launching = make_applet(code, access={"project": "CONTRIBUTE"}).run({"other": other})
    detached = dxpy.DXJob(ended(launching)["output"]["job"])
    description = ended(detached)
    assert description["rootExecution"] == detached.get_id()
    assert description["output"] == {"reads": True, "writes": False, "destroys": True}


@pytest.mark.parametrize(("access", "refused"), [({}, True), (EVERYTHING, False)])
def test_job_makes_projects_only_where_its_access_says_so(
    make_applet: MakeApplet, access: dict, refused: bool
) -> None:
    tried = """refused(dxpy.api.project_new, {"name": "made by a job"})"""
    code = TRIES.replace("{answers}", "{'answer': " + tried + "}")
    job = make_applet(code, access=access).run({"target": ""})
    assert ended(job)["output"] == {"answer": refused}


def test_job_waits_for_nothing_that_it_may_not_see(make_applet: MakeApplet) -> None:
    other = make_applet("true", "bash").run({})
    secret = dxpy.new_dxrecord(project=dxpy.api.project_new({"name": "other"})["id"])
    tried = f"""
        [
            refused(dxpy.api.job_new, {{"function": "main", "input": {{}}, "dependsOn": [one]}})
            for one in ("{other.get_id()}", "{secret.get_id()}")
        ],
    """
    assert answers(make_applet, "", tried) == [[True, True]]


def test_only_a_job_makes_subjobs(dx_project: str) -> None:
    assert dx_project
    with pytest.raises(dxpy.exceptions.PermissionDenied):
        dxpy.api.job_new({"function": "main", "input": {}})


def test_identifiers_do_not_repeat(dx_project: str) -> None:
    assert dx_project
    made = {dxpy.new_dxrecord().get_id() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch("record-[0-9BFGJKPQVXYZbfgjkpqvxyz]{24}", one) for one in made)


def test_foreign_host_is_refused(dx_platform: LocalPlatform) -> None:
    port, token = dx_platform.port, dx_platform.token
    for host, status in ((f"127.0.0.1:{port}", 200), (f"rebound.example:{port}", 401)):
        headers = {"Host": host, "Authorization": f"Bearer {token}"}
        reply = urllib3.request("POST", f"http://127.0.0.1:{port}{WHOAMI}", headers=headers)
        assert reply.status == status


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are listed in /proc/net")
def test_only_loopback_is_listened_on(dx_platform: LocalPlatform) -> None:
    port = int(dx_platform.port)
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()
    ]
    listening = "0A"
    addresses = [row[1] for row in rows if row[3] == listening and row[1].endswith(f":{port:04X}")]
    assert addresses == [f"0100007F:{port:04X}"]


def test_unknown_route_names_itself_and_is_logged(
    dx_project: str, dx_platform: LocalPlatform
) -> None:
    del dx_project
    with pytest.raises(ResourceNotFound, match="/system/noSuchThing"):
        dxpy.DXHTTPRequest("/system/noSuchThing", {})
    assert dx_platform.complaints() == "unknown route /system/noSuchThing\n"


@pytest.mark.parametrize("body", ["[]", "{", '"text"'])
def test_body_that_is_no_object_is_refused(dx_project: str, body: str) -> None:
    del dx_project
    with pytest.raises(dxpy.exceptions.MalformedJSON):
        dxpy.DXHTTPRequest(WHOAMI, body, jsonify_data=False)
