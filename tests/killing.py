"""Trainings in processes of their own that are killed at a chosen step; TensorFlow is imported once, each process is a fork.

Run with a JSON list of jobs as the argument; prints one JSON line for each: how the process ended, and what it left.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMAGE: dict[str, Any] = {
    "kind": "image",
    "phase": {"epochs": 16, "patience": 4, "schedule": "plateau", "learning_rate": 2e-2},
}
TEXT: dict[str, Any] = {"kind": "text", "phase": {"epochs": 2, "patience": 3, "learning_rate": 1e-3}}


def run_jobs(jobs: list[dict[str, Any]], **environment: str) -> list[dict[str, Any]]:
    """Run trainings one after the other, each in a process of its own; a job says what, where, and when it is killed."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.killing", json.dumps(jobs)],
        cwd=ROOT,
        env={**os.environ, "TLKERAS_CACHE": "off", **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]


def _train(job: dict[str, Any]) -> dict[str, Any]:
    import keras

    from tlkeras.runs import Run
    from tlkeras.strategies.phases import Phase
    from tlkeras.strategies.table import plan_phases
    from tlkeras.training.fit import fit

    class Kill(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen += 1
            if self.seen == job.get("at"):
                os.kill(os.getpid(), job.get("signal", signal.SIGKILL))

    model, splits = _image() if job["kind"] == "image" else _text()
    if "strategy" in job:
        phases = plan_phases(job["strategy"], epochs=4, learning_rate=1e-2, augment=job.get("augment", "none"))
    else:
        head = Phase(name="head", solver="closed_form", epochs=1)
        phases = [head, Phase(name="top", trainable="top:1", **job["phase"])]
    run = None
    if job.get("folder"):
        Path(job["folder"]).mkdir(exist_ok=True)
        run = Run(Path(job["folder"]), "test", {})
    history = fit(
        model, splits, phases, seed=job.get("seed", 0), batch_size=16, run=run, callbacks=[Kill()],
        save_every=job.get("save_every", 0), reproducible=job.get("reproducible", False),
    )  # fmt: skip
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]
    weights = hashlib.sha256(b"".join(weight.tobytes() for weight in model.network.get_weights())).hexdigest()
    return {"weights": weights, "history": rows}


def _image() -> Any:
    from tests.networks import square_splits, tiny_source
    from tlkeras.tasks.classification import build_classifier

    splits = square_splits()
    return build_classifier(tiny_source(), splits.classes, seed=1), splits


def _text() -> Any:
    import keras

    from tlkeras import build_classifier, load_text_source, splits_from_texts

    keras.utils.set_random_seed(0)
    source = load_text_source("tiny_bert", sequence_length=16)
    texts = [f"{'good best' if row % 2 else 'bad worst'} film {'very ' * (row % 7)}{row}" for row in range(150)]
    splits = splits_from_texts(texts, [row % 2 for row in range(150)], classes=("bad", "good"))
    return build_classifier(source, splits.classes, seed=1), splits


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1


def _main(jobs: list[dict[str, Any]]) -> None:
    import keras  # noqa: F401

    import tests.networks  # noqa: F401
    import tlkeras.training.fit  # noqa: F401

    for job in jobs:
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            try:
                print(json.dumps(_train(job)), flush=True)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(_exit_code(error))
            os._exit(0)
        if "after" in job:
            time.sleep(job["after"])
            os.kill(process, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code:
            print(json.dumps({"ended": code}))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
