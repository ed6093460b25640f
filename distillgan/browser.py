"""The browser of this machine, where there is one to look at."""

import os
import sys
import webbrowser


def open_page(address: str) -> None:
    """Show the page. Where there is no screen, nothing: a browser would be one of letters, in this terminal."""
    if sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        webbrowser.open(address)
