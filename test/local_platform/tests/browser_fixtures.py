"""A real browser for the tests; without one on PATH they are skipped."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Root may only start Chromium without its sandbox; the other switch keeps it from calling home.
BROWSER_OPTIONS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start the browser once for all tests."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium on PATH (apt-get install chromium, or brew install chromium)")
    with sync_playwright() as playwright:
        # Chromium writes into a person's folders, whatever its profile.
        folder = str(tmp_path_factory.mktemp("browser"))
        browser = playwright.chromium.launch(
            executable_path=program,
            args=BROWSER_OPTIONS,
            env=os.environ | {"XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder},
        )
        yield browser
        browser.close()
