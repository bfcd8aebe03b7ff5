"""A plugin of pytest: the last line of a run says which tests were left out, and why."""

from collections import Counter

import pytest

APART = "make bench and make test-live are run apart"


def describe_left_out(reasons: Counter[str], deselected: int) -> str:
    """Return the line.

    Args:
        reasons: number of tests that were skipped for each reason.
        deselected: number of tests that were not asked for.
    """
    parts = [f"{number} ({reason})" for reason, number in sorted(reasons.items())]
    if deselected:
        parts.append(f"{deselected} (not asked for)")
    return f"Tests left out: {', '.join(parts) or 'none'}; {APART}."


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the line, below the last one of pytest."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.collectonly:
        return
    skipped = reporter.stats.get("skipped", [])
    # A report of a skipped test holds its file, its line and `Skipped: REASON`.
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    print(describe_left_out(reasons, len(reporter.stats.get("deselected", []))))
