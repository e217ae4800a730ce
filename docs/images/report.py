"""Take the picture of a report: `PYTHONPATH=. python docs/images/report.py RUN` writes `report.png` here; needs Chromium."""

import sys
from pathlib import Path

from tests.browser_tools import chromium
from tlkeras.report.html import write_report

HERE = Path(__file__).parent


def main() -> None:
    """Write the report of a run and take a picture of its top."""
    page_file = write_report(sys.argv[1])
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(f"file://{page_file.resolve()}")
        page.screenshot(path=HERE / "report.png")


if __name__ == "__main__":
    main()
