"""The platform's page: from its address to the counts, files and live jobs, in a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dxpy
import pytest
from playwright.sync_api import expect

from bam_builder import build_bam, index_bam, sam_line
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx
from platform_fixtures import ended, in_state, until, write_applet
from run_applet import APPLET
from web_page import Tab

MakeApplet = Callable[..., dxpy.DXApplet]
COUNTS = "Region chr1: 5\nRegion chr2: 0\nTotal reads: 5"
FAILING = """import dxpy
@dxpy.entry_point("main")
def main(**inputs):
    raise dxpy.AppError("No line of 'a <b>.txt' is a number.\\nFix line 3 & try again.")
"""
PARENT = """import dxpy, time
@dxpy.entry_point("main")
def main(**inputs):
    return {"text": dxpy.new_dxjob({}, "below", name="one below").get_output_ref("text")}
@dxpy.entry_point("below")
def below():
    print("hello from below")
    return {"text": "made below"}
"""
TALKING_STEP_BY_STEP = """
main() {
  for n in $(seq 200); do echo "line $n"; done
  while [ ! -e "$go" ]; do sleep 0.05; done
  for n in $(seq 201 300); do echo "line $n"; done
}"""


def test_failed_job_says_its_sentence_in_full_and_is_run_again(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    spec = [{"name": "text", "class": "string"}]
    applet = make_applet(FAILING, inputSpec=spec, title="Numbers")
    job = applet.run({"text": "as before"}, project=dx_project, folder="/there", name="first try")
    ended(job)
    tab.open(f"/{job.get_id()}")
    expect(tab.text(".failure h2")).to_have_text("AppError")
    expect(tab.text(".failure p.value")).to_have_text(
        "No line of 'a <b>.txt' is a number.\nFix line 3 & try again.", use_inner_text=True
    )
    tab.click("Run again with these inputs", "link")
    expect(tab.page.locator("#input_text")).to_have_value("as before")
    tab.click("Launch")
    tab.is_state("failed")
    again = dxpy.DXJob(tab.page.url.rpartition("/")[2]).describe()
    assert again["id"] != job.get_id()
    assert (again["runInput"], again["folder"], again["name"]) == (
        {"text": "as before"},
        "/there",
        "first try",
    )


def test_subjobs_are_a_tree_and_outputs_are_shown(tab: Tab, make_applet: MakeApplet) -> None:
    job = make_applet(PARENT, title="Tree").run({})
    tab.open(f"/{job.get_id()}")
    tab.is_state("done")
    expect(tab.page.get_by_text("made below")).to_be_visible()
    states = tab.page.locator(".states .badge")
    expect(states).to_have_text(["idle", "runnable", "running", "waiting on output", "done"])
    expect(tab.page.locator(".tree").get_by_role("link")).to_have_text(["one below"])
    tab.click("one below", "link")
    expect(tab.text("h1")).to_have_text("one below")
    expect(tab.page.locator(".tree")).to_have_count(0)
    expect(tab.page.get_by_role("link", name="Tree")).to_be_visible()
    expect(tab.text(".line.STDOUT").filter(has_text="hello from below")).to_be_visible()


def test_analysis_shows_its_stages_whose_jobs_lead_back_to_it(
    tab: Tab, make_applet: MakeApplet, dx_project: str, tmp_path: Path
) -> None:
    spec = [{"name": "go", "class": "string"}]
    code = """main() {
      while [ ! -e "$go" ]; do sleep 0.05; done
      dx-jobutil-add-output go "$go" --class=string
    }"""
    applet = make_applet(code, "bash", inputSpec=spec, outputSpec=spec, title="Waits").get_id()
    links = [{"workflowInputField": "start"}, {"stage": "one", "outputField": "go"}]
    stages = [
        {"id": stage_id, "executable": applet, "input": {"go": dxpy.dxlink(link)}}
        for stage_id, link in zip(("one", "two"), links, strict=True)
    ]
    last = dxpy.dxlink({"stage": "two", "outputField": "go"})
    workflow = dxpy.new_dxworkflow(
        name="flow",
        stages=stages,
        workflow_inputs=[{"name": "start", "class": "string"}],
        workflow_outputs=[{"name": "end", "class": "string", "outputSource": last}],
    )
    go = tmp_path / "go"
    tab.open(f"/{workflow.get_id()}?project={dx_project}")
    tab.page.locator("#input_start").fill(str(go))
    tab.click("Launch")
    tab.is_state("in progress")
    stage_rows = tab.page.locator(".tree li")
    expect(stage_rows).to_have_text(["Waits running one", "Waits waiting on input two"])
    go.touch()
    tab.is_state("done")
    expect(stage_rows).to_have_text(["Waits done one", "Waits done two"])
    expect(tab.text(".inputs_outputs").first).to_have_text(f"end{go}")
    stage_rows.last.get_by_role("link").click()
    expect(tab.text("h1")).to_have_text("Waits")
    tab.click("flow", "link", exact=True)
    expect(tab.text("h1")).to_have_text("flow")
    tab.click("Run again with these inputs", "link")
    expect(tab.page.locator("#input_start")).to_have_value(str(go))
    tab.page.locator("#input_start").fill("/never")
    tab.click("Launch")
    tab.is_state("in progress")
    tab.click("Terminate")
    tab.is_state("terminated")
    tab.click("Jobs", "link")
    # Jobs of other tests may be listed, too.
    rows = tab.page.locator("tbody tr").filter(has_text="flow")
    expect(rows).to_have_text([re.compile("flow analysis ?terminated"), re.compile("flow .*done")])


def test_log_follows_its_end_unless_the_reader_scrolls_up(
    tab: Tab, make_applet: MakeApplet, tmp_path: Path
) -> None:
    go = [tmp_path / "first", tmp_path / "second"]
    spec = [{"name": "go", "class": "string"}]
    applet = make_applet(TALKING_STEP_BY_STEP, "bash", inputSpec=spec)
    jobs = [applet.run({"go": str(path)}) for path in go]
    is_last_seen = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 8"
    for job, path, scrolls in zip(jobs, go, (False, True), strict=True):
        tab.open(f"/{job.get_id()}")
        log = tab.page.get_by_role("log")
        expect(log.get_by_text("line 200", exact=True)).to_be_attached()
        if scrolls:
            log.evaluate("log => log.scrollTop = 100")
            expect(tab.page.get_by_role("button", name="To the end")).to_be_visible()
        path.touch()
        expect(log.get_by_text("line 300", exact=True)).to_be_attached()
        expect(tab.text(".log .muted").first).to_have_text("complete")
        assert log.evaluate(is_last_seen) is not scrolls
    tab.click("To the end")
    assert log.evaluate(is_last_seen)


def test_log_counts_warnings_and_goes_from_find_to_find(tab: Tab, make_applet: MakeApplet) -> None:
    warnings = 'echo "WARNING: one"; echo "[W::two] two"; echo "No warning"; echo "WARNING: one"'
    code = f'main() {{ {warnings}; for n in $(seq 120); do echo "line $n"; done; }}'
    job = make_applet(code, "bash").run({})
    ended(job)
    tab.open(f"/{job.get_id()}")
    expect(tab.text(".log .muted").first).to_have_text("complete")
    tab.click("2 warnings")
    expect(tab.text(".line.warning").first).to_be_in_viewport()
    search = tab.page.get_by_role("searchbox", name="Find in log")
    search.fill("LINE 11")
    expect(tab.text(".log [role=status]")).to_have_text("1 of 11")
    search.press("Enter")
    expect(tab.text(".line.current span").last).to_have_text("line 110")
    search.press("Shift+Enter")
    expect(tab.text(".line.current span").last).to_have_text("line 11")
    expect(tab.text(".line.current")).to_be_in_viewport()


def test_list_of_jobs_is_live_and_a_job_is_terminated(
    tab: Tab, make_applet: MakeApplet, request: pytest.FixtureRequest
) -> None:
    tab.open("/jobs")
    file = dxpy.upload_string("", name="sheep.txt", wait_on_close=True)
    applet = make_applet("main() { sleep 60; }", "bash", title="Sleeper")
    job = applet.run({"of": dxpy.dxlink(file), "count": 30}, name="sleeping")
    in_state(job, "running")
    row = tab.page.get_by_role("row").filter(has_text="sleeping")
    expect(row).to_contain_text("running")
    expect(row).to_contain_text("sheep.txt count: 30")
    expect(row.get_by_role("link")).to_have_text(["sleeping", request.node.name])
    tab.click("sleeping", "link")
    tab.click("Terminate")
    tab.is_state("terminated")
    expect(tab.page.get_by_role("button", name="Terminate")).to_be_hidden()


def test_many_files_are_paged_sorted_and_searched(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    make_applet("", name="z_applet")
    for number in range(510):
        dxpy.api.file_new({"project": dx_project, "folder": "/", "name": f"reads_{number}.bam"})
    place = {"project": dx_project, "folder": "/deep/er", "parents": True}
    properties = {"properties": {"lane": "L1"}, "tags": ["raw"]}
    dxpy.api.file_new({"name": "Other_249", **place, **properties})
    tab.open(f"/{dx_project}")
    rows = tab.page.locator("tbody:last-child tr")
    expect(rows).to_have_count(500)
    expect(tab.page.get_by_role("link", name="z_applet")).to_be_visible()
    tab.click("Show more")
    expect(rows).to_have_count(510)
    names = tab.page.locator("tbody th a")
    for _ in range(2):
        tab.click("Name")
    expect(tab.page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "descending"
    )
    assert names.all_inner_texts()[:4] == ["deep/", "z_applet", "reads_509.bam", "reads_508.bam"]
    tab.page.get_by_role("searchbox").fill("_249")
    expect(rows).to_have_text([re.compile("reads_249"), re.compile("Other_249 .* in /deep/er")])
    tab.click("Other_249", "link")
    expect(tab.text("dl").first).to_contain_text("lane")
    expect(tab.text(".chips")).to_have_text("raw")
    tab.click("/deep/er", "link")
    tab.page.get_by_text("Upload from a shell").click()
    expect(tab.page.get_by_text("dx upload FILE ...")).to_have_text(
        f"dx upload FILE ... --path {dx_project}:/deep/er/"
    )


def test_object_that_is_gone_and_token_that_is_refused_are_a_sentence(open_tab: object) -> None:
    tab = open_tab()
    tab.open("/job-" + "0" * 24)
    expect(tab.text(".failure")).to_contain_text("could not be found. It was removed")
    tab.page.goto(f"{tab.origin}/#token=wrong")
    expect(tab.text(".failure")).to_contain_text("The token could not be found. Open the address")
    tab.page.evaluate("sessionStorage.clear()")
    tab.page.reload()
    expect(tab.text(".failure")).to_contain_text("This tab has no token")


def test_second_tab_of_the_browser_is_let_in(open_tab: object, dx_project: str) -> None:
    first = open_tab()
    first.open()
    second = first.page.context.new_page()
    second.goto(f"{first.origin}/#/{dx_project}")
    expect(second.get_by_text("This folder is empty.")).to_be_visible()


def test_platform_that_is_killed_and_started_again_is_found_again(
    open_tab: object, tmp_path: Path
) -> None:
    platform = LocalPlatform(tmp_path / "state")
    platform.start()
    client = Dx(os.environ | platform.environment, tmp_path)
    project = client("new", "project", "--brief", "trial").stdout.strip()
    folder = tmp_path / "sleeper"
    write_applet(folder, "main() { echo before; sleep 60; }")
    applet = json.loads(client("build", str(folder), "--destination", f"{project}:/").stdout)["id"]
    job = client("run", applet, "--folder", f"{project}:/", "-y", "--brief").stdout.strip()
    try:
        tab = open_tab(platform)
        tab.open(f"/{job}")
        tab.is_state("running")
        expect(tab.page.get_by_text("before", exact=True)).to_be_visible()
        form = tab.page.context.new_page()
        form.goto(f"{tab.origin}/#/{applet}")
        form.get_by_label("Job name").fill("half filled in")
        port = platform.port
        platform.kill()
        expect(tab.text("#connection")).to_contain_text("make web STATE=folder")
        platform.start(port)
        tab.is_state("failed")
        expect(tab.text("#connection")).to_be_empty()
        expect(tab.text(".log .muted").first).to_have_text("complete")
        expect(tab.page.get_by_text("before", exact=True)).to_have_count(1)
        assert form.get_by_label("Job name").input_value() == "half filled in"
        form.get_by_role("button", name="Launch").click()
        expect(form.locator("h1")).to_have_text("half filled in")
    finally:
        platform.stop()


def test_everything_is_done_by_the_keyboard_alone(
    tab: Tab, make_applet: MakeApplet, dx_project: str, request: pytest.FixtureRequest
) -> None:
    dxpy.upload_string("text", name="notes.txt", project=dx_project, wait_on_close=True)
    spec = [
        {"name": "text", "class": "file", "patterns": ["*.txt"]},
        {"name": "loud", "class": "boolean", "default": False},
    ]
    make_applet('main() { echo "done"; }', "bash", inputSpec=spec, title="Reader")
    tab.open()
    press_until(tab, "Tab", request.node.name)
    tab.page.keyboard.press("Enter")
    expect(tab.text("h1")).to_have_text(request.node.name)
    press_until(tab, "Tab", "Launch")
    tab.page.keyboard.press("Enter")
    expect(tab.text("h1")).to_have_text("Reader")
    press_until(tab, "Tab", "Choose ...")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("dialog")).to_contain_text("notes.txt")
    press_until(tab, "Tab", "notes.txt")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    press_until(tab, "Tab", "false")
    tab.page.keyboard.press("ArrowUp")
    press_until(tab, "Tab", "Launch")
    tab.page.keyboard.press("Enter")
    tab.is_state("done")
    job = dxpy.DXJob(tab.page.url.rpartition("/")[2]).describe()
    assert job["input"]["loud"] is True


def press_until(tab: Tab, key: str, text: str) -> None:
    """Press a key until what has the focus, or its label, has this text."""
    focused = "(document.activeElement.closest('label') ?? document.activeElement).innerText.trim()"
    for _ in range(40):
        tab.page.keyboard.press(key)
        if tab.page.evaluate(focused).startswith(text):
            return
    pytest.fail(f"{key} does not reach {text}")


def test_every_view_fits_a_phone_and_can_be_read(
    open_tab: object, make_applet: MakeApplet, dx_project: str
) -> None:
    long_name = "a_name_without_a_space_" * 6
    file = dxpy.upload_string(
        "text", name=long_name + ".txt", project=dx_project, wait_on_close=True
    )
    spec = [{"name": "file", "class": "file", "default": dxpy.dxlink(file), "help": "Read."}]
    applet = make_applet(FAILING, inputSpec=spec, title=long_name, name=long_name)
    job = applet.run({})
    ended(job)
    stage = {"id": "one", "name": long_name, "executable": applet.get_id()}
    workflow = dxpy.new_dxworkflow(name=long_name, stages=[stage])
    analysis = workflow.run({})
    until(lambda: analysis.describe()["state"] == "failed")
    tab = open_tab(viewport={"width": 390, "height": 800})
    objects = (file, applet, workflow, job, analysis)
    for place in ("", dx_project, "jobs", *(one.get_id() for one in objects)):
        tab.open(f"/{place}")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390, place
        assert tab.page.evaluate(CLIPPED) == [], place
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            for faint in tab.page.evaluate(FAINT_TEXTS):
                pytest.fail(f"/{place}, {scheme}: the contrast of {faint} is below 4.5")
    assert tab.complaints == []


CLIPPED = """[...document.querySelectorAll(".copyable pre, button, .button")]
  .filter(element => element.scrollWidth > element.clientWidth && element.checkVisibility())
  .map(element => element.innerText)"""
FAINT_TEXTS = """() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const over = (below, color) => {
    context.fillStyle = `rgb(${below})`;
    context.fillRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const light = rgb => rgb.map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, n) => sum + one * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = element => {
    const below = element.parentElement ? ground(element.parentElement) : [255, 255, 255];
    return over(below, getComputedStyle(element).backgroundColor);
  };
  return [...document.querySelectorAll("body *")].filter(element => {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) return false;
    const below = ground(element);
    const [dim, bright] = [light(below), light(over(below, getComputedStyle(element).color))]
      .sort((one, other) => one - other);
    return (bright + 0.05) / (dim + 0.05) < 4.5;
  }).map(element => element.outerHTML.slice(0, 200));
}"""


def test_make_web_leads_to_the_counts_of_an_own_bam_by_clicking_alone(
    open_tab: object, tmp_path: Path
) -> None:
    reads = [sam_line("read", "chr1", 10 + n) for n in range(5)]
    own = build_bam(tmp_path / "own.bam", [("chr1", 1000), ("chr2", 500)], reads)
    index = index_bam(own, tmp_path / "own.bam.bai")
    command = ["--state", str(tmp_path / "state"), "--", sys.executable]
    command += [str(APPLET / "test" / "show_applet.py"), str(tmp_path), "", ""]
    with serving(command) as process:
        address = wait_for_address(process)
        tab = open_tab()
        tab.page.goto(address)
        expect(tab.page.get_by_role("link", name="demo.bam.bai")).to_be_visible()
        tab.field("mappings_sorted_bam").get_by_role("button", name="Choose").click()
        with tab.page.expect_file_chooser() as chooser:
            tab.click("Upload from this computer ...")
        chooser.value.set_files([own, index])
        expect(tab.page.get_by_role("link", name=re.compile("demo.bam"))).to_have_count(0)
        expect(tab.page.get_by_role("link", name="own.bam.bai")).to_be_visible()
        tab.click("Launch")
        tab.is_state("done")
        expect(tab.page.get_by_role("link", name=re.compile("^own_count")).first).to_have_text(
            "own_count.html"
        )
        tab.click("Open own_count.html")
        expect(tab.page.frame_locator("iframe").get_by_text("Records in regions")).to_be_visible()
        tab.click("Open own_count.tsv")
        expect(tab.page.get_by_role("cell", name="chr1")).to_be_visible()
        with tab.page.expect_download() as download:
            tab.click("Download own_count.txt")
        assert download.value.suggested_filename == "own_count.txt"
        assert download.value.path().read_text() == COUNTS
        assert tab.complaints == []


def test_web_option_prints_the_address_of_any_state(open_tab: object, tmp_path: Path) -> None:
    with serving(["--state", str(tmp_path / "state"), "--web"]) as process:
        page = open_tab().page
        page.goto(wait_for_address(process))
        expect(page.get_by_text("There is none yet.")).to_be_visible()
        expect(page.get_by_text("dx new project")).to_be_visible()


@contextmanager
def serving(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a platform by its command line, and interrupt it at the end as a person would."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    environment = {name: value for name, value in os.environ.items() if name not in screens}
    with subprocess.Popen(
        [sys.executable, "-m", "local_platform", *arguments],
        env=environment | {"PYTHONPATH": f"{APPLET / 'test'}:{APPLET / 'test/local_platform'}"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0


def wait_for_address(process: subprocess.Popen[str]) -> str:
    """Read what a process prints until it is an address."""
    for line in process.stdout:
        if address := re.search(r"http://\S+#token=\S+", line):
            return address[0]
    pytest.fail("no address was printed")
