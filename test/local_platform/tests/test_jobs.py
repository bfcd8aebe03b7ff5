"""Jobs: how they run, wait for one another, fail, restart, and are ended."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import dxpy
import pytest
from dxpy.exceptions import InvalidInput

from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx
from platform_fixtures import ended, in_state, job_log, read_log, until, write_applet

MakeApplet = Callable[..., dxpy.DXApplet]

TREE = """
import dxpy

@dxpy.entry_point("part")
def part(number):
    return {"numbers": [number, number * 10], "number": number}

@dxpy.entry_point("gather")
def gather(numbers):
    return {"total": sum(numbers)}

@dxpy.entry_point("main")
def main():
    parts = [dxpy.new_dxjob({"number": n}, "part") for n in (1, 2)]
    references = [part.get_output_ref("numbers") for part in parts]
    references.append(parts[0].get_output_ref("numbers", index=1))
    last = dxpy.new_dxjob({"numbers": references}, "gather", depends_on=parts)
    return {"total": last.get_output_ref("total")}

dxpy.run()
"""
FAILING_PART = """
import time
import dxpy

@dxpy.entry_point("part")
def part():
    raise dxpy.AppError("The part is broken.")

@dxpy.entry_point("slow")
def slow():
    time.sleep(600)

@dxpy.entry_point("main")
def main():
    dxpy.new_dxjob({}, "slow")
    return {"value": dxpy.new_dxjob({}, "part").get_output_ref("value")}

dxpy.run()
"""
SLEEP = """
sleep 600 &
setsid sleep 600 &
sleep 600
"""
FAILS_ONCE = """
import dxpy

@dxpy.entry_point("main")
def main():
    if dxpy.DXJob(dxpy.JOB_ID).describe()["try"] == 0:
        raise ValueError("not yet")
    return {"value": 1}

dxpy.run()
"""


def test_subjobs_and_references_make_a_tree(make_applet: MakeApplet) -> None:
    job = make_applet(TREE).run({})
    description = ended(job)
    assert description["state"] == "done"
    assert description["output"] == {"total": 1 + 10 + 2 + 20 + 10}
    members = [
        found["describe"] for found in dxpy.find_executions(root_execution=job, describe=True)
    ]
    assert sorted(member["function"] for member in members) == ["gather", "main", "part", "part"]
    assert {member["parentJob"] for member in members} == {None, job.get_id()}
    assert {member["workspace"] for member in members} == {description["workspace"]}


def test_parent_waits_on_output_while_its_subjob_runs(make_applet: MakeApplet) -> None:
    code = """
import time
import dxpy

@dxpy.entry_point("slow")
def slow():
    time.sleep(1)

@dxpy.entry_point("main")
def main():
    dxpy.new_dxjob({}, "slow")

dxpy.run()
"""
    job = make_applet(code).run({})
    in_state(job, "waiting_on_output")
    assert ended(job)["state"] == "done"
    states = [transition["newState"] for transition in job.describe()["stateTransitions"]]
    assert states == ["runnable", "running", "waiting_on_output", "done"]


def test_failed_subjob_fails_its_tree(make_applet: MakeApplet, dx_platform: LocalPlatform) -> None:
    job = make_applet(FAILING_PART).run({})
    root = ended(job)
    assert (root["state"], root["failureReason"]) == ("failed", "AppError")
    assert root["failureMessage"] == "The part is broken."
    members = {
        found["describe"]["function"]: found["describe"]
        for found in dxpy.find_executions(root_execution=job, describe=True)
    }
    assert root["failureFrom"]["id"] == members["part"]["id"]
    assert members["slow"]["failureReason"] == "JobTreeFailure"
    assert until(lambda: not dx_platform.job_processes())


def test_job_waits_for_the_jobs_it_depends_on(make_applet: MakeApplet) -> None:
    first = make_applet("sleep 1", "bash").run({})
    second = make_applet("true", "bash").run({}, depends_on=[first])
    in_state(second, "waiting_on_input")
    assert ended(second)["state"] == "done"
    assert ended(first)["stoppedRunning"] <= second.describe()["startedRunning"]


def test_job_waits_for_an_input_file_to_close(make_applet: MakeApplet) -> None:
    file = dxpy.new_dxfile(name="late")
    spec = [{"name": "file", "class": "file"}]
    job = make_applet("true", "bash", inputSpec=spec).run({"file": dxpy.dxlink(file)})
    in_state(job, "waiting_on_input")
    file.close()
    assert ended(job)["state"] == "done"


def giving(outputs: object) -> str:
    """Return bash code that gives these outputs."""
    return f"printf %s {shlex.quote(json.dumps(outputs))} > job_output.json"


def test_reference_to_another_tree_is_waited_for_and_checked(make_applet: MakeApplet) -> None:
    first = make_applet(giving({"number": 1, "text": "x"}), "bash").run({})
    second = make_applet("true", "bash", inputSpec=[{"name": "text", "class": "string"}])
    text, number, absent = (
        second.run({"text": first.get_output_ref(field)}) for field in ("text", "number", "absent")
    )
    assert ended(text)["input"] == {"text": "x"}
    assert [ended(job)["failureReason"] for job in (number, absent)] == ["InputError"] * 2


def test_bare_references_in_inputs_are_resolved(make_applet: MakeApplet) -> None:
    first = make_applet(giving({"values": [1, 2]}), "bash").run({})
    bare = {"job": first.get_id(), "field": "values"}
    values = {"whole": bare, "array": [bare, 3], "hash": {"deep": [{"one": bare | {"index": 1}}]}}
    spec = [
        {"name": "whole", "class": "array:int"},
        {"name": "array", "class": "array:int"},
        {"name": "hash", "class": "hash"},
    ]
    job = make_applet("true", "bash", inputSpec=spec).run(values)
    assert ended(job)["input"] == {
        "whole": [1, 2],
        "array": [1, 2, 3],
        "hash": {"deep": [{"one": 2}]},
    }


def test_hash_that_only_looks_like_a_reference_is_kept(make_applet: MakeApplet) -> None:
    hashes = [{"job": "baker", "field": "wheat"}, {"job": "job-" + "B" * 24}]
    applet = make_applet("true", "bash")
    assert ended(applet.run({"hashes": hashes}))["input"] == {"hashes": hashes}


def test_bare_reference_to_an_absent_job_is_an_error(make_applet: MakeApplet) -> None:
    reference = {"job": "job-" + "B" * 24, "field": "value"}
    with pytest.raises(InvalidInput, match="could not be found"):
        make_applet("true", "bash").run({"values": [reference]})


def test_bash_hands_on_the_output_of_a_subjob(make_applet: MakeApplet) -> None:
    code = """
    part() { echo '{"word": "hello"}' > job_output.json; }
    main() {
        job=$(dx-jobutil-new-job part)
        dx-jobutil-add-output word "$job:word" --class=jobref
        dx-jobutil-add-output words "$job:word" --class=jobref --array
    }
    """
    outputs = [{"name": "word", "class": "string"}, {"name": "words", "class": "array:string"}]
    description = ended(make_applet(code, "bash", outputSpec=outputs).run({}))
    assert description["output"] == {"word": "hello", "words": ["hello"]}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("return {'value': dxpy.DXJob(dxpy.JOB_ID).get_output_ref('value')}", "OutputError"),
        (
            "dxpy.new_dxjob({}, 'main', depends_on=[dxpy.DXJob(dxpy.JOB_ID)])",
            "DependencyUnsatisfiable",
        ),
    ],
)
def test_job_that_would_wait_for_itself_fails(
    make_applet: MakeApplet, code: str, reason: str
) -> None:
    source = f"import dxpy\n@dxpy.entry_point('main')\ndef main():\n    {code}\n"
    description = ended(make_applet(source).run({}))
    assert description["failureReason"] == reason
    assert "waits for" in description["failureMessage"]


def test_job_that_depends_on_a_failed_one_fails(make_applet: MakeApplet) -> None:
    first = make_applet("false", "bash").run({})
    second = make_applet("true", "bash").run({}, depends_on=[first])
    description = ended(second)
    assert description["failureReason"] == "DependencyUnsatisfiable"
    assert "startedRunning" not in description
    assert "stoppedRunning" not in description


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, 'the required output "number" is missing'),
        ({"number": "one"}, 'the output "number" is not of class int'),
        ({"number": 1, "other": 2}, 'the output "other" is not in the outputSpec'),
    ],
)
def test_output_is_checked_against_the_spec(
    make_applet: MakeApplet, outputs: dict, message: str
) -> None:
    spec = [{"name": "number", "class": "int"}]
    description = ended(make_applet(giving(outputs), "bash", outputSpec=spec).run({}))
    assert description["failureReason"] == "OutputError"
    assert message in description["failureMessage"]
    assert description["output"] is None


def test_output_file_left_open_is_closed(make_applet: MakeApplet) -> None:
    code = """
import dxpy

@dxpy.entry_point("main")
def main():
    file = dxpy.new_dxfile(name="open")
    file.write("abc")
    file.flush()
    return {"file": dxpy.dxlink(file.get_id())}
"""
    job = make_applet(code, outputSpec=[{"name": "file", "class": "file"}]).run({})
    output = ended(job)["output"]["file"]
    assert dxpy.DXFile(output).describe()["state"] == "closed"
    assert dxpy.DXFile(output).read() == "abc"


OUTPUTS_IN_FOLDERS = """
mkdir -p out/file/foo/bar out/files
echo one > out/file/foo/bar/one
echo two > out/files/two
dx-upload-all-outputs
dx mkdir -p /deep/er
three=$(echo three | dx upload - --brief --wait --path /deep/er/three)
dx-jobutil-add-output files "$three" --class=array:file --array
"""


def test_output_keeps_its_folders_below_the_destination(
    make_applet: MakeApplet, dx_project: str
) -> None:
    outputs = [{"name": "file", "class": "file"}, {"name": "files", "class": "array:file"}]
    inner = make_applet(OUTPUTS_IN_FOLDERS, "bash", outputSpec=outputs)
    outer = make_applet(
        f"job=$(dx run {inner.get_id()} -y --brief)\n"
        'dx-jobutil-add-output file "$job:file" --class=jobref\n'
        'dx-jobutil-add-output files "$job:files" --class=jobref\n',
        "bash",
        outputSpec=outputs,
    )
    expected = set()
    for applet, top in ((inner, ""), (outer, "/results")):
        job = applet.run({}, folder=top or "/")
        assert ended(job)["state"] == "done", job.describe()
        expected |= {f"{top}/foo/bar/one", f"{top}/two", f"{top}/deep/er/three"}
        found = dxpy.find_data_objects(classname="file", project=dx_project, describe=True)
        described = [one["describe"] for one in found]
        assert {f"{one['folder'].rstrip('/')}/{one['name']}" for one in described} == expected
        assert f"{top}/" not in {one["folder"] for one in described} - {"/"}


def test_intermediate_files_vanish_with_the_workspace(
    make_applet: MakeApplet, dx_project: str
) -> None:
    code = """
import dxpy

@dxpy.entry_point("main")
def main():
    kept = dxpy.upload_string("kept", name="kept")
    dropped = dxpy.upload_string("dropped", name="dropped")
    return {"file": dxpy.dxlink(kept), "id": dropped.get_id()}
"""
    description = ended(make_applet(code).run({}))
    assert [
        found["describe"]["name"]
        for found in dxpy.find_data_objects(classname="file", project=dx_project, describe=True)
    ] == ["kept"]
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.describe(description["output"]["id"])


def test_inputs_are_cloned_into_the_workspace(make_applet: MakeApplet, dx_project: str) -> None:
    file = dxpy.upload_string("mine", name="mine.txt", wait_on_close=True)
    code = """
import dxpy

@dxpy.entry_point("main")
def main(files):
    workspace = dxpy.DXContainer(dxpy.WORKSPACE_ID)
    listed = [one["id"] for one in workspace.list_folder(only="objects")["objects"]]
    workspace.new_folder("/sorted")
    workspace.move("/sorted", listed)
    moved = [one["id"] for one in workspace.list_folder("/sorted")["objects"]]
    workspace.remove_objects(moved)
    left = workspace.list_folder("/sorted")["objects"]
    return {"listed": listed, "moved": moved, "left": left}
"""
    link = {"$dnanexus_link": {"project": dx_project, "id": file.get_id()}}
    output = ended(make_applet(code).run({"files": [link]}))["output"]
    assert output == {"listed": [file.get_id()], "moved": [file.get_id()], "left": []}
    assert file.describe()["folder"] == "/"


def test_applet_run_from_a_job_hands_its_output_to_the_parent(make_applet: MakeApplet) -> None:
    inner = make_applet("""
import dxpy

@dxpy.entry_point("main")
def main():
    return {"file": dxpy.dxlink(dxpy.upload_string("inner", name="inner"))}
""")
    outer = make_applet(f"""
import dxpy

@dxpy.entry_point("main")
def main():
    job = dxpy.DXApplet("{inner.get_id()}").run({{}})
    return {{"file": job.get_output_ref("file")}}
""")
    job = outer.run({})
    output = ended(job)["output"]
    assert dxpy.DXFile(output["file"]).read() == "inner"
    child = next(dxpy.find_executions(parent_job=job, describe=True))["describe"]
    assert child["workspace"] != job.describe()["workspace"]


def test_job_finishes_though_its_applet_was_removed(
    make_applet: MakeApplet, dx_project: str
) -> None:
    code = """
import time
import dxpy

@dxpy.entry_point("part")
def part():
    return {"value": 1}

@dxpy.entry_point("main")
def main():
    project = dxpy.DXProject(dxpy.PROJECT_CONTEXT_ID)
    while project.list_folder()["objects"]:
        time.sleep(0.05)
    return {"value": dxpy.new_dxjob({}, "part").get_output_ref("value")}
"""
    applet = make_applet(code, outputSpec=[{"name": "value", "class": "int"}])
    job = applet.run({})
    dxpy.DXProject(dx_project).remove_objects([applet.get_id()])
    assert ended(job)["output"] == {"value": 1}
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        applet.describe()


def test_terminate_ends_every_process_of_the_tree(
    make_applet: MakeApplet, dx_platform: LocalPlatform, dx: Dx
) -> None:
    job = make_applet(SLEEP, "bash").run({})
    until(dx_platform.job_processes)
    dx("terminate", job.get_id())
    assert ended(job)["state"] == "terminated"
    assert dx_platform.job_processes() == []


def test_job_over_its_time_limit_is_killed(
    make_applet: MakeApplet, dx_platform: LocalPlatform
) -> None:
    # The service takes whole minutes only.
    policy = {"timeoutPolicy": {"*": {"minutes": 0.01}}}
    description = ended(make_applet(SLEEP, "bash", runSpec=policy).run({}))
    assert (description["state"], description["failureReason"]) == ("failed", "JobTimeoutExceeded")
    assert dx_platform.job_processes() == []


@pytest.mark.parametrize("entry_point", ["*", "part"])
def test_time_limit_of_a_run_reaches_its_entry_points(
    make_applet: MakeApplet, entry_point: str
) -> None:
    code = "part() { sleep 600; }\nmain() { dx-jobutil-new-job part; }\n"
    policy = {name: {"hours": 1} for name in ("main", "part")}
    applet = make_applet(code, "bash", runSpec={"timeoutPolicy": policy})
    # Long enough for main, which ends by itself.
    limit = {entry_point: {"minutes": 0.1}}
    request = {
        "project": applet.get_proj_id(),
        "input": {},
        "timeoutPolicyByExecutable": {applet.get_id(): limit},
    }
    job = dxpy.DXJob(dxpy.api.applet_run(applet.get_id(), request)["id"])
    description = ended(job)
    assert description["failureReason"] == "JobTimeoutExceeded"


def test_children_left_behind_do_not_outlive_the_job(
    make_applet: MakeApplet, dx_platform: LocalPlatform
) -> None:
    job = make_applet("sleep 600 &\nsetsid sleep 600 &\n", "bash").run({})
    assert ended(job)["state"] == "done"
    assert dx_platform.job_processes() == []


@pytest.mark.parametrize(("count", "state"), [(1, "done"), (0, "failed")])
def test_job_restarts_as_its_policy_says(make_applet: MakeApplet, count: int, state: str) -> None:
    policy = {"executionPolicy": {"restartOn": {"AppInternalError": count}}}
    description = ended(make_applet(FAILS_ONCE, runSpec=policy).run({}))
    assert (description["state"], description["try"]) == (state, count)


def test_app_error_is_never_restarted(make_applet: MakeApplet) -> None:
    code = FAILS_ONCE.replace("ValueError", "dxpy.AppError")
    policy = {"executionPolicy": {"restartOn": {"*": 3}}}
    assert ended(make_applet(code, runSpec=policy).run({}))["failureReason"] == "AppError"


def test_failed_subjob_restarts_the_main_entry_point(make_applet: MakeApplet) -> None:
    code = """
import dxpy

@dxpy.entry_point("part")
def part(attempt):
    if attempt == 0:
        raise ValueError("not yet")

@dxpy.entry_point("main")
def main():
    dxpy.new_dxjob({"attempt": dxpy.DXJob(dxpy.JOB_ID).describe()["try"]}, "part")
"""
    policy = {"executionPolicy": {"restartOn": {"*": 1}}}
    description = ended(make_applet(code, runSpec=policy).run({}))
    assert (description["state"], description["try"]) == ("done", 1)


def test_restarted_job_takes_no_place_while_its_earlier_worker_ends(
    make_applet: MakeApplet,
) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs a second processor for the job behind the restarted one")
    # Removing so many files takes time, in which the worker is not gone.
    code = """
import os
import time
import dxpy

@dxpy.entry_point("part")
def part():
    raise ValueError("not yet")

@dxpy.entry_point("main")
def main():
    if dxpy.DXJob(dxpy.JOB_ID).describe()["try"] == 0:
        for number in range(40_000):
            open(str(number), "w").close()
        dxpy.new_dxjob({}, "part")
        time.sleep(600)
"""
    policy = {"executionPolicy": {"restartOn": {"*": 1}}}
    blocker = make_applet("sleep 600", "bash")
    blockers = [blocker.run({}) for _ in range((os.cpu_count() or 1) - 2)]
    small = make_applet("true", "bash")
    restarted = make_applet(code, runSpec=policy).run({})
    until(lambda: restarted.describe()["try"] == 1)
    behind = small.run({})
    assert [ended(restarted)["state"], ended(behind)["state"]] == ["done", "done"]
    assert behind.describe()["startedRunning"] < restarted.describe()["startedRunning"]
    for job in blockers:
        job.terminate()


def test_two_jobs_run_at_once(make_applet: MakeApplet) -> None:
    if os.cpu_count() == 1:
        pytest.skip("one processor runs one job at a time")
    applet = make_applet("sleep 2", "bash")
    first, second = applet.run({}), applet.run({})
    in_state(second, "running")
    assert first.describe()["state"] == "running"
    assert [ended(first)["state"], ended(second)["state"]] == ["done", "done"]


def test_waiting_parents_leave_their_place_to_their_subjobs(make_applet: MakeApplet) -> None:
    code = """
import dxpy

@dxpy.entry_point("main")
def main(depth):
    if depth:
        dxpy.new_dxjob({"depth": depth - 1}, "main").wait_on_done(interval=0.1)
"""
    job = make_applet(code).run({"depth": (os.cpu_count() or 1) + 1})
    assert ended(job)["state"] == "done"


def test_bash_finds_its_inputs_as_variables_and_runs_main(make_applet: MakeApplet) -> None:
    file = dxpy.upload_string("content", name="some file.txt", wait_on_close=True)
    code = """
main() {
    dx-download-all-inputs
    echo "words=$words number=$number path=$file_path"
    cat "$file_path" > copy.txt
    dx-jobutil-add-output copy "$(dx upload copy.txt --brief)" --class=file
    dx-jobutil-add-output words --array one
    dx-jobutil-add-output words --array two
}
"""
    applet = make_applet(
        code,
        "bash",
        inputSpec=[
            {"name": "file", "class": "file"},
            {"name": "words", "class": "string"},
            {"name": "number", "class": "int", "default": 7},
        ],
        outputSpec=[
            {"name": "copy", "class": "file"},
            {"name": "words", "class": "array:string"},
        ],
    )
    job = applet.run({"file": dxpy.dxlink(file), "words": "a 'b' $c"})
    output = ended(job)["output"]
    assert dxpy.DXFile(output["copy"]).read() == "content"
    assert output["words"] == ["one", "two"]
    assert "words=a 'b' $c number=7" in job_log(job)


def test_bash_error_is_reported_by_the_utility(make_applet: MakeApplet) -> None:
    code = "main() {\n  dx-jobutil-report-error 'Wrong input.' AppError\n}\n"
    description = ended(make_applet(code, "bash").run({}))
    assert description["failureReason"] == "AppError"
    assert description["failureMessage"] == "Wrong input."


@pytest.mark.parametrize(
    ("code", "interpreter", "ending"),
    [
        ("echo fine\necho 'first\nlast words' >&2\necho >&2\nexit 7", "bash", "7: last words"),
        ("grep x absent", "bash", "2: grep: absent: No such file or directory"),
        ("import sys; sys.exit('not so')", "python3", "1: not so"),
        ("exit 4", "bash", "4, and wrote nothing to standard error; see its log"),
        ("kill -9 $$", "bash", "137 (SIGKILL), and wrote nothing to standard error; see its log"),
    ],
)
def test_last_line_of_stderr_is_the_reason(
    make_applet: MakeApplet, code: str, interpreter: str, ending: str
) -> None:
    description = ended(make_applet(code, interpreter).run({}))
    assert description["failureReason"] == "AppInternalError"
    assert description["failureMessage"].endswith(ending)


def test_error_file_counts_only_if_the_program_failed(make_applet: MakeApplet) -> None:
    code = """
echo '{"error": {"type": "AppError", "message": "In this section."}}' > job_error.json
echo '{"word": "hello"}' > job_output.json
exit $status
"""
    spec = [{"name": "status", "class": "int"}]
    applet = make_applet(code, "bash", inputSpec=spec)
    description = ended(applet.run({"status": 0}))
    assert (description["state"], description["output"]) == ("done", {"word": "hello"})
    description = ended(applet.run({"status": 1}))
    assert description["failureReason"] == "AppError"
    assert description["failureMessage"] == "In this section."


def test_python_need_not_import_nor_call_dxpy(make_applet: MakeApplet) -> None:
    code = "@dxpy.entry_point('main')\ndef main():\n    return {'value': __file__}\n"
    job = make_applet(code).run({})
    assert Path(ended(job)["output"]["value"]).name == job.get_id()


def test_environment_is_the_workers(
    make_applet: MakeApplet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    job = make_applet("env\necho folder=$PWD home=$HOME\nls -a", "bash").run({})
    description = ended(job)
    log = job_log(job)
    assert f"DX_JOB_ID={job.get_id()}" in log
    assert f"DX_WORKSPACE_ID={description['workspace']}" in log
    assert f"DX_PROJECT_CONTEXT_ID={description['project']}" in log
    assert f"DX_RESOURCES_ID={description['project']}" in log
    assert "proxy" not in log.lower()
    folder, home = log.split("folder=")[1].split()[:2]
    assert home == f"home={folder}"
    assert folder.endswith("/home/dnanexus")
    for name in ("job_input.json", "dnanexus-job.json", "dnanexus-executable.json", job.get_id()):
        assert name in log


def test_resources_are_unpacked_under_a_private_root(dx: Dx) -> None:
    code = "cat words.txt; echo; tool; python3 -c 'import packaged'\n"
    write_applet(dx.folder / "tool", code)
    resources = dx.folder / "tool" / "resources"
    for folder in ("home/dnanexus", "usr/bin", "usr/lib/python3/dist-packages"):
        (resources / folder).mkdir(parents=True)
    (resources / "home/dnanexus/words.txt").write_text("from home")
    (resources / "usr/bin/tool").write_text("#!/bin/sh\necho from bin\n")
    (resources / "usr/bin/tool").chmod(0o755)
    (resources / "usr/lib/python3/dist-packages/packaged.py").write_text("print('from package')\n")
    dx("build", "tool")
    log = dx("run", "tool", "-y", "--watch").stdout
    for source in ("home", "bin", "package"):
        assert f"from {source}" in log
    assert not Path("/usr/bin/tool").exists()


def test_installed_packages_satisfy_exec_depends(make_applet: MakeApplet) -> None:
    depends = {"execDepends": [{"name": "samtools"}, {"name": "dx-toolkit"}]}
    assert ended(make_applet("true", "bash", runSpec=depends).run({}))["state"] == "done"


def test_package_that_cannot_be_had_is_named(make_applet: MakeApplet) -> None:
    depends = {"execDepends": [{"name": "no-such-package", "package_manager": "pip"}]}
    description = ended(make_applet("true", "bash", runSpec=depends).run({}))
    assert description["failureReason"] == "AppInternalError"
    assert "no-such-package" in description["failureMessage"]


def test_package_for_another_entry_point_is_not_needed(make_applet: MakeApplet) -> None:
    depends = {"execDepends": [{"name": "absent", "package_manager": "pip", "stages": ["other"]}]}
    assert ended(make_applet("true", "bash", runSpec=depends).run({}))["state"] == "done"


def test_job_can_be_labelled(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet("true", "bash").run({}, tags=["first"], properties={"a": "1"}, name="named")
    job.add_tags(["second"])
    job.set_properties({"a": None, "b": "2"})
    job.remove_tags(["first"])
    description = job.describe(fields={"tags": True, "properties": True, "name": True})
    assert description["tags"] == ["second"]
    assert description["properties"] == {"b": "2"}
    assert description["name"] == "named"
    assert "named" in dx("find", "jobs", "--tag", "second", "--property", "b=2").stdout


@pytest.mark.parametrize("release", ["16.04", "14.04", "12.04"])
def test_log_of_a_retired_release_begins_by_saying_so(
    make_applet: MakeApplet, release: str
) -> None:
    job = make_applet("true", "bash", runSpec={"release": release}).run({})
    first = read_log(job)[0]
    assert first["level"] == "INFO"
    assert first["msg"].startswith(f"DNAnexus no longer runs Ubuntu {release}: ")


STARTS_LATE = """
import json
import os
import shlex
import time
import dxpy

@dxpy.entry_point("part")
def part(context, applet):
    parent = dxpy.DXJob(dxpy.DXJob(dxpy.JOB_ID).describe()["parentJob"])
    while parent.describe()["state"] == "running":
        time.sleep(0.05)
    dxpy.set_security_context(context)
    answers = []
    for start in (
        lambda: dxpy.api.job_new({"function": "part", "input": {}}),
        lambda: dxpy.api.applet_run(applet, {"input": {}}),
        lambda: dxpy.api.applet_run(applet, {"input": {}, "detach": True}),
    ):
        try:
            answers.append(start()["id"])
        except dxpy.exceptions.DXAPIError as error:
            answers.append(error.name)
    return {"answers": answers}

@dxpy.entry_point("main")
def main():
    applet = dxpy.DXJob(dxpy.JOB_ID).describe()["applet"]
    part = dxpy.new_dxjob({"context": dxpy.SECURITY_CONTEXT, "applet": applet}, "part")
    return {"answers": part.get_output_ref("answers")}
"""
STARTS_MANY = """
import dxpy

@dxpy.entry_point("part")
def part():
    pass

@dxpy.entry_point("main")
def main():
    while True:
        dxpy.new_dxjob({}, "part")
"""


def test_job_that_no_longer_runs_starts_no_job(make_applet: MakeApplet) -> None:
    access = {"project": "CONTRIBUTE"}
    description = ended(make_applet(STARTS_LATE, access=access).run({}))
    assert description["output"] == {"answers": ["InvalidAuthentication"] * 3}


def test_terminating_a_job_that_starts_subjobs_leaves_no_orphan(make_applet: MakeApplet) -> None:
    job = make_applet(STARTS_MANY).run({})
    until(lambda: len(list(dxpy.find_executions(parent_job=job))) > 2)
    job.terminate()
    ended(job)

    def states() -> set[str]:
        tree = dxpy.find_executions(root_execution=job, describe=True)
        return {member["describe"]["state"] for member in tree}

    assert until(lambda: states() <= {"done", "terminated", "failed"})
    assert "failed" not in states()


def test_waiting_and_running_jobs_are_terminated_once(make_applet: MakeApplet, dx: Dx) -> None:
    first = make_applet("sleep 600", "bash").run({})
    second = make_applet("true", "bash").run({}, depends_on=[first])
    in_state(second, "waiting_on_input")
    for job in (second, first):
        for _ in range(3):
            job.terminate()
        description = ended(job)
        assert description["state"] == "terminated"
        states = [transition["newState"] for transition in description["stateTransitions"]]
        assert states.count("terminating") == 1
    assert "terminated" in dx("describe", second.get_id()).stdout


REQUESTS_MACHINES = """
import dxpy

@dxpy.entry_point("main")
def main(never):
    dxpy.new_dxjob({}, "part", depends_on=[never])
    dxpy.new_dxjob({}, "part", depends_on=[never], instance_type="mem1_ssd1_v2_x36")
"""
NEEDS = {
    "main": {"instanceType": "mem1_ssd1_v2_x2"},
    "part": {"instanceType": "mem1_ssd1_v2_x8"},
}


@pytest.mark.parametrize(
    ("options", "machines"),
    [
        ([], ["main x2", "part x8", "part x36"]),
        (["--instance-type", "mem1_ssd1_v2_x16"], ["main x16", "part x16", "part x36"]),
        (
            ["--instance-type", '{"part": "mem1_ssd1_v2_x16"}'],
            ["main x2", "part x16", "part x36"],
        ),
        (
            ["--instance-type-by-executable", '{"APPLET": {"part": "mem1_ssd1_v2_x72"}}'],
            ["main x2", "part x72", "part x72"],
        ),
        (
            ["--instance-type-by-executable", '{"*": {"*": "mem1_ssd1_v2_x72"}}'],
            ["main x72", "part x72", "part x72"],
        ),
    ],
)
def test_instance_types_reach_every_entry_point(
    make_applet: MakeApplet, dx: Dx, options: list[str], machines: list[str]
) -> None:
    applet = make_applet(REQUESTS_MACHINES, runSpec={"systemRequirements": NEEDS})
    options = [option.replace("APPLET", applet.get_id()) for option in options]
    # The parts need not run, so they wait for a file that stays open.
    options.append(f"-inever:string={dxpy.new_dxfile(name='never').get_id()}")
    job = dxpy.DXJob(dx("run", applet.get_id(), *options, "-y", "--brief").stdout.strip())
    in_state(job, "waiting_on_output")
    tree = dxpy.find_executions(root_execution=job, describe=True)
    found = [
        f"{one['describe']['function']} {one['describe']['instanceType'].rpartition('_')[2]}"
        for one in tree
    ]
    assert sorted(found) == sorted(machines)


def test_instance_types_are_described_as_requested(make_applet: MakeApplet, dx: Dx) -> None:
    applet = make_applet("true", "bash", runSpec={"systemRequirements": NEEDS})
    by_executable = {applet.get_id(): {"main": "mem1_ssd1_v2_x72"}}
    options = ["--instance-type", "mem1_ssd1_v2_x16"]
    options += ["--instance-type-by-executable", json.dumps(by_executable)]
    job = dx("run", applet.get_id(), *options, "-y", "--brief").stdout.split()[-1]
    described = json.loads(dx("describe", job, "--verbose", "--json").stdout)
    everywhere = {"*": {"instanceType": "mem1_ssd1_v2_x16"}}
    by_executable = {applet.get_id(): {"main": {"instanceType": "mem1_ssd1_v2_x72"}}}
    assert described["runSystemRequirements"] == everywhere
    assert described["runSystemRequirementsByExecutable"] == by_executable
    assert described["mergedSystemRequirementsByExecutable"] == by_executable
    assert described["systemRequirements"] == everywhere | by_executable[applet.get_id()]
    assert "runSystemRequirements" not in json.loads(dx("describe", job, "--json").stdout)


def test_unknown_instance_type_by_executable_is_an_error(make_applet: MakeApplet) -> None:
    applet = make_applet("true", "bash")
    huge, small = ({"main": {"instanceType": one}} for one in ("huge", "mem1_ssd1_v2_x2"))
    for asked in ({applet.get_id(): huge}, {"sometool": small}):
        with pytest.raises(InvalidInput, match="systemRequirementsByExecutable"):
            applet.run({}, system_requirements_by_executable=asked)


def test_reference_may_ask_for_the_name_of_a_file(make_applet: MakeApplet) -> None:
    giving = """
        dx-jobutil-add-output file "$(echo text | dx upload --brief --wait --path words.txt -)"
        dx-jobutil-add-output number 5
    """
    first = make_applet(giving, "bash").run({})

    def reference(field: str, metadata: str) -> dict:
        asked = {"job": first.get_id(), "field": field, "metadata": metadata}
        return {"$dnanexus_link": asked}

    applet = make_applet("true", "bash", inputSpec=[{"name": "name", "class": "string"}])
    assert ended(applet.run({"name": reference("file", "name")}))["input"] == {"name": "words.txt"}
    for field, metadata in (("number", "name"), ("file", "size")):
        description = ended(applet.run({"name": reference(field, metadata)}))
        assert description["failureReason"] == "InputError"
        assert f'has no metadata "{metadata}"' in description["failureMessage"]


def test_clone_keeps_the_instance_type(make_applet: MakeApplet, dx: Dx) -> None:
    applet = make_applet("true", "bash")
    first = applet.run({}, instance_type="mem2_ssd1_v2_x2")
    again = dx("run", "--clone", first.get_id(), "-y", "--brief").stdout.strip()
    assert dxpy.describe(again)["instanceType"] == "mem2_ssd1_v2_x2"
