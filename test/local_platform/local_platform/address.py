"""Addresses of the platform's page."""

import os
import sys
import threading
import webbrowser
from urllib.parse import urlencode

HOST = "127.0.0.1"


def page_address(host: str, port: int | str, token: str, place: str = "/") -> str:
    """Return the page's address at one place in it; browsers never send what follows the #."""
    return f"http://{host}:{port}/#token={token}&place={place}"


def launch_place(applet: str, project: str, inputs: dict[str, str]) -> str:
    """Return the place of an applet's launch form in which inputs have the objects of these IDs."""
    return f"/{applet}?{urlencode({'project': project} | {f'-i{k}': v for k, v in inputs.items()})}"


def open_in_browser(url: str) -> None:
    """Open an address if there is a screen: without one, a browser would take the terminal."""
    screens = map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "darwin" or any(screens):
        # Some browsers block the program that opens them, and this process serves the page.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
