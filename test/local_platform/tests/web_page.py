"""The platform's page as a person has it open, and what goes on while it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local_platform.address import page_address
from local_platform.testing.local import LocalPlatform

PATIENCE = 20_000
"""Milliseconds after which what does not appear is a failure; this machine may be busy."""
expect.set_options(timeout=PATIENCE)


class Tab:
    """An open tab, its requests, and its complaints: errors, console messages and dialogs."""

    def __init__(self, page: Page, platform: LocalPlatform) -> None:
        """Watch a page that is still empty."""
        self.page = page
        self.platform = platform
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    @property
    def origin(self) -> str:
        """The page's scheme, host and port."""
        return f"http://127.0.0.1:{self.platform.port}"

    def open(self, place: str = "/") -> None:
        """Open the address that the platform prints, at one place in the page."""
        self.page.goto(page_address("127.0.0.1", self.platform.port, self.token, place))
        expect(self.page).to_have_url(f"{self.origin}/#{place}")
        expect(self.page.locator("main:not([aria-busy]) h1")).to_be_visible()

    @property
    def token(self) -> str:
        """The user's token."""
        return self.platform.token

    def click(self, name: str, role: Any = "button", **options: Any) -> None:
        """Click what has this role and name."""
        self.page.get_by_role(role, name=name, **options).click()

    def text(self, selector: str) -> Locator:
        """Return what a selector finds, to be compared."""
        return self.page.locator(selector)

    def field(self, name: str) -> Locator:
        """Return the field of an input."""
        return self.page.locator(".field").filter(
            has=self.page.locator(f'[id="input_{name}_mistake"]')
        )

    def drop(self, selector: str, files: list[tuple[str, str]]) -> None:
        """Drop files, (name, content), on an element."""
        self.page.locator(selector).evaluate(
            """(element, files) => {
              const dataTransfer = new DataTransfer();
              for (const [name, text] of files) dataTransfer.items.add(new File([text], name));
              element.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true}));
            }""",
            files,
        )

    def command(self) -> str:
        """Return the dx run line."""
        return self.page.get_by_role("group", name="The dx run line").locator("code").inner_text()

    def is_state(self, state: str) -> None:
        """Wait until the job shown is in a state."""
        expect(self.page.locator(".row .badge").first).to_have_text(state)

    def has_only_asked_the_platform(self) -> bool:
        """Tell whether no request went elsewhere, and none shows the token."""
        own = all(url.startswith(self.origin + "/") for url in self.requests)
        return own and not any(self.token in url for url in self.requests)


@pytest.fixture
def open_tab(browser: Browser, dx_platform: LocalPlatform) -> Iterator[Any]:
    """Open tabs of browsers without a past; the options are those of a browser's context."""
    contexts = []

    def open_one(of: LocalPlatform = dx_platform, **options: Any) -> Tab:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return Tab(context.new_page(), of)

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def tab(open_tab: Any) -> Iterator[Tab]:
    """Open one tab, which asks only the platform and complains of nothing."""
    tab = open_tab()
    yield tab
    assert tab.complaints == []
    assert tab.has_only_asked_the_platform()
