"""Load a foreign model in a child process first: with little memory and time, without network; its end harms nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkeras.errors import TlkerasError, WeightsError
from tlkeras.sources.confined import confine

SECONDS = 300
_ANSWER = "tlkeras trial: "


def try_first(path: Path, modality: str, options: Mapping[str, Any], *, seconds: float = SECONDS) -> None:
    """Load a model in a child process with limited memory, time and files, and no network, programs or accelerator.

    What that means on which system: see `tlkeras.sources.confined.confine`.

    Args:
        path: The file or folder.
        modality: `"image"` or `"text"`.
        options: Arguments of the loader.
        seconds: The time that it may take.

    Raises:
        WeightsError: The child refused it, crashed, or reached a limit.
    """
    request = json.dumps({"path": str(path), "modality": modality, "options": dict(options), "bytes": memory_for(path)})
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", "tlkeras.sources.trial"]
    try:
        done = subprocess.run(  # noqa: S603 - this program itself; the path goes through standard input
            command, input=request, capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{path} was not loaded within {seconds:.0f} s in a trial: refused.") from None
    answers = [line.removeprefix(_ANSWER) for line in done.stdout.splitlines() if line.startswith(_ANSWER)]
    answer = json.loads(answers[-1]) if answers else {}
    if answer.get("refused"):
        raise WeightsError(answer["refused"])
    if done.returncode or answer.get("loaded") is not True:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
        raise WeightsError(f"{path} could not be loaded in a trial with limited memory (code {done.returncode}): {last}")


def memory_for(path: Path) -> int:
    """Return the address space that loading may take, in bytes: what TensorFlow takes, and several times the file."""
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return 6 * 2**30 + 8 * sum(file.stat().st_size for file in files)


def main() -> int:
    """Answer one request from standard input; the return value is the exit code."""
    request = json.load(sys.stdin)
    confine(request["bytes"], SECONDS * (os.cpu_count() or 1))
    from tlkeras.sources import local

    load = local.open_image if request["modality"] == "image" else local.open_text
    try:
        load(Path(request["path"]), **request["options"])
    except (TlkerasError, ValueError) as error:
        sys.stdout.write(f"\n{_ANSWER}{json.dumps({'refused': str(error)})}\n")
        return 1
    sys.stdout.write(f"\n{_ANSWER}{json.dumps({'loaded': True})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
