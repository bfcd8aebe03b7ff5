"""The page: what a person sees and does in it, in a real browser that may fetch nothing."""

import csv
from base64 import b64encode
from collections.abc import Callable
from math import log10
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page

from bar_chart import MOST_UNFOLDED
from outputs import write_count_table
from report import MOST_ROWS, write_count_report
from summaries import make_autosomes, summarize
from summary import CountSummary, RegionCount

FEW = [
    RegionCount("chr1", 4_000_000, 3_000),
    RegionCount("chr10", 1_000_000, 999),
    RegionCount("chr2", 2_000_000, 2_000),
    RegionCount("chrX", 3_000_000, 0),
    RegionCount("chrM", 16_569, 1_999),
]
SOME = [RegionCount(f"contig_{n}", 1_000 + n, n * 397 % 1_000) for n in range(1_000)]
MANY = [RegionCount(f"scaffold_{n}", 1_000 + n, n * 7_919 % 11_003) for n in range(5_300)]
HALVED = [*make_autosomes(chr13=506, chrX=506, chrY=202), RegionCount("chrM", 16_569, 2_000)]
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

SCRIPTS = ["</script>", "<!--<script>", "\\u003c/script>", "<img src=x onerror=alert(1)>"]
FACTS = {
    "sample": "sample <1>",
    "command": "samtools view -c -q 30 -F 2308 sample.bam chr1",
    "unplaced": 1_234,
}

KEYS: dict[str, Callable[[RegionCount], float]] = {
    "Length (bases)": lambda region: region.length,
    "Records": lambda region: region.records,
    "Records per Mb": lambda region: region.density,
    "Normalized coverage": lambda region: region.density,
    "Share of total": lambda region: region.records,
}


class Report(NamedTuple):
    """An open page, and what went on while it was open."""

    page: Page
    requests: list[str]
    complaints: list[str]
    """Errors, messages on the console, and dialogs."""

    def names(self) -> list[str]:
        return self.page.locator("tbody th").all_text_contents()

    def rows(self) -> list[list[str]]:
        texts = "rows => rows.map(row => Array.from(row.cells, cell => cell.textContent))"
        return self.page.locator("tbody tr").evaluate_all(texts)

    def heading(self, title: str) -> Locator:
        button = self.page.get_by_role("button", name=title, exact=True)
        return self.page.locator("thead th").filter(has=button)

    def click(self, title: str) -> None:
        self.heading(title).locator("button").click()
        self.wait()

    def fill(self, text: str) -> None:
        self.page.get_by_label("Name contains").fill(text)
        self.wait()

    def wait(self) -> None:
        """Wait until the table is drawn."""
        self.page.locator("table:not([aria-busy])").wait_for()

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def figure(self, title: str) -> str:
        return self.page.locator(".figures div").filter(has_text=title).inner_text()

    def style(self, selector: str, name: str) -> str:
        get = "([one, name]) => getComputedStyle(one)[name]"
        element = self.page.locator(selector).first.element_handle()
        return self.page.evaluate(get, [element, name])

    def bar_widths(self, chart: int = 0) -> list[float]:
        bars = self.page.locator(".chart").nth(chart).locator(".plot > ol .bar")
        return bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path):
    """Write a page and open it: open_report(regions or summary, **options of the context)."""
    contexts = []

    def write_and_open(counts: list[RegionCount] | CountSummary, **options) -> Report:
        summary = counts if isinstance(counts, CountSummary) else summarize(counts, **FACTS)
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


@pytest.mark.parametrize("regions", [FEW[:1], FEW, SOME, ODD], ids=["one", "few", "some", "odd"])
def test_it_opens_without_a_complaint_and_asks_for_nothing_but_itself(
    open_report, tmp_path, regions
):
    report = open_report(regions)
    assert len(report.names()) == len(regions)
    assert report.requests == [(tmp_path / "report.html").as_uri()]
    assert report.complaints == []


def test_it_says_what_was_counted_and_how(open_report):
    text = open_report(FEW).text()
    assert "sample <1>" in text
    assert "samtools view -c -q 30 -F 2308 sample.bam chr1" in text
    assert "Counted record by record." in text
    assert "samtools 1.19, applet 1.0.0, 2026-01-31 12:00:00 UTC" in text


def test_its_numbers_are_those_of_the_table_file(open_report, tmp_path):
    table = write_count_table(tmp_path / "table.tsv", summarize(HALVED, **FACTS))
    with table.open(newline="") as file:
        *rows, unplaced, total = csv.DictReader(file, dialect="excel-tab")
    report = open_report(HALVED)
    for cells, row in zip(report.rows(), rows, strict=True):
        _, name, length, records, density, coverage, share = cells
        assert [name, to_number(length), to_number(records)] == [
            row["region"],
            int(row["length"]),
            int(row["records"]),
        ]
        assert to_number(density) == pytest.approx(float(row["records_per_megabase"]), rel=0.005)
        assert to_number(coverage.removeprefix("low ")) == pytest.approx(
            float(row["normalized_coverage"]), abs=0.005, rel=0.005
        )
        assert to_number(share.strip("<%")) / 100 == pytest.approx(
            float(row["share_of_total"]), abs=0.0001
        )
    sums = report.page.locator("tfoot tr td:nth-child(4)").all_text_contents()
    assert list(map(to_number, sums)) == [int(total["records"]), int(unplaced["records"])]


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


def test_of_very_many_regions_the_first_are_shown_and_more_on_demand(open_report):
    report = open_report(MANY)
    assert report.names() == [region.name for region in MANY[:MOST_ROWS]]
    status = report.page.get_by_role("status")
    assert status.inner_text() == "5,300 of 5,300 regions, the first 5,000 are shown"
    report.page.get_by_role("button", name="Show more").click()
    report.wait()
    assert report.names() == [region.name for region in MANY]
    assert status.inner_text() == "5,300 of 5,300 regions"
    assert not report.page.get_by_role("button", name="Show more").is_visible()
    assert report.complaints == []


def test_very_many_regions_sort_and_filter_whether_shown_or_not(open_report):
    report = open_report(MANY)
    report.click("Records")
    largest_first = sorted(MANY, key=KEYS["Records"], reverse=True)
    assert report.names() == [region.name for region in largest_first[:MOST_ROWS]]
    report.fill("scaffold_5299")
    assert report.names() == ["scaffold_5299"]


def test_a_long_task_says_that_it_works(open_report):
    report = open_report(MANY)
    at_once = """() => {
        document.querySelector("thead button").click();
        const output = document.querySelector("output").textContent;
        return [document.querySelector("table").getAttribute("aria-busy"), output];
    }"""
    assert report.page.evaluate(at_once) == ["true", "Working …"]
    report.wait()
    assert "regions" in report.page.get_by_role("status").inner_text()


def test_of_very_many_regions_those_with_the_most_records_need_no_script(open_report):
    report = open_report(MANY, java_script_enabled=False)
    least = sorted(region.records for region in MANY)[-MOST_ROWS]
    assert report.names() == [region.name for region in MANY if region.records >= least]
    said = "Here are the 5,000 regions with the most records"
    assert said in report.page.locator("noscript").inner_text()


def test_a_row_that_the_script_makes_is_the_one_in_the_html(open_report):
    many = [RegionCount(f"<b>{n}", 1_000 + n, n % 2 * n) for n in range(5_300)]
    regions = [*HALVED, *many]
    parts = """rows => rows.map((row) =>
        [row.className, ...Array.from(row.cells, (cell) => cell.outerHTML)])"""
    pages = [open_report(regions, java_script_enabled=script).page for script in (False, True)]
    html, made = (page.locator("tbody tr").evaluate_all(parts) for page in pages)
    by_number = {row[1]: row for row in made}
    both = [row for row in html if row[1] in by_number]
    assert len(both) > 1_000
    assert both == [by_number[row[1]] for row in both]


def test_among_very_many_names_are_text_too(open_report):
    odd = [RegionCount(name, 1_000, 1) for name in SCRIPTS]
    report = open_report([*odd, *MANY])
    assert report.names()[: len(odd)] == SCRIPTS
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
    for _ in range(5):
        report.page.keyboard.press("Tab")
    report.page.keyboard.press("Enter")
    assert report.heading("Records").get_attribute("aria-sort") == "descending"
    report.page.keyboard.press("Space")
    assert report.heading("Records").get_attribute("aria-sort") == "ascending"
    outline = "button => getComputedStyle(button).outlineStyle"
    assert report.page.locator("button:focus").evaluate(outline) == "solid"


def test_the_filter_shows_regions_whose_name_contains_its_text(open_report):
    report = open_report(ODD)
    report.fill(" Script> ")
    assert report.names() == ["<script>alert(1)</script>", "</script>"]
    assert report.page.get_by_role("status").inner_text() == "2 of 7 regions"
    report.fill("(1")
    assert len(report.names()) == 2
    report.fill("")
    assert len(report.names()) == len(ODD)


def test_a_number_in_the_filter_is_a_whole_one(open_report):
    names = ["chr10", "chr1_random", "chr1", "chrUn_1", "chr21", "scaffold1chr1"]
    report = open_report([RegionCount(name, 1_000, 1) for name in names])
    report.fill("chr1")
    assert report.names() == ["chr1", "chr1_random", "scaffold1chr1"]
    report.fill("1")
    assert report.names() == ["chr1_random", "chr1", "chrUn_1", "scaffold1chr1"]


def test_the_region_of_just_the_filters_name_comes_first(open_report):
    report = open_report([RegionCount("chr1", 1_000, 1), RegionCount("chr1_alt", 1_000, 2)])
    report.fill("CHR1")
    report.click("Records")
    assert report.names() == ["chr1", "chr1_alt"]


def test_regions_without_records_can_be_left_out(open_report):
    report = open_report(FEW)
    report.page.get_by_label("with records only").check()
    assert report.names() == ["chr1", "chr10", "chr2", "chrM"]
    assert report.page.get_by_role("status").inner_text() == "4 of 5 regions"


def test_a_filtered_table_stays_filtered_when_it_is_sorted(open_report):
    report = open_report(FEW)
    report.fill("chr")
    report.page.get_by_label("with records only").check()
    report.click("Records")
    report.click("Records")
    assert report.names() == ["chr10", "chrM", "chr2", "chr1"]


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


def test_a_file_without_records_has_a_sentence_in_place_of_charts(open_report):
    report = open_report([RegionCount("chr1", 1_000, 0)])
    assert "No region has a record, so there is nothing to draw." in report.text()
    assert report.page.locator(".chart").count() == 0
    assert not report.page.get_by_label("logarithmic").is_visible()
    assert report.complaints == []


def test_equal_scaffolds_have_a_sentence_in_place_of_charts(open_report):
    report = open_report([RegionCount(f"scaffold_{n}", 1_000, 10) for n in range(1_000)])
    assert "All 1,000 regions are alike in records" in report.text()
    assert report.page.locator(".chart").count() == 0


def test_the_figures_answer_which_sex_and_how_much_is_mitochondrial_or_unplaced(open_report):
    report = open_report(HALVED)
    total = sum(region.records for region in HALVED)
    assert "\n0.50\n" in report.figure("chrX, normalized coverage")
    assert "\n0.20\n" in report.figure("chrY, normalized coverage")
    assert f"\n{2_000 / total:.2%}\n" in report.figure("Mitochondrial records")
    assert f"{1_234 / (total + 1_234):.2%} of all records" in report.figure("Unplaced reads")


def test_a_halved_chromosome_is_marked_as_a_hint(open_report):
    report = open_report(HALVED)
    far = report.figure("Far from the median autosome")
    assert "chr13 low 0.50" in far
    assert "a hint, not a verdict" in far
    assert [row[1] for row in report.rows() if row[5].startswith("low ")] == ["chr13"]
    marked = report.page.locator(".chart").nth(1).locator("li").filter(has_text="low 0.50")
    assert marked.locator(".name").all_inner_texts() == ["chr13"]
    assert report.style(".bar.far", "backgroundColor") != report.style(".bar", "backgroundColor")


def test_a_line_marks_the_median_autosome_in_the_chart_of_densities(open_report):
    report = open_report(make_autosomes())
    line = report.page.locator(".axis.linear .reference")
    assert line.all_inner_texts() == ["median autosome"]
    middle = line.evaluate("one => one.getBoundingClientRect().left")
    bars = report.page.locator(".chart").nth(1).locator("li .bar")
    ends = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().right)")
    assert sum(end < middle for end in ends) == sum(end > middle for end in ends) == 11


def test_where_there_is_nothing_to_compare_with_nothing_is_compared(open_report):
    report = open_report(SOME)
    assert "normalized" not in report.text().lower()
    assert "median" not in report.text()
    assert report.page.locator("tbody tr").first.locator("td, th").count() == 6


def test_counts_of_filtered_records_say_so_and_tell_no_share_of_the_unplaced(open_report):
    report = open_report(summarize(FEW, filters="-q 30 -F 2308"))
    assert "Alignment records that pass the filters per region" in report.text()
    assert "Filters\n-q 30 -F 2308" in report.text()
    unplaced = report.figure("Unplaced reads that pass the filters")
    assert unplaced.endswith("\n0\nnot in the total")
    assert "Unplaced reads that pass the filters" in report.page.locator("tfoot").inner_text()


def test_it_says_what_was_wrong_with_a_given_index(open_report):
    index = "fresh: the index '<x>.bai' is of another BAM file"
    assert f"Index\n{index}" in open_report(summarize(FEW, index=index)).text()


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


@pytest.mark.parametrize("regions", [FEW, SOME, ODD, HALVED], ids=["few", "some", "odd", "human"])
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


def test_where_colours_are_forced_bars_still_show(open_report):
    report = open_report(HALVED, forced_colors="active")
    paper = read_pixel(report.page, "h1", x=-1)
    for selector in (".bar", ".bar.far"):
        assert read_pixel(report.page, selector, x=5) != paper


def read_pixel(page: Page, selector: str, x: int) -> list[int]:
    """Return the colour in the middle of an element, this far from its left end (or its right)."""
    picture = b64encode(page.locator(selector).first.screenshot()).decode()
    read = """async ([picture, x]) => {
        const image = new Image();
        image.src = "data:image/png;base64," + picture;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        const place = (x + image.width) % image.width;
        return Array.from(canvas.getImageData(place, Math.floor(image.height / 2), 1, 1).data);
    }"""
    return page.evaluate(read, [picture, x])


def test_paper_shows_the_rows_with_records_and_says_how_many_and_no_controls(open_report):
    page = open_report(SOME).page
    page.emulate_media(media="print")
    shown = page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight > 0)")
    assert shown == [region.records > 0 for region in SOME]
    assert "999 of 1,000 regions are printed." in page.locator("main").inner_text()
    assert not page.get_by_label("Name contains").is_visible()


def test_paper_says_how_many_of_a_filtered_table_it_shows(open_report):
    report = open_report(FEW)
    report.fill("chr1")
    report.page.emulate_media(media="print")
    assert "1 of 5 regions are printed." in report.text()


def test_no_row_waits_to_be_drawn_until_it_is_in_view(open_report):
    """In a screenshot of the whole page such rows would be blank."""
    report = open_report(SOME)
    assert report.style("tbody tr:last-child", "contentVisibility") == "visible"


def test_the_table_has_a_name_for_readers_of_the_screen(open_report):
    assert open_report(FEW).page.get_by_role("table", name="All regions").count() == 1


def test_names_break_between_their_parts_only(open_report):
    report = open_report([RegionCount("chrUn_KN707606v1_decoy", 1_000, 1)])
    name = report.page.locator("li .name").first
    assert name.inner_html() == "chrUn_<wbr>KN707606v1_<wbr>decoy"
    assert name.inner_text() == "chrUn_KN707606v1_decoy"


def test_names_that_are_folded_away_do_not_narrow_the_bars(open_report):
    few = [RegionCount(f"chr{n}", 9_000_000, 9_000) for n in range(1, 9)]
    short = [RegionCount(f"c{n}", 100, n) for n in range(100)]
    long = [one._replace(name=f"{one.name}_{'x' * 40}") for one in short]
    widths, other_widths = (open_report(few + others).bar_widths() for others in (short, long))
    assert widths == other_widths


def test_the_other_regions_together_leave_the_main_ones_room(open_report):
    main = [RegionCount(f"chr{n}", 9_000_000, 9_000) for n in range(1, 4)]
    others = [RegionCount(f"scaffold_{n}", 1_000, n) for n in range(200)]
    report = open_report([*main, *others])
    folded = report.page.locator("summary .bar").first
    width = folded.evaluate("bar => bar.getBoundingClientRect().width")
    assert report.bar_widths() == pytest.approx([width] * 3)
    assert "A bar that fades out runs off the scale." in report.text()


def test_the_browsers_search_finds_a_row_that_is_not_in_view(open_report):
    assert open_report(SOME).page.evaluate("window.find('contig_998')")
