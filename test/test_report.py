"""The report in a real browser: what a person sees and does."""

import csv
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page

from outputs import write_count_table
from report import write_count_report
from summaries import make_autosomes, summarize
from summary import CountSummary, RegionCount

FEW = [
    RegionCount("chr1", 4_000_000, 3_000),
    RegionCount("chr10", 1_000_000, 999),
    RegionCount("chr2", 2_000_000, 2_000),
    RegionCount("chrX", 3_000_000, 0),
    RegionCount("chrM", 16_569, 1_999),
]
MANY = [RegionCount(f"scaffold_{n}", 1_000 + n, n * 397 % 1_101) for n in range(1_101)]
VIRUSES = [RegionCount(f"virus{n}", 8_000, n if n < 14 else 0) for n in range(200)]
HALVED = [*make_autosomes(chr13=506, chrX=506, chrY=202), RegionCount("chrM", 16_569, 2_000)]
ODD = [
    RegionCount(name, 1_000, 1)
    for name in (
        "<script>alert(1)</script>",
        "</script>",
        "<!--<script>",
        "\\u003c/script>",
        "<img src=x onerror=alert(1)>",
        "&amp;",
        "$sample",
        "a\"b'c",
        "HLA-A*01:01",
    )
]


class Report(NamedTuple):
    """An open page, and what happened while it was open."""

    page: Page
    requests: list[str]
    complaints: list[str]
    """Errors, messages on the console, and dialogs."""

    def names(self) -> list[str]:
        return self.page.locator("tbody th").all_text_contents()

    def rows(self) -> list[list[str]]:
        texts = "rows => rows.map(row => Array.from(row.cells, cell => cell.textContent))"
        return self.page.locator("tr").evaluate_all(texts)

    def heading(self, title: str) -> Locator:
        button = self.page.get_by_role("button", name=title, exact=True)
        return self.page.locator("thead th").filter(has=button)

    def click(self, title: str) -> None:
        self.heading(title).locator("button").click()

    def fill(self, text: str) -> None:
        self.page.get_by_label("Name contains").fill(text)

    def status(self) -> str:
        return self.page.get_by_role("status").inner_text()

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def figure(self, title: str) -> str:
        return self.page.locator(".figures div").filter(has_text=title).inner_text()

    def style(self, selector: str, name: str) -> str:
        get = "(element, name) => getComputedStyle(element)[name]"
        return self.page.locator(selector).first.evaluate(get, name)

    def bar_widths(self, chart: int) -> list[float]:
        bars = self.page.locator(".chart").nth(chart).locator(".bar")
        return bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path):
    """Write a report and open it: open_report(regions or summary, **options of the context)."""
    contexts = []

    def write_and_open(counts: list[RegionCount] | CountSummary, **options) -> Report:
        summary = counts if isinstance(counts, CountSummary) else summarize(counts)
        path = write_count_report(tmp_path / "report.html", summary)
        context = browser.new_context(**options)
        context.set_default_timeout(30_000)
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


@pytest.mark.parametrize("regions", [FEW[:1], HALVED, ODD], ids=["one", "human", "odd"])
def test_it_opens_without_a_complaint_and_requests_only_itself(open_report, tmp_path, regions):
    report = open_report(regions)
    assert report.names() == [region.name for region in regions]
    assert report.requests == [(tmp_path / "report.html").as_uri()]
    assert report.complaints == []


def test_it_says_what_was_counted_and_how(open_report):
    problem = "'<x>.bai' belongs to another BAM"
    text = open_report(summarize(FEW, index="replaced", index_problem=problem)).text()
    assert "Command\nsamtools view -c sample.bam REGION" in text
    assert f"Index\nreplaced: {problem}" in text
    assert "samtools 1.19, applet 1.0.0, 2026-01-31 12:00:00 UTC" in text


def test_its_table_has_the_numbers_of_the_count_table(open_report, tmp_path):
    with write_count_table(tmp_path / "table.tsv", summarize(HALVED)).open(newline="") as file:
        _, *rows, _ = csv.reader(file, dialect="excel-tab")
    _, *shown = open_report(HALVED).rows()
    for number, (cells, values) in enumerate(zip(shown, rows, strict=True), 1):
        assert cells[:2] == [str(number), values[0]]
        numbers = [
            float(cell.removeprefix("low ").strip("<%").replace(",", "")) for cell in cells[2:]
        ]
        numbers[3] /= 100
        assert numbers == [pytest.approx(float(value), rel=0.01, abs=0.01) for value in values[1:]]


def test_names_are_text(open_report):
    report = open_report(ODD)
    chart = report.page.locator(".chart").first
    assert chart.locator(".name").all_inner_texts() == [region.name for region in ODD]
    assert report.page.locator("script:not([id])").count() == 1


def test_a_name_that_is_not_utf8_is_shown_by_its_bytes(open_report):
    assert open_report([RegionCount("chr\udcff", 1_000, 1)]).names() == [r"chr\xff"]


def test_a_click_sorts_by_a_column_the_largest_first_and_another_the_smallest_first(open_report):
    report = open_report(HALVED)
    first, *_ = report.rows()
    for column, title in enumerate(first[2:], 2):
        report.click(title)
        assert report.heading(title).get_attribute("aria-sort") == "descending"
        _, *rows = report.rows()
        texts = [row[column].removeprefix("low ").strip("<%").replace(",", "") for row in rows]
        assert texts == sorted(texts, key=float, reverse=True)
        report.click(title)
        assert report.heading(title).get_attribute("aria-sort") == "ascending"
        _, *rows = report.rows()
        assert float(rows[0][column].replace(",", "").strip("<%")) == float(texts[-1])
    assert report.page.locator("[aria-sort]").count() == 1


def test_numbers_too_small_to_show_sort_between_zero_and_the_others(open_report):
    small = [
        RegionCount("none", 1_000_000, 0),
        RegionCount("least", 100_000_000, 100),
        RegionCount("less", 100_000_000, 200),
        RegionCount("short", 1_000_000, 11),
    ]
    report = open_report([*make_autosomes(), *small])
    report.click("Normalized coverage")
    assert report.names()[-4:] == ["short", "less", "least", "none"]


def test_names_sort_by_the_numbers_in_them_and_the_number_column_restores_header_order(open_report):
    report = open_report(FEW)
    report.click("Region")
    assert report.names() == ["chr1", "chr2", "chr10", "chrM", "chrX"]
    report.click("Region")
    assert report.names() == ["chrX", "chrM", "chr10", "chr2", "chr1"]
    report.click("#")
    assert report.names() == [region.name for region in FEW]


def test_sorting_works_from_the_keyboard(open_report):
    report = open_report(FEW)
    report.heading("Length (bases)").locator("button").focus()
    report.page.keyboard.press("Tab")
    report.page.keyboard.press("Enter")
    assert report.heading("Records").get_attribute("aria-sort") == "descending"
    assert report.style("button:focus", "outlineStyle") == "solid"


def test_of_many_regions_the_table_shows_the_first_and_more_on_demand(open_report):
    report = open_report(MANY)
    with_records = [region.name for region in MANY if region.records]
    assert report.names() == with_records[:1_000]
    assert report.status() == "1,100 of 1,101 regions, the first 1,000 are shown"
    report.page.get_by_role("button", name="Show more").click()
    assert report.names() == with_records
    assert report.status() == "1,100 of 1,101 regions"
    assert not report.page.get_by_role("button", name="Show more").is_visible()


def test_a_filter_finds_regions_beyond_the_first_and_sorting_keeps_it(open_report):
    report = open_report(MANY)
    report.fill(" SCAFFOLD_110")
    assert report.names() == ["scaffold_110"]
    report.fill("_109")
    report.click("Records")
    assert report.names() == ["scaffold_109"]
    report.fill("(")
    assert report.names() == []


def test_a_number_in_the_filter_is_a_whole_number(open_report):
    names = ["chr10", "chr1_random", "chr1", "chrUn_1", "chr21", "scaffold1chr1"]
    report = open_report([RegionCount(name, 1_000, 1) for name in names])
    report.fill("chr1")
    assert report.names() == ["chr1_random", "chr1", "scaffold1chr1"]
    report.fill("1")
    assert report.names() == ["chr1_random", "chr1", "chrUn_1", "scaffold1chr1"]


@pytest.mark.parametrize(
    ("regions", "empty", "status"),
    [
        (VIRUSES, "187 regions", "13 of 200 regions"),
        ([*FEW[2:4], RegionCount("chr3", 9, 0)], "2 regions", "1 of 3 regions"),
    ],
    ids=["many regions", "mostly without records"],
)
def test_regions_without_records_are_hidden_at_first(open_report, regions, empty, status):
    report = open_report(regions)
    assert report.names() == [region.name for region in regions if region.records]
    assert report.status() == status
    report.page.get_by_label(f"Hide {empty} without records").uncheck()
    assert report.names() == [region.name for region in regions]


def test_a_few_regions_without_records_are_shown_but_dim(open_report):
    report = open_report(FEW)
    assert report.names() == [region.name for region in FEW]
    dim, normal = (report.style(f"tbody tr{which}", "color") for which in (".empty", ""))
    assert dim != normal
    assert report.page.locator(".empty th").all_text_contents() == ["chrX"]
    report.page.get_by_label("Hide 1 region without records").check()
    assert report.status() == "4 of 5 regions"


def test_bars_are_in_proportion_to_the_records(open_report):
    widths = open_report(FEW).bar_widths(chart=0)
    assert [width / widths[0] for width in widths] == pytest.approx(
        [region.records / FEW[0].records for region in FEW], abs=0.002
    )


def test_a_bar_of_mitochondria_fades_out_and_leaves_the_others_room(open_report):
    report = open_report(FEW)
    widths = report.bar_widths(chart=1)
    assert widths[1] / max(widths) == pytest.approx(999 / 1_000, abs=0.002)
    assert widths[4] == max(widths)
    assert report.page.locator(".beyond").count() == 1
    assert "A bar that fades out is longer than the scale." in report.text()


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        (VIRUSES, "Drawn: 13 regions with records, of 200."),
        (VIRUSES[:1] * 99 + VIRUSES[1:2], "Drawn: 1 region with records, of 100."),
        (
            [RegionCount(f"s{n}", 1_000, 10) for n in range(100)],
            "Drawn: 40 of 100 regions, those with the most records. "
            "The other regions have 60.00% of the records.",
        ),
        ([RegionCount("chr1", 1_000, 0)], "No region has a record, so there is nothing to draw."),
    ],
    ids=["some with records", "one with records", "too many", "no records"],
)
def test_it_says_which_regions_the_charts_show(open_report, regions, said):
    report = open_report(regions)
    assert said in report.page.get_by_label("Charts").inner_text()
    assert report.complaints == []


def test_the_figures_say_which_sex_and_how_much_is_mitochondrial_or_unplaced(open_report):
    report = open_report(summarize(HALVED, unplaced=1_234))
    total = sum(region.records for region in HALVED)
    assert "\n0.50\n" in report.figure("chrX, normalized coverage")
    assert "\n0.20\n" in report.figure("chrY, normalized coverage")
    assert f"\n{2_000 / total:.2%}\n" in report.figure("Mitochondrial records")
    assert f"{1_234 / (total + 1_234):.2%} of all records" in report.figure("Unplaced reads")


def test_a_halved_chromosome_is_marked_as_a_hint(open_report):
    report = open_report(HALVED)
    assert "chr13 low 0.50\na hint, not a verdict" in report.figure("Far from the median autosome")
    assert report.page.locator("tr:has(.far) th").all_text_contents() == ["chr13"]
    marked = report.page.locator(".chart li").filter(has_text="low 0.50")
    assert marked.locator(".name").all_inner_texts() == ["chr13"]
    assert report.style(".bar.far", "backgroundColor") != report.style(".bar", "backgroundColor")


def test_a_line_marks_the_median_autosome_in_the_chart_of_densities(open_report):
    report = open_report(make_autosomes())
    line = report.page.locator(".axis .line")
    assert line.all_inner_texts() == ["median autosome"]
    middle = line.evaluate("one => one.getBoundingClientRect().left")
    bars = report.page.locator(".chart").nth(1).locator(".bar")
    ends = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().right)")
    assert sum(end < middle for end in ends) == sum(end > middle for end in ends) == 11


def test_without_a_baseline_nothing_is_compared(open_report):
    report = open_report(MANY)
    assert "normalized" not in report.text().lower()
    assert "median" not in report.text()


def test_filtered_counts_say_so_and_how_many_records_were_filtered_out(open_report):
    report = open_report(summarize(FEW, filters="-q 30 -F 2308", filtered_out=2_002))
    title = "Alignment records per region, only those that pass -q 30 -F 2308"
    assert report.text().startswith(title)
    assert report.figure("Filtered out").endswith("\n2,002\n20.02% of the records in regions")
    assert report.figure("Unplaced reads that pass the filters").endswith("\n0\nnot in the total")


def test_without_index_counts_it_does_not_say_how_many_records_were_filtered_out(open_report):
    assert "Filtered out" not in open_report(summarize(FEW, filters="-q 30")).text()


def test_counts_from_the_index_are_marked_in_the_title(open_report):
    report = open_report(summarize(FEW, counted=False, command="none"))
    title = "Alignment records per region, from the index, not counted"
    assert report.text().startswith(title)
    assert report.page.title() == f"sample: {title.lower()}"
    assert report.style("header p", "color") == report.style(".far", "color")


def test_it_works_in_a_sandboxed_frame(open_report, tmp_path):
    report = open_report(FEW)
    outer = tmp_path / "outer.html"
    outer.write_text('<iframe sandbox="allow-scripts" src="report.html"></iframe>')
    report.page.goto(outer.as_uri())
    frame = report.page.frame_locator("iframe")
    frame.get_by_role("button", name="Records", exact=True).click()
    assert frame.locator("tbody th").last.text_content() == "chrX"
    assert report.complaints == []


def test_without_scripts_it_has_figures_and_charts_and_says_where_the_table_is(open_report):
    report = open_report(FEW, java_script_enabled=False)
    assert "\n7,998" in report.figure("Records in regions")
    assert report.page.locator(".chart li").count() == 2 * len(FEW)
    assert "The count table, a file of its own, has the same numbers." in report.text()


def test_the_headings_stay_in_view_above_the_rows(open_report):
    page = open_report(MANY).page
    page.locator("tbody tr").nth(500).evaluate("row => row.scrollIntoView()")
    at_the_top = "document.elementFromPoint(innerWidth / 2, 5).closest('thead') !== null"
    assert page.evaluate(at_the_top)


@pytest.mark.parametrize("regions", [MANY, ODD, HALVED], ids=["many", "odd", "human"])
def test_on_a_phone_nothing_is_wider_than_the_screen(open_report, regions):
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True}
    page = open_report(regions, **phone).page
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_it_is_dark_if_the_reader_prefers_dark_and_light_on_paper(open_report):
    report = open_report(FEW, color_scheme="dark")
    assert report.style("body", "backgroundColor") == "rgb(20, 24, 28)"
    report.page.emulate_media(media="print")
    assert report.style("body", "backgroundColor") == "rgb(255, 255, 255)"


def test_the_table_has_a_name_for_screen_readers(open_report):
    assert open_report(FEW).page.get_by_role("table", name="All regions").count() == 1


def test_long_names_break_between_their_parts(open_report):
    report = open_report([RegionCount("chrUn_KN707606v1_decoy", 1_000, 1)])
    name = report.page.locator("li .name").first
    assert name.inner_html() == "chrUn_<wbr>KN707606v1_<wbr>decoy"
