"""The page: what a person sees and does in it, in a real browser that may fetch nothing."""

import csv
import shutil
from collections.abc import Callable, Iterator
from math import log10
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from outputs import write_count_table
from report import MOST_UNFOLDED, write_count_report
from summary import CountSummary, RegionCount

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Root may only start Chromium without its sandbox; the other switch keeps it from calling home.
BROWSER_OPTIONS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]

FEW = [
    RegionCount("chr1", 4_000_000, 3_000),
    RegionCount("chr10", 1_000_000, 999),
    RegionCount("chr2", 2_000_000, 2_000),
    RegionCount("chrX", 3_000_000, 0),
    RegionCount("chrM", 16_569, 1_999),
]
SOME = [RegionCount(f"contig_{n}", 1_000 + n, n * 397 % 1_000) for n in range(1_000)]
MANY = [RegionCount(f"scaffold_{n}", 1_000 + n, n * 7_919 % 11_003) for n in range(11_003)]
ODD = [
    RegionCount(name, 1_000, 1)
    for name in (
        "<script>alert(1)</script>",
        "</script>",
        "<img src=x onerror=alert(1)>",
        "&amp;",
        "$sample",
        "a\"b'c",
        "HLA-A*01:01",
    )
]

TITLES = ["#", "Region", "Length (bases)", "Records", "Records per Mb", "Share of total"]

KEYS: dict[str, Callable[[RegionCount], float]] = {
    "Length (bases)": lambda region: region.length,
    "Records": lambda region: region.records,
    "Records per Mb": lambda region: region.density,
    "Share of total": lambda region: region.records,
}


def summarize(regions: list[RegionCount]) -> CountSummary:
    return CountSummary(
        sample="sample <1>",
        prefix="sample",
        command="samtools view -c -q 30 -F 2308 sample.bam chr1",
        filters="-q 30 -F 2308",
        regions=regions,
        unplaced=1_234,
        samtools_version="samtools 1.19",
        applet_version="1.0.0",
        date="2026-01-31 12:00:00 UTC",
        note="Counted record by record.",
    )


class Report(NamedTuple):
    """An open page, and what went on while it was open."""

    page: Page
    requests: list[str]
    complaints: list[str]
    """Errors, messages on the console, and dialogs."""

    def names(self) -> list[str]:
        return self.page.locator("tbody tr:not([hidden]) th").all_text_contents()

    def heading(self, title: str) -> Locator:
        return self.page.locator("thead th").nth(TITLES.index(title))

    def click(self, title: str) -> None:
        self.heading(title).locator("button").click()

    def bar_widths(self, chart: int = 0) -> list[float]:
        bars = self.page.locator(".chart").nth(chart).locator(".plot > ol .bar")
        return bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium on PATH (apt-get install chromium, or brew install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=BROWSER_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path):
    """Write a page and open it: open_report(regions, **options of the browser's context)."""
    contexts = []

    def write_and_open(regions: list[RegionCount], **options) -> Report:
        path = write_count_report(tmp_path / "report.html", summarize(regions))
        context = browser.new_context(**options)
        context.set_default_timeout(5_000)
        contexts.append(context)
        report = Report(context.new_page(), [], [])
        report.page.on("request", lambda request: report.requests.append(request.url))
        report.page.on("console", lambda message: report.complaints.append(message.text))
        report.page.on("pageerror", lambda error: report.complaints.append(str(error)))
        report.page.on("dialog", lambda dialog: report.complaints.append(dialog.message))
        report.page.goto(path.as_uri())
        return report

    yield write_and_open
    for context in contexts:
        context.close()


@pytest.mark.parametrize("regions", [FEW[:1], FEW, SOME, ODD], ids=["one", "few", "some", "odd"])
def test_it_opens_without_a_complaint_and_asks_for_nothing_but_itself(
    open_report, tmp_path, regions
):
    report = open_report(regions)
    assert len(report.names()) == len(regions)
    assert report.requests == [(tmp_path / "report.html").as_uri()]
    assert report.complaints == []


def test_it_says_what_was_counted_and_how(open_report):
    text = open_report(FEW).page.locator("body").inner_text()
    assert "sample <1>" in text
    assert "samtools view -c -q 30 -F 2308 sample.bam chr1" in text
    assert "Counted record by record." in text
    assert "samtools 1.19, applet 1.0.0, 2026-01-31 12:00:00 UTC" in text


def test_its_numbers_are_those_of_the_table_file(open_report, tmp_path):
    table = write_count_table(tmp_path / "table.tsv", summarize(SOME))
    with table.open(newline="") as file:
        *rows, unplaced, total = csv.DictReader(file, dialect="excel-tab")
    page = open_report(SOME).page
    cells = page.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => Array.from(row.cells, cell => cell.textContent))"
    )
    for (_, name, length, records, density, share), row in zip(cells, rows, strict=True):
        assert [name, to_number(length), to_number(records)] == [
            row["region"],
            int(row["length"]),
            int(row["records"]),
        ]
        assert to_number(density) == pytest.approx(float(row["records_per_megabase"]), rel=0.005)
        assert to_number(share.strip("<%")) / 100 == pytest.approx(
            float(row["share_of_total"]), abs=0.0001
        )
    assert to_number(page.locator("#total").inner_text()) == int(total["records"])
    assert to_number(page.locator("#unplaced").inner_text()) == int(unplaced["records"])


def to_number(text: str) -> float:
    return float(text.replace(",", ""))


def test_names_are_text(open_report):
    report = open_report(ODD)
    assert report.names() == [region.name for region in ODD]
    assert report.page.locator(".chart").first.locator("li .name").all_inner_texts() == [
        region.name for region in ODD
    ]
    assert report.page.locator("script").count() == 1
    assert report.complaints == []


def test_a_name_that_is_not_utf8_is_shown_by_its_bytes(open_report):
    assert open_report([RegionCount("chr\udcff", 1_000, 1)]).names() == [r"chr\xff"]


@pytest.mark.parametrize("title", KEYS)
def test_a_click_sorts_by_a_column_the_largest_first_and_another_the_smallest(open_report, title):
    report = open_report(FEW)
    report.click(title)
    largest_first = sorted(FEW, key=KEYS[title], reverse=True)
    assert report.names() == [region.name for region in largest_first]
    assert report.heading(title).get_attribute("aria-sort") == "descending"
    report.click(title)
    assert report.names() == [region.name for region in sorted(FEW, key=KEYS[title])]
    assert report.heading(title).get_attribute("aria-sort") == "ascending"


def test_eleven_thousand_regions_open_and_sort(open_report):
    report = open_report(MANY)
    assert report.names() == [region.name for region in MANY]
    report.click("Records")
    largest_first = sorted(MANY, key=KEYS["Records"], reverse=True)
    assert report.names() == [region.name for region in largest_first]
    assert report.complaints == []


def test_names_sort_by_the_numbers_in_them(open_report):
    report = open_report(FEW)
    report.click("Region")
    assert report.names() == ["chr1", "chr2", "chr10", "chrM", "chrX"]
    report.click("Region")
    assert report.names() == ["chrX", "chrM", "chr10", "chr2", "chr1"]


def test_the_number_column_brings_back_the_order_of_the_header(open_report):
    report = open_report(FEW)
    report.click("Records")
    report.click("#")
    assert report.names() == [region.name for region in FEW]
    assert report.page.locator("[aria-sort]").count() == 1


def test_sorting_works_from_the_keyboard(open_report):
    report = open_report(FEW)
    report.page.get_by_label("Name contains").focus()
    for _ in range(4):
        report.page.keyboard.press("Tab")
    report.page.keyboard.press("Enter")
    assert report.heading("Records").get_attribute("aria-sort") == "descending"
    report.page.keyboard.press("Space")
    assert report.heading("Records").get_attribute("aria-sort") == "ascending"
    outline = "button => getComputedStyle(button).outlineStyle"
    assert report.page.locator("button:focus").evaluate(outline) == "solid"


def test_the_filter_shows_regions_whose_name_contains_its_text(open_report):
    report = open_report(SOME)
    report.page.get_by_label("Name contains").fill(" TIG_99 ")
    assert report.names() == ["contig_99", *(f"contig_{number}" for number in range(990, 1_000))]
    assert "11 of 1,000 regions" in report.page.locator("main").inner_text()
    report.page.get_by_label("Name contains").fill("")
    assert len(report.names()) == len(SOME)


def test_a_filtered_table_stays_filtered_when_it_is_sorted(open_report):
    report = open_report(FEW)
    report.page.get_by_label("Name contains").fill("chr1")
    report.click("Records")
    report.click("Records")
    assert report.names() == ["chr10", "chr1"]


def test_bars_are_in_proportion_to_the_records(open_report):
    widths = open_report(FEW).bar_widths()
    assert [width / widths[0] for width in widths] == pytest.approx(
        [region.records / FEW[0].records for region in FEW], abs=0.002
    )


def test_the_switch_makes_bars_in_proportion_to_the_logarithm(open_report):
    report = open_report(FEW)
    report.page.get_by_label("logarithmic").check()
    widths = report.bar_widths()
    assert [width / widths[0] for width in widths] == pytest.approx(
        [log10(1 + region.records) / log10(1 + FEW[0].records) for region in FEW], abs=0.002
    )
    report.page.get_by_label("linear").check()
    assert report.bar_widths()[1] / widths[0] == pytest.approx(0.333, abs=0.002)


def test_mitochondria_leave_the_other_densities_room(open_report):
    widths = open_report(FEW).bar_widths(chart=1)
    assert widths[1] / max(widths) == pytest.approx(999 / 1_000, abs=0.002)
    assert widths[4] == max(widths)


def test_the_tail_is_one_bar_that_unfolds_from_the_keyboard(open_report):
    report = open_report(SOME)
    chart = report.page.locator(".chart").first
    before = chart.locator("li:visible").count()
    assert "975 other regions" in chart.locator("summary").inner_text()
    chart.locator("summary").focus()
    report.page.keyboard.press("Enter")
    assert chart.locator("li:visible").count() == before + MOST_UNFOLDED


def test_a_file_without_records_has_charts_without_bars(open_report):
    report = open_report([RegionCount("chr1", 1_000, 0)])
    assert report.bar_widths() == [0]
    assert report.complaints == []


def test_it_works_in_a_sandboxed_frame(open_report, tmp_path):
    report = open_report(FEW)
    outer = tmp_path / "outer.html"
    outer.write_text('<iframe sandbox="allow-scripts" src="report.html"></iframe>')
    report.page.goto(outer.as_uri())
    frame = report.page.frame_locator("iframe")
    frame.get_by_role("button", name="Records", exact=True).click()
    assert frame.locator("tbody th").first.text_content() == "chr1"
    assert frame.locator("tbody th").last.text_content() == "chrX"
    assert report.complaints == []


def test_it_shows_everything_where_scripts_may_not_run(open_report):
    report = open_report(FEW, java_script_enabled=False)
    assert report.names() == [region.name for region in FEW]
    assert report.page.locator(".chart li").count() == 2 * len(FEW)
    assert not report.page.get_by_label("Name contains").is_visible()


def test_the_headings_stay_in_view_above_the_rows(open_report):
    page = open_report(SOME).page
    page.locator("tbody tr").nth(500).evaluate("row => row.scrollIntoView()")
    at_the_top = "document.elementFromPoint(innerWidth / 2, 5).closest('thead') !== null"
    assert page.evaluate(at_the_top)


@pytest.mark.parametrize("regions", [FEW, SOME, ODD], ids=["few", "some", "odd"])
def test_on_a_phone_nothing_is_wider_than_the_screen(open_report, regions):
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True}
    page = open_report(regions, **phone).page
    page.locator("summary").evaluate_all("folds => folds.forEach(fold => fold.click())")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_it_is_dark_where_the_reader_wants_it_dark_and_light_on_paper(open_report):
    page = open_report(FEW, color_scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(20, 24, 28)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)"


def test_paper_shows_every_row_and_no_controls(open_report):
    page = open_report(SOME).page
    page.emulate_media(media="print")
    heights = page.locator("tbody th").evaluate_all("cells => cells.map(one => one.offsetHeight)")
    assert len(heights) == len(SOME)
    assert min(heights) > 0
    assert not page.get_by_label("Name contains").is_visible()


def test_the_browsers_search_finds_a_row_that_is_not_in_view(open_report):
    assert open_report(SOME).page.evaluate("window.find('contig_998')")
