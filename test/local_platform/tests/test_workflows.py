"""Workflows with the real client: their stages, their runs, and the analyses these are."""

import json
from collections.abc import Callable

import dxpy
import pytest
from dxpy.exceptions import DXJobFailureError, InvalidInput, InvalidState

from local_platform.testing.project import Dx
from platform_fixtures import ended, until

MakeApplet = Callable[..., dxpy.DXApplet]

NUMBER = [{"name": "number", "class": "int"}]
ADD_ONE = """printf '{"number": %d}' $((number + 1)) > job_output.json"""
ERROR = '{"error": {"type": "AppError", "message": "too large"}}'
FAIL = f"echo '{ERROR}' > job_error.json; exit 1"
WAIT = "sleep 600"


@pytest.fixture
def make_stage(make_applet: MakeApplet) -> Callable[..., str]:
    """Make an applet that takes a number and gives one; return its ID."""

    def make(code: str = ADD_ONE, name: str = "add_one") -> str:
        specs = {"inputSpec": NUMBER, "outputSpec": NUMBER}
        return make_applet(code, "bash", name=name, **specs).get_id()

    return make


def stage(stage_id: str, applet: str, number: object = None, **fields: object) -> dict:
    """Return a stage as a dxworkflow.json has it."""
    bound = {} if number is None else {"input": {"number": number}}
    return {"id": stage_id, "executable": applet} | bound | fields


def output_of(stage_id: str) -> dict:
    return dxpy.dxlink({"stage": stage_id, "outputField": "number"})


def new_workflow(*stages: dict, **fields: object) -> dxpy.DXWorkflow:
    return dxpy.new_dxworkflow(name="flow", stages=list(stages), **fields)


def finished(analysis: dxpy.DXAnalysis) -> dict:
    """Return the description of an analysis whose jobs have all ended."""
    final = ("done", "failed", "terminated")
    until(lambda: analysis.describe()["state"] in final)
    return analysis.describe()


def stage_states(described: dict) -> list[str]:
    return [one["execution"]["state"] for one in described["stages"]]


def test_a_built_workflow_runs_and_hands_outputs_from_stage_to_stage(
    dx: Dx, make_stage: Callable[..., str]
) -> None:
    applet = make_stage()
    folder = dx.folder / "flow"
    folder.mkdir()
    stages = [stage("first", applet), stage("second", applet, output_of("first"))]
    (folder / "dxworkflow.json").write_text(json.dumps({"name": "flow", "stages": stages}))
    dx("build", "flow")
    analysis = dx("run", "flow", "-i0.number=1", "-y", "--brief", "--wait").stdout.strip()
    described = json.loads(dx("describe", analysis, "--json").stdout)
    assert described["state"] == "done"
    assert described["output"] == {"first.number": 2, "second.number": 3}
    assert "second.number = 3" in dx("describe", analysis).stdout


def test_a_stage_may_stand_before_the_one_whose_output_it_takes(
    make_stage: Callable[..., str],
) -> None:
    applet = make_stage()
    later = stage("later", applet, output_of("earlier"))
    described = finished(new_workflow(later, stage("earlier", applet, 1)).run({}))
    assert described["output"] == {"later.number": 3, "earlier.number": 2}


def test_a_workflow_has_inputs_and_outputs_of_its_own(make_stage: Callable[..., str]) -> None:
    linked = dxpy.dxlink({"workflowInputField": "start"})
    copied = dxpy.dxlink({"stage": "one", "inputField": "number"})
    workflow = new_workflow(
        stage("one", applet := make_stage(), linked),
        stage("two", applet, copied),
        workflow_inputs=[{"name": "start", "class": "int"}],
        workflow_outputs=[{"name": "end", "class": "int", "outputSource": output_of("two")}],
    )
    analysis = workflow.run({"start": 41})
    described = finished(analysis)
    assert described["output"] == {"end": 42}
    assert described["input"] == {"one.number": 41, "two.number": 41}
    with pytest.raises(InvalidInput, match=r'"one\.number" is private and cannot be overridden'):
        workflow.run({"one.number": 1})
    with pytest.raises(InvalidInput, match=r'the required input "start" is missing'):
        workflow.run({})


def test_stages_are_added_listed_changed_moved_and_removed(
    dx: Dx, make_stage: Callable[..., str]
) -> None:
    make_stage()
    dx("new", "workflow", "flow", "--title", "My flow")
    for name in ("first", "second"):
        dx("add", "stage", "flow", "add_one", "--name", name, "-inumber=1")
    dx("update", "stage", "flow", "second", "-inumber=2", "--relative-output-folder", "out")
    listed = dx("list", "stages", "flow").stdout
    assert "Stage 1: second" in listed
    assert "<workflow output folder>/out" in listed
    assert "number=2" in listed
    workflow = dxpy.DXWorkflow(dxpy.find_one_data_object(name="flow")["id"])
    workflow.move_stage("second", 0)
    assert [one["name"] for one in workflow.stages] == ["second", "first"]
    dx("remove", "stage", "flow", "0")
    assert [one["name"] for one in workflow.describe()["stages"]] == ["first"]


def test_an_edit_needs_the_latest_version_of_an_open_workflow(
    make_stage: Callable[..., str],
) -> None:
    workflow, applet = new_workflow(), make_stage()
    workflow.add_stage(applet)
    with pytest.raises(InvalidState, match="is at edit version 1, not 0"):
        workflow.add_stage(applet, edit_version=0)
    workflow.close()
    with pytest.raises(InvalidState, match="is not in the open state"):
        workflow.update(title="later")


def test_an_applet_with_other_inputs_takes_a_stage_only_by_force(
    make_applet: MakeApplet, make_stage: Callable[..., str]
) -> None:
    workflow = new_workflow(stage("one", make_stage(), 1))
    other = make_applet("true", "bash", inputSpec=[{"name": "text", "class": "string"}])
    with pytest.raises(InvalidState, match="is not compatible") as refused:
        workflow.update_stage("one", executable=other)
    assert 'The input "number" is missing' in refused.value.details["incompatibilities"]
    workflow.update_stage("one", executable=other, force=True)
    assert workflow.stages[0]["executable"] == other.get_id()
    assert workflow.stages[0]["input"] == {}


def test_outputs_lie_where_stage_and_run_say(
    make_applet: MakeApplet, dx: Dx, dx_project: str
) -> None:
    code = 'date > out.txt\ndx-jobutil-add-output file "$(dx upload out.txt --brief)" --class=file'
    applet = make_applet(code, "bash", outputSpec=[{"name": "file", "class": "file"}]).get_id()
    stages = [stage("a", applet, folder="relative"), stage("b", applet, folder="/absolute")]
    workflow = new_workflow(*stages, stage("c", applet), output_folder="/flow")
    finished(workflow.run({}, stage_folders={"c": "given"}))
    found = dx("find", "data", "--class", "file", "--project", dx_project).stdout
    for folder in ("/flow/relative", "/absolute", "/flow/given"):
        assert f" {folder}/out.txt " in found


def test_outputs_of_a_workflow_that_a_job_runs_lie_in_the_folder_of_the_job(
    make_applet: MakeApplet, dx: Dx
) -> None:
    file = {"outputSpec": [{"name": "file", "class": "file"}]}
    code = 'date > out.txt\ndx-jobutil-add-output file "$(dx upload out.txt --brief)" --class=file'
    workflow = new_workflow(stage("one", make_applet(code, "bash", **file).get_id(), folder="low"))
    runs = f"""
import dxpy
@dxpy.entry_point("main")
def main():
    return {{"file": dxpy.DXWorkflow("{workflow.get_id()}").run({{}}).get_output_ref("one.file")}}
dxpy.run()
"""
    job = make_applet(runs, access={"project": "VIEW"}, **file).run({}, folder="/top")
    assert ended(job)["state"] == "done"
    assert " /top/low/out.txt " in dx("find", "data", "--class", "file").stdout


def test_machines_are_asked_for_by_stage_and_by_executable(make_stage: Callable[..., str]) -> None:
    workflow = new_workflow(
        stage("one", applet := make_stage(), 1),
        stage("two", applet, 1, systemRequirements={"main": {"instanceType": "mem1_ssd1_v2_x2"}}),
    )

    def types(**options: object) -> list[str]:
        stages = workflow.run({}, **options).describe()["stages"]
        return [one["execution"]["instanceType"] for one in stages]

    assert types() == ["mem1_ssd1_v2_x4", "mem1_ssd1_v2_x2"]
    assert types(stage_instance_types={"one": "mem2_ssd1_v2_x8"})[0] == "mem2_ssd1_v2_x8"
    assert types(instance_type="mem2_ssd1_v2_x8") == ["mem2_ssd1_v2_x8"] * 2
    by_executable = {applet: {"*": {"instanceType": "mem3_ssd1_v2_x2"}}}
    wanted = types(system_requirements_by_executable=by_executable)
    assert wanted == ["mem3_ssd1_v2_x2"] * 2


def test_what_is_asked_of_a_run_is_asked_of_the_job_of_each_stage(
    make_stage: Callable[..., str],
) -> None:
    workflow = new_workflow(stage("one", applet := make_stage(), 1))
    needed = dxpy.DXApplet(applet).run({"number": 1})
    options = {"detailed_job_metrics": True, "depends_on": [needed], "rerun_stages": ["one"]}
    job = dxpy.DXJob(workflow.run({}, **options).describe()["stages"][0]["execution"]["id"])
    described = job.describe(fields={"detailedJobMetrics": True, "dependsOn": True})
    assert described["detailedJobMetrics"] is True
    assert described["dependsOn"] == [needed.get_id()]
    asked = {"input": {}, "project": workflow.get_proj_id(), "singleContext": True}
    with pytest.raises(InvalidInput, match='does not serve the field "singleContext"'):
        dxpy.api.workflow_run(workflow.get_id(), asked)


def test_a_failing_stage_fails_the_others(make_stage: Callable[..., str]) -> None:
    failing, waiting = make_stage(FAIL, "fails"), make_stage(WAIT, "waits")
    analysis = new_workflow(stage("bad", failing, 1), stage("good", waiting, 1)).run({})
    described = finished(analysis)
    assert described["state"] == "failed"
    assert stage_states(described) == ["failed", "failed"]
    with pytest.raises(DXJobFailureError, match="failed because of AppError: too large"):
        analysis.wait_on_done()


def test_a_stage_can_fail_alone_with_those_that_need_its_output(
    make_stage: Callable[..., str],
) -> None:
    alone = {"executionPolicy": {"onNonRestartableFailure": "failStage"}}
    analysis = new_workflow(
        stage("bad", make_stage(FAIL, "fails"), 1, **alone),
        stage("needs", applet := make_stage(), output_of("bad")),
        stage("other", applet, 1),
    ).run({})
    described = finished(analysis)
    assert described["state"] == "failed"
    assert described["failureMessage"] == "too large"
    assert stage_states(described) == ["failed", "failed", "done"]
    assert described["stages"][1]["execution"]["failureReason"] == "DependencyUnsatisfiable"


def test_terminating_an_analysis_ends_the_jobs_of_its_stages(
    dx: Dx, make_stage: Callable[..., str]
) -> None:
    applet = make_stage(WAIT, "waits")
    analysis = new_workflow(stage("one", applet, 1), stage("two", applet, output_of("one"))).run({})
    dx("terminate", analysis.get_id())
    described = finished(analysis)
    assert described["state"] == "terminated"
    assert stage_states(described) == ["terminated", "terminated"]


def test_an_output_of_an_analysis_is_the_input_of_a_job(make_stage: Callable[..., str]) -> None:
    applet = make_stage()
    analysis = new_workflow(stage("one", applet, 1)).run({})
    reference = analysis.get_output_ref("one.number")
    job = dxpy.DXApplet(applet).run({"number": reference}, depends_on=[analysis.get_id()])
    assert ended(job)["output"] == {"number": 3}
    with pytest.raises(InvalidInput, match=r'has no output field "none\.number"'):
        dxpy.DXApplet(applet).run({"number": analysis.get_output_ref("none.number")})


def test_an_output_of_a_workflow_links_to_the_output_of_a_stage(
    make_stage: Callable[..., str],
) -> None:
    def outputs(source: object) -> list[dict]:
        return [{"name": "end", "class": "int", "outputSource": source}]

    one = stage("one", applet := make_stage(), 1)
    for source in (7, dxpy.dxlink({"workflowInputField": "start"}), dxpy.dxlink({"stage": "one"})):
        with pytest.raises(InvalidInput, match='"outputSource" of the output "end"'):
            new_workflow(one, workflow_outputs=outputs(source))
    analysis = new_workflow(one, workflow_outputs=outputs(output_of("none"))).run({})
    assert finished(analysis)["output"] == {}
    with pytest.raises(InvalidInput, match='has no output field "end"'):
        dxpy.DXApplet(applet).run({"number": analysis.get_output_ref("end")})


@pytest.mark.parametrize(
    "link",
    [{"stage": ["one"], "outputField": "number"}, {"analysis": "job-x"}, {"analysis": ["one"]}],
)
def test_a_malformed_link_is_a_value_of_a_wrong_class(
    make_stage: Callable[..., str], link: dict
) -> None:
    workflow = new_workflow(stage("one", make_stage(), dxpy.dxlink(link)))
    with pytest.raises(InvalidInput, match='the input "number" is not of class int'):
        workflow.run({})


def test_an_analysis_is_run_again_with_another_input(
    dx: Dx, make_stage: Callable[..., str]
) -> None:
    analysis = new_workflow(stage("one", make_stage(), 1)).run({})
    finished(analysis)
    again = dx("run", "--clone", analysis.get_id(), "-i0.number=5", "-y", "--brief").stdout.strip()
    described = finished(dxpy.DXAnalysis(again))
    assert described["output"] == {"one.number": 6}
    assert described["name"] == "flow (re-run)"
    # The workflow that dx makes for this is not one of the project's.
    assert len(list(dxpy.find_data_objects(classname="workflow"))) == 1


def test_a_fetched_workflow_is_built_again_as_it_was(
    dx: Dx, make_stage: Callable[..., str]
) -> None:
    applet = make_stage()
    new_workflow(stage("one", applet, 1, name="First"), stage("two", applet, output_of("one")))
    dx("get", "flow")
    text = (dx.folder / "flow" / "dxworkflow.json").read_text()
    stages = [stage("one", applet, 1, name="First"), stage("two", applet, output_of("one"))]
    assert json.loads(text)["stages"] == stages
    dx("build", "flow", "--destination", "/again")
    assert "again" in dx("ls").stdout


def test_a_stage_whose_applet_is_gone_is_named(
    dx: Dx, make_stage: Callable[..., str], dx_project: str
) -> None:
    applet = make_stage()
    workflow = new_workflow(stage("one", applet, 1))
    dxpy.DXProject(dx_project).remove_objects([applet])
    assert "inaccessible" in dx("list", "stages", "flow").stdout
    assert "inaccessible stage(s): one" in dx("run", "flow", "-y", status=3).stderr
    with pytest.raises(
        InvalidState, match=f'The stage "one" runs {applet}, which has been removed'
    ):
        workflow.run({})


def test_analyses_and_their_jobs_are_found_as_a_tree(
    dx: Dx, make_stage: Callable[..., str]
) -> None:
    analysis = new_workflow(stage("one", make_stage(), 1)).run({}, name="my run")
    job = finished(analysis)["stages"][0]["execution"]["id"]
    found = dx("find", "executions").stdout
    assert f"my run (flow) (done) {analysis.get_id()}" in found
    assert job in found
    assert dx("find", "analyses", "--brief").stdout.split() == [analysis.get_id()]
    assert dx("find", "jobs", "--brief", "--root", analysis.get_id()).stdout.split() == [job]


def test_an_analysis_has_tags_and_properties(dx: Dx, make_stage: Callable[..., str]) -> None:
    analysis = new_workflow(stage("one", make_stage(), 1)).run({}, tags=["new"])
    dx("tag", analysis.get_id(), "seen")
    dx("untag", analysis.get_id(), "new")
    dx("set_properties", analysis.get_id(), "sample=a")
    described = analysis.describe()
    assert described["tags"] == ["seen"]
    assert described["properties"] == {"sample": "a"}


def test_a_job_waits_for_the_analysis_that_it_starts(
    make_applet: MakeApplet, make_stage: Callable[..., str]
) -> None:
    workflow = new_workflow(stage("one", make_stage(), 1))
    code = f"""
import dxpy
@dxpy.entry_point("main")
def main():
    analysis = dxpy.DXWorkflow("{workflow.get_id()}").run({{}})
    return {{"number": analysis.get_output_ref("one.number"), "analysis": analysis.get_id()}}
dxpy.run()
"""
    text = {"name": "analysis", "class": "string"}
    job = make_applet(code, outputSpec=[*NUMBER, text], access={"project": "VIEW"}).run({})
    described = ended(job)
    assert described["output"]["number"] == 2
    analysis = dxpy.DXAnalysis(described["output"]["analysis"]).describe()
    assert analysis["rootExecution"] == analysis["parentJob"] == job.get_id()
    assert analysis["stages"][0]["execution"]["parentJob"] is None


def test_terminating_a_job_ends_the_analysis_that_it_started(
    make_applet: MakeApplet, make_stage: Callable[..., str]
) -> None:
    workflow = new_workflow(stage("one", make_stage(WAIT, "waits"), 1))
    code = f"dx run {workflow.get_id()} -y --brief"
    job = make_applet(code, "bash").run({})
    until(lambda: job.describe()["dependsOn"])
    analysis = dxpy.DXAnalysis(job.describe()["dependsOn"][0])
    job.terminate()
    assert finished(analysis)["state"] == "terminated"
    assert ended(job)["state"] == "terminated"


@pytest.mark.parametrize("executable", ["workflow-", "app-", "globalworkflow-"])
def test_only_applets_are_stages(dx_project: str, executable: str) -> None:
    del dx_project
    with pytest.raises(InvalidState, match="has no apps, and no workflows within workflows"):
        new_workflow(stage("one", executable + "B" * 24))


def test_stages_that_wait_for_each_other_are_refused(make_stage: Callable[..., str]) -> None:
    applet = make_stage()
    stages = [stage("a", applet, output_of("b")), stage("b", applet, output_of("a"))]
    with pytest.raises(InvalidInput, match="The stages wait for each other"):
        new_workflow(*stages).run({})
    with pytest.raises(InvalidInput, match='The stage "a" links to "none"'):
        new_workflow(stage("a", applet, output_of("none"))).run({})
