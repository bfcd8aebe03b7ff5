"""Errors: inputs that do not fit an applet, and applets that are not well formed."""

import json
from collections.abc import Callable

import dxpy
import pytest
from dxpy.exceptions import InvalidInput
from dxpy.utils.completer import InstanceTypesCompleter

from local_platform.testing.project import Dx
from platform_fixtures import ended

MakeApplet = Callable[..., dxpy.DXApplet]
SPEC = [
    {"name": "text", "class": "string", "choices": ["a", "b"], "default": "a"},
    {"name": "whole", "class": "int", "optional": True},
    {"name": "real", "class": "float", "optional": True},
    {"name": "yes", "class": "boolean", "optional": True},
    {"name": "table", "class": "hash", "optional": True},
    {"name": "names", "class": "array:string", "optional": True},
    {"name": "file", "class": "file", "optional": True},
    {"name": "files", "class": "array:file", "optional": True},
]
ABSENT = {"$dnanexus_link": "file-" + "B" * 24}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"txet": "a"}, 'the input "txet" is not in the inputSpec'),
        ({"text": 1}, 'the input "text" is not of class string'),
        ({"text": "c"}, 'the input "text" is not one of its choices: a, b'),
        ({"whole": 1.5}, 'the input "whole" is not of class int'),
        ({"whole": True}, 'the input "whole" is not of class int'),
        ({"real": "1"}, 'the input "real" is not of class float'),
        ({"yes": "true"}, 'the input "yes" is not of class boolean'),
        ({"table": []}, 'the input "table" is not of class hash'),
        ({"names": "one"}, 'the input "names" is not of class array:string'),
        ({"names": ["one", 2]}, 'the input "names" is not of class array:string'),
        ({"file": "file-x"}, 'the input "file" is not of class file'),
        ({"files": [{"$dnanexus_link": "record-" + "B" * 24}]}, 'the input "files" is not of'),
        ({"file": ABSENT}, f'the input "file": {ABSENT["$dnanexus_link"]} could not be found'),
    ],
)
def test_wrong_input_is_refused(make_applet: MakeApplet, values: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace(".", r"\.")):
        make_applet("true", "bash", inputSpec=SPEC).run(values)


def test_missing_input_is_refused(make_applet: MakeApplet) -> None:
    spec = [{"name": "needed", "class": "int"}]
    with pytest.raises(InvalidInput, match='the required input "needed" is missing'):
        make_applet("true", "bash", inputSpec=spec).run({})


def test_refusal_reaches_the_person_at_the_command_line(make_applet: MakeApplet, dx: Dx) -> None:
    applet = make_applet("true", "bash", inputSpec=SPEC)
    refused = dx("run", applet.get_id(), "-j", '{"whole": "many"}', "-y", status=3)
    assert 'the input "whole" is not of class int' in refused.stderr
    assert "code 422" in refused.stderr


def test_defaults_are_filled_in(make_applet: MakeApplet) -> None:
    job = make_applet("true", "bash", inputSpec=SPEC).run({"whole": 2})
    description = ended(job)
    assert description["runInput"] == {"whole": 2}
    assert description["originalInput"] == {"whole": 2, "text": "a"}
    assert description["input"] == {"whole": 2, "text": "a"}


def test_applet_without_a_spec_takes_anything(make_applet: MakeApplet) -> None:
    assert ended(make_applet("true", "bash").run({"any": ["thing"]}))["state"] == "done"


def test_input_of_class_applet_and_record(make_applet: MakeApplet) -> None:
    record = dxpy.new_dxrecord(name="record", close=True)
    spec = [{"name": "record", "class": "record"}, {"name": "applet", "class": "applet"}]
    applet = make_applet("true", "bash", inputSpec=spec)
    job = applet.run({"record": dxpy.dxlink(record), "applet": dxpy.dxlink(applet)})
    assert ended(job)["state"] == "done"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputSpec": [{"name": "1st", "class": "int"}]}, r"inputSpec\[0\].name"),
        ({"inputSpec": [{"name": "a", "class": "integer"}]}, r"inputSpec\[0\].class"),
        ({"inputSpec": [{"name": "a", "class": "int"}] * 2}, 'repeats the name "a"'),
        ({"inputSpec": [{"name": "a", "class": "int", "default": "1"}]}, r"\.default"),
        ({"inputSpec": [{"name": "a", "class": "int", "choices": ["1"]}]}, r"\.choices"),
        (
            {"inputSpec": [{"name": "a", "class": "int", "choices": [1], "default": 2}]},
            "one of its choices",
        ),
        ({"inputSpec": {}}, "inputSpec"),
        ({"outputSpec": [{"name": "a", "class": "int", "default": 1}]}, "for inputs only"),
        ({"runSpec": {"interpreter": "python2.7"}}, "interpreter.*python2.7 is not served"),
        ({"runSpec": {"interpreter": "perl"}}, "runSpec.interpreter"),
        ({"runSpec": {"release": "22.04"}}, "runSpec.release"),
        ({"runSpec": {"release": "14.04", "version": "1"}}, "runSpec.version"),
        ({"treeTurnaroundTimeThreshold": "soon"}, "treeTurnaroundTimeThreshold"),
        (
            {"runSpec": {"systemRequirements": {"main": {"instanceType": "mem1_ssd1_x4_v2"}}}},
            r"systemRequirements.main.instanceType.*mem1_ssd1_v2_x4, not 'mem1_ssd1_x4_v2'",
        ),
        ({"runSpec": {"version": "1"}}, "runSpec.version"),
        ({"runSpec": {"code": None}}, "runSpec.code"),
        ({"runSpec": {"execDepends": ["samtools"]}}, "runSpec.execDepends"),
        ({"runSpec": {"bundledDepends": [{"name": "a", "id": "b"}]}}, "runSpec.bundledDepends"),
        ({"runSpec": {"timeoutPolicy": {"*": {"weeks": 1}}}}, "runSpec.timeoutPolicy"),
        ({"access": {"project": "ALL"}}, "access.project"),
    ],
)
def test_malformed_applet_is_refused(make_applet: MakeApplet, fields: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make_applet("true", "bash", **fields)


@pytest.mark.parametrize(
    ("release", "version"), [("16.04", "1"), ("16.04", None), ("14.04", None), ("12.04", "0")]
)
def test_applet_of_a_retired_release_is_made(
    make_applet: MakeApplet, release: str, version: str | None
) -> None:
    applet = make_applet("true", "bash", runSpec={"release": release, "version": version})
    assert applet.describe()["runSpec"]["release"] == release


def test_release_that_the_service_offers_needs_a_version(make_applet: MakeApplet) -> None:
    with pytest.raises(InvalidInput, match=r'"runSpec.version" is missing'):
        make_applet("true", "bash", runSpec={"release": "20.04", "version": None})


def test_every_instance_type_that_dx_knows_is_taken(make_applet: MakeApplet) -> None:
    names = InstanceTypesCompleter.instance_type_names
    needed = {name: {"instanceType": name} for name in names}
    applet = make_applet("true", "bash", runSpec={"systemRequirements": needed})
    assert len(applet.describe()["runSpec"]["systemRequirements"]) == len(names)


@pytest.mark.parametrize("name", ["m5.large", "mem1_ssd1_v2_x5", "mem1_ssd1_v2", "mem1_ssd1_v4_x4"])
def test_unknown_instance_type_is_refused_when_an_applet_is_run(
    make_applet: MakeApplet, name: str
) -> None:
    sentence = f"an instance type such as mem1_ssd1_v2_x4, not '{name}'"
    with pytest.raises(InvalidInput, match=sentence):
        make_applet("true", "bash").run({}, instance_type=name)


def test_tree_threshold_of_an_applet_is_described(make_applet: MakeApplet) -> None:
    applet = make_applet("true", "bash", treeTurnaroundTimeThreshold=3600)
    assert applet.describe()["treeTurnaroundTimeThreshold"] == 3600


def test_default_of_null_is_no_default(make_applet: MakeApplet) -> None:
    spec = [
        {"name": "left", "class": "int", "default": None, "optional": True},
        {"name": "needed", "class": "string", "default": None},
    ]
    applet = make_applet("true", "bash", inputSpec=spec)
    assert ended(applet.run({"needed": "a"}))["input"] == {"needed": "a"}
    with pytest.raises(InvalidInput, match='the required input "needed" is missing'):
        applet.run({})


def test_unknown_fields_of_an_applet_are_kept(make_applet: MakeApplet) -> None:
    assert make_applet("true", "bash", colour="blue").describe()["colour"] == "blue"


def test_new_object_cannot_take_the_place_of_another(make_applet: MakeApplet) -> None:
    first = make_applet("true", "bash")
    second = make_applet("true", "bash", id=first.get_id(), **{"class": "job"})
    assert second.get_id() != first.get_id()
    assert second.describe()["class"] == "applet"


def test_call_with_a_missing_field_is_refused(dx_project: str) -> None:
    del dx_project
    with pytest.raises(InvalidInput, match='The field "name" is missing'):
        dxpy.api.project_new({})


def test_call_with_a_mistyped_field_is_refused(dx_project: str) -> None:
    del dx_project
    with pytest.raises(InvalidInput, match='Expected the field "name" to be a string'):
        dxpy.api.project_new({"name": 1})


def test_nonce_makes_a_repeated_request_one(dx_project: str) -> None:
    request = {"project": dx_project, "name": "once", "nonce": "n"}
    first = dxpy.api.file_new(request)
    assert dxpy.api.file_new(request) == first
    with pytest.raises(InvalidInput, match="nonce"):
        dxpy.api.file_new(request | {"name": "other"})


@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        ("/file/new", {"symlinkPath": {"container": "c", "object": "o"}}, "symlinkPath"),
        ("/record/new", {"initializeFrom": {"id": "ID", "part": 1}}, "initializeFrom.part"),
        ("/project/new", {"defaultSymlink": {}}, "defaultSymlink"),
    ],
)
def test_field_that_is_not_served_is_refused_and_nothing_is_made(
    dx_project: str, path: str, fields: dict, named: str
) -> None:
    if "initializeFrom" in fields:
        fields["initializeFrom"]["id"] = dxpy.new_dxrecord(name="source").get_id()
    place = {} if path == "/project/new" else {"project": dx_project}
    with pytest.raises(InvalidInput, match=f'does not serve the field "{named}"'):
        dxpy.DXHTTPRequest(path, fields | place | {"name": "refused"})
    assert list(dxpy.find_data_objects(project=dx_project, name="refused")) == []
    assert list(dxpy.find_projects(name="refused")) == []


TYPED = [
    {"name": "one", "class": "record", "type": "Wanted", "optional": True},
    {
        "name": "many",
        "class": "array:record",
        "type": {"$or": ["Wanted", {"$and": ["A", "B"]}]},
        "optional": True,
    },
]


@pytest.mark.parametrize(
    ("types", "one", "many"),
    [(["Wanted"], True, True), (["A", "B"], False, True), (["A"], False, False)],
)
def test_input_has_the_type_that_its_specification_asks_for(
    make_applet: MakeApplet, types: list[str], one: bool, many: bool
) -> None:
    applet = make_applet("true", "bash", inputSpec=TYPED)
    record = dxpy.new_dxrecord(types=types, close=True)
    for values, good in (
        ({"one": dxpy.dxlink(record)}, one),
        ({"many": [dxpy.dxlink(record)]}, many),
    ):
        if good:
            assert applet.run(values).get_id()
        else:
            with pytest.raises(InvalidInput, match=f"{record.get_id()} is not of type"):
                applet.run(values)


def test_type_is_checked_of_what_a_reference_yields(make_applet: MakeApplet) -> None:
    record = dxpy.new_dxrecord(types=["Other"], close=True)
    giving = make_applet(f"dx-jobutil-add-output given {record.get_id()} --class=record", "bash")
    first = giving.run({})
    second = make_applet("true", "bash", inputSpec=TYPED).run(
        {"one": first.get_output_ref("given")}
    )
    description = ended(second)
    assert description["failureReason"] == "InputError"
    assert "is not of type" in description["failureMessage"]


def test_type_that_is_none_is_refused(make_applet: MakeApplet) -> None:
    spec = [{"name": "one", "class": "record", "type": {"$not": "A"}}]
    with pytest.raises(InvalidInput, match=r"inputSpec\[0\].type"):
        make_applet("true", "bash", inputSpec=spec)


def test_what_a_run_asks_of_its_tree_is_described(make_applet: MakeApplet, dx: Dx) -> None:
    applet = make_applet("true", "bash", treeTurnaroundTimeThreshold=2)
    options = ("--head-job-on-demand", "--detailed-job-metrics", "--preserve-job-outputs")
    job = dx("run", applet.get_id(), *options, "-y", "--brief").stdout.strip()
    usual = dxpy.describe(job)
    assert "headJobOnDemand" not in usual
    assert usual["selectedTreeTurnaroundTimeThreshold"] == 2
    assert usual["selectedTreeTurnaroundTimeThresholdFrom"] == "executable"
    fields = dict.fromkeys(("headJobOnDemand", "detailedJobMetrics", "preserveJobOutputs"), True)
    asked = dxpy.api.job_describe(job, {"fields": fields})
    asked.pop("id")
    assert asked == {
        "headJobOnDemand": True,
        "detailedJobMetrics": True,
        "preserveJobOutputs": {},
    }
    verbose = json.loads(dx("describe", job, "--verbose", "--json").stdout)
    assert verbose["internetUsageIPs"] == []
    assert "internetUsageIPs" not in json.loads(dx("describe", job, "--json").stdout)
