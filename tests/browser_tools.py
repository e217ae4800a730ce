"""Chromium, driven by playwright; tests that need it are skipped, with the reason, where it is not there."""

import contextlib
import shutil
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
