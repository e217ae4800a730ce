"""Chromium, driven by playwright; tests that need it are skipped, with the reason, where it is not there."""

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODULES = Path(__file__).parent / "browser" / "node_modules"
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start the machine's Chromium; skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="a browser test: pip install 'tlkeras[browser]'")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("a browser test: it needs Chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def require_packages() -> None:
    """Skip the test where the npm packages of the exported web page are not installed."""
    if not (MODULES / "@litertjs" / "core").is_dir():
        pytest.skip("needs LiteRT.js: npm install --prefix tests/browser --no-package-lock")


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields the address."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
