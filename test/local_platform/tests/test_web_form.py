"""The launch form: what it asks, what it refuses, and the dx run line that does the same."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dxpy
import pytest
from dxpy.exceptions import InvalidInput
from playwright.sync_api import expect

from local_platform.testing.project import Dx
from platform_fixtures import ended
from web_page import Tab

MakeApplet = Callable[..., dxpy.DXApplet]
QUIET = "main() { true; }"
HOSTILE = 'it\'s "$(touch gone)" `x` \\n !\nsecond line'
EVERY_CLASS = [
    {"name": "a_file", "class": "file", "patterns": ["*.txt"]},
    {"name": "a_string", "class": "string"},
    {"name": "an_int", "class": "int", "default": 1},
    {"name": "a_float", "class": "float", "optional": True},
    {"name": "a_boolean", "class": "boolean", "optional": True},
    {"name": "a_hash", "class": "hash", "optional": True},
    {"name": "a_record", "class": "record", "optional": True},
    {"name": "an_applet", "class": "applet", "optional": True},
    {"name": "a_choice", "class": "string", "choices": ["one", "t'wo"], "optional": True},
    {"name": "a_number", "class": "int", "choices": [1, 2], "default": 1, "group": "More"},
    {"name": "a_suggestion", "class": "string", "suggestions": ["x", "y"], "optional": True},
    {"name": "like_a_job", "class": "string", "optional": True, "group": "More"},
    {"name": "files", "class": "array:file", "optional": True, "group": "More"},
    {"name": "strings", "class": "array:string", "optional": True},
    {"name": "ints", "class": "array:int", "optional": True},
    {"name": "floats", "class": "array:float", "optional": True},
    {"name": "booleans", "class": "array:boolean", "optional": True},
    {"name": "hashes", "class": "array:hash", "optional": True},
    {"name": "some", "class": "array:string", "choices": ["p", "q", "r"], "optional": True},
    {"name": "left_out", "class": "string", "optional": True},
]
BAM_AND_INDEX = [
    {"name": "bam", "class": "file", "patterns": ["*.bam"]},
    {"name": "bai", "class": "file", "patterns": ["*.bai", "*.csi"], "optional": True},
]
LIKE_A_JOB = "job-" + "0" * 24 + ":field"
TEXTS = {
    "an_int": "-7",
    "a_float": "2.5e-3",
    "a_hash": '{"key": ["it\'s", {"n": 1.5}]}',
    "a_suggestion": "z z",
    "like_a_job": LIKE_A_JOB,
    "strings": "first 'one'\n--second\nthird",
    "ints": "1\n2",
    "floats": "0.1\n1e9",
    "booleans": "true\nfalse",
    "hashes": '[{"a": 1}, {}]',
}


def choose(tab: Tab, name: str, *objects: str) -> None:
    """Choose data objects for an input."""
    tab.field(name).get_by_role("button", name="...").click()
    dialog = tab.page.get_by_role("dialog")
    for one in objects:
        dialog.get_by_role("button").filter(has_text=one).click()
    if name == "files":
        tab.click("Done")
    expect(dialog).to_have_count(0)


def paste(tab: Tab, name: str, text: str) -> None:
    """Paste a text into the field of an input."""
    tab.page.locator(f"#input_{name}").evaluate(
        """(field, text) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text", text);
          field.dispatchEvent(new ClipboardEvent("paste", {clipboardData, cancelable: true}));
        }""",
        text,
    )


def upload(name: str, project: str) -> str:
    """Upload a small file; return its ID."""
    return dxpy.upload_string(name, name=name, project=project, wait_on_close=True).get_id()


def test_request_is_what_dx_run_sends_with_the_line_that_is_shown(
    tab: Tab, make_applet: MakeApplet, dx_project: str, dx: Dx
) -> None:
    files = {name: upload(name, dx_project) for name in ("one.txt", "it's.txt", "other.bam")}
    record = dxpy.new_dxrecord(name="a record", project=dx_project, close=True).get_id()
    applet = make_applet(QUIET, "bash", name="Every class", inputSpec=EVERY_CLASS).get_id()
    tab.open(f"/{applet}")
    for name, text in TEXTS.items():
        tab.page.locator(f"#input_{name}").fill(text)
    paste(tab, "a_string", HOSTILE)
    choose(tab, "a_file", "one.txt")
    choose(tab, "files", "one.txt", "other.bam", "it's.txt")
    choose(tab, "a_record", "a record")
    choose(tab, "an_applet", "Every class")
    tab.field("a_boolean").get_by_label("false").check()
    tab.page.locator("#input_a_choice").select_option("t'wo")
    tab.page.locator("#input_a_number").select_option("2")
    for name in ("p", "r"):
        tab.field("some").get_by_label(name).check()
    tab.page.get_by_label("Output folder").fill("/it's; a folder")
    tab.page.get_by_label("Job name").fill("a 'name'\"")
    line = tab.command()
    tab.click("Launch")
    expect(tab.text("h1")).to_have_text("a 'name'\"")
    sent = dxpy.DXJob(tab.page.url.rpartition("/")[2]).describe()
    printed = run_in_shell(line + " --brief", dx)
    of_dx = dxpy.DXJob(printed.strip()).describe()
    for field in ("runInput", "originalInput", "project", "folder", "name", "executable"):
        assert sent[field] == of_dx[field], field
    assert not (dx.folder / "gone").exists()
    assert sent["runInput"] == {
        "a_file": dxpy.dxlink(files["one.txt"]),
        "a_string": HOSTILE,
        "an_int": -7,
        "a_float": 0.0025,
        "a_boolean": False,
        "a_hash": {"key": ["it's", {"n": 1.5}]},
        "a_record": dxpy.dxlink(record),
        "an_applet": dxpy.dxlink(applet),
        "a_choice": "t'wo",
        "a_number": 2,
        "a_suggestion": "z z",
        "like_a_job": LIKE_A_JOB,
        "files": [dxpy.dxlink(files[name]) for name in ("one.txt", "other.bam", "it's.txt")],
        "strings": ["first 'one'", "--second", "third"],
        "ints": [1, 2],
        "floats": [0.1, 1e9],
        "booleans": [True, False],
        "hashes": [{"a": 1}, {}],
        "some": ["p", "r"],
    }


def run_in_shell(line: str, dx: Dx) -> str:
    """Paste a line into a shell where dx talks to the platform; return what it prints."""
    path = f"{Path(sys.executable).parent}:{dx.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        env=dx.environment | {"PATH": path},
        cwd=dx.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_inputs_of_a_workflow_are_asked_by_stage_and_links_hold(
    tab: Tab, make_applet: MakeApplet, dx_project: str, dx: Dx
) -> None:
    code = 'main() { dx-jobutil-add-output made "$text" --class=string; }'
    spec = [
        {"name": "text", "class": "string", "default": "of the applet", "help": "To print."},
        {"name": "count", "class": "int", "group": "More"},
    ]
    output = [{"name": "made", "class": "string"}]
    applet = make_applet(code, "bash", inputSpec=spec, outputSpec=output).get_id()
    link = dxpy.dxlink({"stage": "first", "outputField": "made"})
    stages = [
        {"id": "first", "name": "First one", "executable": applet, "input": {"count": 1}},
        {"id": "second", "executable": applet, "input": {"text": link}},
    ]
    dxpy.new_dxworkflow(name="flow", title="My flow", stages=stages, output_folder="/flow")
    tab.open(f"/{dx_project}")
    row = tab.page.get_by_role("row").filter(has_text="workflow")
    row.get_by_role("link", name="Launch").click()
    groups = ["Stage 0: First one", "Stage 0: First one, More", "Stage 1: second"]
    expect(tab.text("legend")).to_have_text([*groups, "Stage 1: second, More", "Output"])
    expect(tab.field("first.text").get_by_role("textbox")).to_have_value("of the applet")
    expect(tab.field("first.count").get_by_role("textbox")).to_have_value("1")
    linked = tab.field("second.text")
    expect(linked.get_by_role("textbox")).to_have_value("")
    expect(linked).to_contain_text("If left empty, this is made of the stage First one. To print.")
    tab.click("Launch")
    expect(tab.field("second.count").locator(".mistake")).to_have_text("second.count is required")
    tab.field("first.text").get_by_role("textbox").fill("it's mine")
    tab.field("second.count").get_by_role("textbox").fill("2")
    expect(tab.page.get_by_label("Output folder")).to_have_value("/flow")
    line = tab.command()
    tab.click("Launch")
    expect(tab.page).to_have_url(re.compile("/analysis-"))
    expect(tab.text("h1")).to_have_text("My flow")
    sent = dxpy.DXAnalysis(tab.page.url.rpartition("/")[2]).describe()
    of_dx = dxpy.DXAnalysis(run_in_shell(line + " --brief", dx).strip()).describe()
    for field in ("runInput", "project", "folder", "name", "executable"):
        assert sent[field] == of_dx[field], field
    assert sent["runInput"] == {"first.text": "it's mine", "second.count": 2}
    first, second = (stage["execution"] for stage in sent["stages"])
    assert second["runInput"]["text"] == dxpy.dxlink({"job": first["id"], "field": "made"})


def test_a_workflow_whose_stage_lost_its_applet_says_so(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    applet = make_applet(QUIET, "bash").get_id()
    workflow = dxpy.new_dxworkflow(name="flow", stages=[{"id": "one", "executable": applet}])
    dxpy.DXProject(dx_project).remove_objects([applet])
    tab.open(f"/{workflow.get_id()}")
    expect(tab.text("dl")).to_contain_text("0: one, whose applet was removed")


def test_references_to_outputs_are_kept_when_a_job_is_run_again(
    tab: Tab, make_applet: MakeApplet, dx_project: str, dx: Dx
) -> None:
    file = upload("one.txt", dx_project)
    output = [{"name": "texts", "class": "array:string"}, {"name": "files", "class": "array:file"}]
    made = f'{{"texts": ["a", "b"], "files": [{{"$dnanexus_link": "{file}"}}]}}'
    maker = make_applet(f"main() {{ echo '{made}' > job_output.json; }}", "bash", outputSpec=output)
    first = maker.run({})
    assert ended(first)["state"] == "done"
    spec = [{"name": "text", "class": "string"}, {"name": "files", "class": "array:file"}]
    values = {
        "text": first.get_output_ref("texts", index=1),
        "files": [dxpy.dxlink(file), first.get_output_ref("files"), dxpy.dxlink(file, dx_project)],
    }
    workflow = dxpy.new_dxworkflow(
        name="flow", stages=[{"id": "one", "executable": maker.get_id()}]
    )
    spec.append({"name": "of_a_stage", "class": "string"})
    values["of_a_stage"] = workflow.run({}).get_output_ref("one.texts", index=0)
    job = make_applet(QUIET, "bash", inputSpec=spec).run(values, name="with references")
    tab.open(f"/{job.get_id()}")
    tab.click("Run again with these inputs", "link")
    expect(tab.field("text")).to_contain_text(f"texts[1] of {first.get_id()}")
    printed = run_in_shell(tab.command() + " --brief", dx)
    tab.click("Launch")
    expect(tab.text("h1")).to_have_text("with references")
    for job_id in (printed.strip(), tab.page.url.rpartition("/")[2]):
        assert dxpy.DXJob(job_id).describe()["runInput"] == values


def test_mistakes_are_named_while_they_are_typed_in_the_words_of_the_form(
    tab: Tab, make_applet: MakeApplet
) -> None:
    spec = [
        {"name": "number", "class": "int", "label": "How many"},
        {"name": "share", "class": "float", "optional": True},
        {"name": "facts", "class": "hash", "optional": True},
        {"name": "flags", "class": "array:boolean", "label": "Flags", "optional": True},
    ]
    applet = make_applet(QUIET, "bash", inputSpec=spec)
    tab.open(f"/{applet.get_id()}")
    expect(tab.field("number").get_by_text("required", exact=True)).to_be_visible()
    tab.click("Launch")
    mistake = tab.field("number").locator(".mistake")
    expect(mistake).to_have_text("How many is required")
    expect(tab.page.locator("#input_number")).to_be_focused()
    mistakes = {
        "number": ("1.5", "How many must be a whole number"),
        "share": ("0x10", "share must be a number"),
        "facts": ("[1]", 'facts must be a JSON object, such as {"key": "value"}'),
        "flags": ("true\nyes", "Each line of Flags must be true or false"),
    }
    for name, (text, sentence) in mistakes.items():
        tab.page.locator(f"#input_{name}").fill(text)
        expect(tab.field(name).locator(".mistake")).to_have_text(sentence)
        with pytest.raises(InvalidInput, match=name):
            applet.run({"number": 1} | {name: text})
    beside_launch = ". ".join(sentence for _, sentence in mistakes.values()) + "."
    expect(tab.page.get_by_text(beside_launch)).to_be_visible()
    tab.page.locator("#input_number").fill("2")
    expect(mistake).to_be_empty()
    expect(tab.field("number").get_by_text("required", exact=True)).to_be_hidden()


def test_error_of_the_platform_is_shown_beside_the_field_it_names(
    open_tab: Callable[..., Tab], make_applet: MakeApplet, dx_project: str
) -> None:
    file = upload("one.txt", dx_project)
    spec = [{"name": "first", "class": "file"}, {"name": "second", "class": "file"}]
    spec[1]["label"] = "The other one"
    applet = make_applet(QUIET, "bash", inputSpec=spec)
    tab = open_tab()
    tab.open(f"/{applet.get_id()}?-ifirst={upload('two.txt', dx_project)}&-isecond={file}")
    expect(tab.field("second")).to_contain_text("one.txt")
    dxpy.DXProject(dx_project).remove_objects([file])
    tab.click("Launch")
    mistake = tab.field("second").locator(".mistake")
    expect(mistake).to_contain_text(f"{file} could not be found")
    expect(mistake).to_contain_text("The other one")
    expect(tab.field("first").locator(".mistake")).to_be_empty()
    assert all("Failed to load resource" in complaint for complaint in tab.complaints)


def test_form_has_its_groups_required_inputs_first(tab: Tab, make_applet: MakeApplet) -> None:
    spec = [
        {"name": "deep", "class": "int", "default": 3, "group": "Advanced", "help": "How deep."},
        {"name": "plain", "class": "string", "optional": True},
        {"name": "needed", "class": "string", "label": "What is needed"},
    ]
    tab.open(f"/{make_applet(QUIET, 'bash', inputSpec=spec).get_id()}")
    assert tab.page.locator("legend").all_inner_texts() == ["Inputs", "Advanced", "Output"]
    labels = [text.split("\n")[0] for text in tab.page.locator("form .label").all_inner_texts()]
    assert labels == [
        "What is needed needed, string required",
        "plain, string",
        "deep, int",
        "Output folder",
        "Job name",
    ]
    expect(tab.page.locator("#input_deep")).to_have_value("3")
    expect(tab.field("deep")).to_contain_text("How deep.")


def test_chooser_shows_what_matches_the_patterns_and_all_if_asked(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    suggested = upload("good.bam", dxpy.api.project_new({"name": "reference"})["id"])
    for name in ("a.bam", "b.bam", "b.bam.bai"):
        upload(name, dx_project)
    dxpy.api.file_new({"project": dx_project, "name": "open.bam"})
    suggestions = [{"name": "a good one", "value": dxpy.dxlink(suggested)}]
    spec = [{"name": "bam", "class": "file", "patterns": ["*.bam"], "suggestions": suggestions}]
    tab.open(f"/{make_applet(QUIET, 'bash', inputSpec=spec).get_id()}")
    tab.click("Choose ...")
    names = tab.page.get_by_role("dialog").locator(".choices button span")
    expect(names).to_have_text(["good.bam", "b.bam", "a.bam"])
    tab.page.get_by_label("All, not only *.bam").check()
    expect(names).to_have_text(["good.bam", "b.bam.bai", "b.bam", "a.bam"])
    tab.page.get_by_role("dialog").get_by_role("searchbox").fill("BAI")
    expect(names).to_have_text(["good.bam", "b.bam.bai"])
    tab.click("Cancel")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    assert "-ibam" not in tab.command()
    tab.click("Choose ...")
    tab.page.get_by_label("All, not only *.bam").check()
    tab.click(re.compile("b.bam.bai"))
    expect(tab.field("bam")).to_contain_text("b.bam.bai does not match *.bam.")


def test_index_follows_the_bam_file_that_is_chosen(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    for name in ("a.bam", "a.bam.bai", "b.bam", "b.bai", "c.bam"):
        upload(name, dx_project)
    tab.open(f"/{make_applet(QUIET, 'bash', inputSpec=BAM_AND_INDEX).get_id()}")
    index = tab.field("bai")
    choose(tab, "bam", "a.bam")
    expect(index).to_contain_text("a.bam.bai")
    choose(tab, "bam", "b.bam")
    expect(index).to_contain_text("b.bai")
    expect(index).to_contain_text("Chosen because its name matches b.bam.")
    choose(tab, "bam", "c.bam")
    expect(index).to_contain_text("b.bai was removed, because it belongs to b.bam.")
    expect(index.get_by_role("link")).to_have_count(0)
    assert "-ibai" not in tab.command()
    files = [("d.bam", "bam"), ("d.bam.bai", "bai"), ("notes.txt", "")]
    tab.drop("form", [(name, name) for name, _ in files])
    expect(tab.page.get_by_text("No input takes notes.txt.")).to_be_visible()
    for name, field in files[:2]:
        expect(tab.field(field).get_by_role("link", name=name)).to_be_visible()


def test_index_is_chosen_for_the_stage_of_its_bam_file_only(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    for name in ("a.bam", "a.bam.bai", "b.bam", "b.bam.bai"):
        upload(name, dx_project)
    applet = make_applet(QUIET, "bash", inputSpec=BAM_AND_INDEX).get_id()
    stages = [{"id": stage, "executable": applet} for stage in ("one", "two")]
    tab.open(f"/{dxpy.new_dxworkflow(name='flow', stages=stages).get_id()}")
    for stage, name in (("one", "a"), ("two", "b")):
        choose(tab, f"{stage}.bam", f"{name}.bam")
        expect(tab.field(f"{stage}.bai")).to_contain_text(f"{name}.bam.bai")
    expect(tab.field("one.bai")).to_contain_text("a.bam.bai")


def test_author_is_told_what_to_fix(tab: Tab, make_applet: MakeApplet) -> None:
    spec = [
        {"name": "level", "class": "int", "default": 1, "label": "Level", "help": "How much."},
        {"name": "bam", "class": "file", "patterns": ["*.bam$"], "label": "BAM"},
    ]
    tab.open(f"/{make_applet(QUIET, 'bash', inputSpec=spec).get_id()}")
    hints = tab.page.locator("aside li")
    expect(hints.first).to_be_hidden()
    tab.page.locator("aside summary").click()
    expect(hints).to_have_text(
        [
            "The applet has no title of its own.",
            "The applet has no summary.",
            "The applet has no README: dx build takes Readme.md from its folder.",
            "runSpec has no timeoutPolicy: a job that hangs runs, and costs, for 30 days.",
            "No help for the inputs: bam.",
            "The input bam has the pattern *.bam$, which is not a glob such as *.bam.",
            "The input bam is required, and comes after optional ones.",
        ]
    )
