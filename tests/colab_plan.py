"""Ask pip what `pip install tlkeras` would do in an environment like stock Colab, and refuse a plan that would harm it.

Run by `make test-colab` in an environment that holds the versions of `colab-constraints.txt` and nothing of tlkeras yet.
Keras may be upgraded (tlkeras needs 3.15.1 for its security fixes); nothing may be downgraded, and TensorFlow and what
pins it must stay as they are, because Colab has them loaded or compiled against one another.
"""

import json
import subprocess
import sys
from importlib import metadata

from packaging.version import Version

MAY_CHANGE = {"keras"}


def plan() -> dict[str, str]:
    """Return the packages that pip would install, with their versions."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--disable-pip-version-check",
        "--report",
        "-",
        ".",
    ]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}


def harm(planned: dict[str, str], present: dict[str, str]) -> list[str]:
    """Return what is wrong with a plan, given the versions that are present."""
    found = []
    for name, version in planned.items():
        before = present.get(name.lower().replace("_", "-"))
        if before is None:
            continue
        if Version(version) < Version(before):
            found.append(f"{name} would be downgraded from {before} to {version}")
        elif name.lower() not in MAY_CHANGE:
            found.append(f"{name} would be changed from {before} to {version}")
    return found


def main() -> int:
    """Print the plan; return 1 if it would harm."""
    present = {item.metadata["Name"].lower().replace("_", "-"): item.version for item in metadata.distributions()}
    planned = plan()
    print("On Colab, pip would install: " + ", ".join(f"{name} {version}" for name, version in sorted(planned.items())))
    problems = harm(planned, {name: version for name, version in present.items() if name != "tlkeras"})
    for problem in problems:
        print(f"NOT GOOD: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
