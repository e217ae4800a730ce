"""Run `tlkeras demo` and draw what it prints: `python docs/images/build.py`, writes `demo.svg` beside this file."""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent


def main() -> None:
    """Run the demo in an empty folder and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "import sys; from tlkeras.cli import main; sys.exit(main())", "demo"]
        environment = {**os.environ, "COLUMNS": "118"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    console = Console(record=True, width=118, file=io.StringIO())
    console.print(Text("$ tlkeras demo", style="bold"))
    for line in done.stdout.splitlines():
        good = line.startswith(("Transfer helped", "this model"))
        console.print(Text(line, style="bold green" if good else "bold" if line.startswith("Phase") else ""))
    console.save_svg(str(HERE / "demo.svg"), title="tlkeras")


if __name__ == "__main__":
    main()
