"""How long until a stated validation accuracy: tlkeras beside what a user would take instead, one after the other.

    python benchmarks/environments.py
    python benchmarks/time_to_accuracy.py FOLDER --results time.json            # goes on from what the file has
    python benchmarks/time_to_accuracy.py FOLDER --results time.json --table

FOLDER holds the downloaded packages, see `rank_data.py`. Every arm is a process of its own in its own environment and starts
from the same weights and the same files. Seconds count from the end of the imports: reading and decoding, building, tracing,
training, and validating after each epoch. Nothing is cached from one run to the next.
"""

import argparse
import json
import logging
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
from run_arm import Arm, run_arm

from tlkeras.files import write_json

log = logging.getLogger("time to accuracy")

ARMS = {
    "image": (
        Arm("tlkeras, head only", "tlkeras_arm.py", options={"strategy": "feature_extraction"}),
        Arm("tlkeras, default", "tlkeras_arm.py", options={"strategy": "fine_tune"}),
        Arm("keras.predict + scikit-learn", "probe_arm.py"),
        Arm("Keras guide's loop", "keras_guide.py", options={"epochs": (20, 10)}),
        Arm("fastai fine_tune(6)", "fastai_arm.py", "fastai", {"epochs": 6}),
    ),
    "text": (
        Arm("tlkeras, head only", "tlkeras_arm.py", options={"strategy": "feature_extraction"}),
        Arm("tlkeras, default", "tlkeras_arm.py", options={"strategy": "fine_tune"}),
        Arm("TF-IDF + scikit-learn", "tfidf_arm.py"),
        Arm("keras.predict + scikit-learn", "probe_arm.py"),
        Arm("Trainer, 3 epochs", "trainer_arm.py", "transformers", {"epochs": 3}),
    ),
}
TASKS = {
    "clipart_topics": ("image", 129),
    "silhouettes": ("image", 97),
    "fashion_12000": ("image", 97),
    "newsgroups_20": ("text", 128),
    "reviews": ("text", 64),
}
"""Data sets, with pixels or tokens."""


def collect(folder: Path, results: Path, chosen: argparse.Namespace) -> None:
    """Run what the results do not have yet; seeds in the outer loop, so that all arms share good and bad minutes."""
    import rank_data
    import write_data

    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    work = Path(tempfile.mkdtemp(prefix="time_to_accuracy_"))
    try:
        for seed in range(chosen.seeds):
            for task in chosen.tasks:
                modality, size = TASKS[task]
                data = work / f"{task}_{seed}"
                runs = found.setdefault(f"{task}, {chosen.count:,}", {})
                missing = [arm for arm in ARMS[modality] if str(seed) not in runs.setdefault(arm.name, {})]
                missing = [arm for arm in missing if chosen.arms is None or any(word in arm.name for word in chosen.arms)]
                if not missing:
                    continue
                pool = rank_data.pool(modality, task, folder)
                parts = write_data.draw(pool, chosen.count, chosen.val, 50, seed=seed)
                write_data.write(parts, pool.classes, data)
                for arm in missing:
                    job = {"data": str(data), "modality": modality, "seed": seed, "size": size, "limit": chosen.limit}
                    place = work / f"{task}_{seed}_{len(list(work.iterdir()))}.jsonl"
                    try:
                        runs[arm.name][str(seed)] = run_arm(arm, job, place, chosen.environments)
                    except RuntimeError as error:  # the other arms are worth having
                        log.error("%s", error)
                        continue
                    write_json(results, found)
                    log.info("%s, seed %d, %s: %s", task, seed, arm.name, summary(runs[arm.name][str(seed)]))
    finally:
        shutil.rmtree(work)


def summary(rows: list[dict[str, Any]]) -> str:
    """Return a run in a line."""
    best = max(row.get("val_accuracy") or 0 for row in rows)
    return f"best {best:.3f}, {rows[-1]['total_seconds']:.1f} s, {rows[-1]['peak_mb']:.0f} MB"


def seconds_to(rows: list[dict[str, Any]], accuracy: float) -> float | None:
    """Return the seconds until a validation accuracy was reached; None if it was not."""
    reached = [row["seconds"] for row in rows if "seconds" in row and row["val_accuracy"] >= accuracy - 1e-9]
    return min(reached, default=None)


def best_of(rows: list[dict[str, Any]]) -> float:
    """Return the best validation accuracy of a run."""
    return max(row["val_accuracy"] for row in rows if "seconds" in row)


def table(results: Path) -> Iterator[str]:
    """Yield the results as Markdown: seconds to the accuracy that each competitor reaches, and tlkeras's to the same."""
    found = json.loads(results.read_text(encoding="utf-8"))
    for task, runs in found.items():
        yield f"\n### {task} training examples\n"
        yield "| | best accuracy | seconds to it | all seconds | peak MB | tlkeras to the same, s | times as fast |"
        yield "|---|---|---|---|---|---|---|"
        for arm, seeds in runs.items():
            if seeds:
                yield _row(arm, seeds, runs)


def _row(arm: str, seeds: dict[str, Any], runs: dict[str, Any]) -> str:
    best = [best_of(rows) for rows in seeds.values()]
    own = [seconds_to(rows, accuracy) for rows, accuracy in zip(seeds.values(), best, strict=True)]
    total = [rows[-1]["total_seconds"] for rows in seeds.values()]
    memory = [rows[-1]["peak_mb"] for rows in seeds.values()]
    cells = [f"{statistics.median(best):.3f}", *(f"{statistics.median(values):.1f}" for values in (own, total))]
    cells.append(f"{statistics.median(memory):.0f}")
    if arm.startswith("tlkeras"):
        return f"| {arm} | " + " | ".join([*cells, "", ""]) + " |"
    ours = [_ours(runs, seed, accuracy) for seed, accuracy in zip(seeds, best, strict=True)]
    reached = [(mine, theirs) for mine, theirs in zip(ours, own, strict=True) if mine is not None]
    if 2 * len(reached) <= len(ours):
        cells += [f"not reached ({len(ours) - len(reached)} of {len(ours)} seeds)", ""]
    else:
        late = "" if len(reached) == len(ours) else f" ({len(reached)} of {len(ours)} seeds)"
        cells.append(f"{statistics.median(mine for mine, _ in reached):.1f}{late}")
        cells.append(f"{statistics.median(theirs / mine for mine, theirs in reached):.1f}")
    return f"| {arm} | " + " | ".join(cells) + " |"


def _ours(runs: dict[str, Any], seed: str, accuracy: float) -> float | None:
    """Return the seconds until the first of tlkeras's arms reached an accuracy."""
    mine = [seeds[seed] for arm, seeds in runs.items() if arm.startswith("tlkeras") and seed in seeds]
    return min((value for rows in mine if (value := seconds_to(rows, accuracy)) is not None), default=None)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, default=Path("time.json"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=("clipart_topics", "reviews"))
    parser.add_argument("--arms", nargs="+", help="only arms with one of these words in their names")
    parser.add_argument("--count", type=int, default=1000, help="training examples")
    parser.add_argument("--val", type=int, default=500, help="validation examples")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which an arm is stopped")
    parser.add_argument("--environments", type=Path, default=environments.DEFAULT)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("tlkeras").setLevel(logging.WARNING)
    if arguments.table:
        print("\n".join(table(arguments.results)))
    else:
        collect(arguments.folder, arguments.results, arguments)


if __name__ == "__main__":
    main()
