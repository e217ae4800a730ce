"""Does tlkeras's default deserve to be one? Its test accuracy beside the best of what a user would take instead.

    python benchmarks/environments.py
    python benchmarks/quality.py FOLDER --results quality.json                   # goes on from what the file has; many hours
    python benchmarks/quality.py FOLDER --results quality.json --sets stamps reviews --sizes 10 --seeds 2
    python benchmarks/quality.py FOLDER --results quality.json --table

FOLDER holds the downloaded packages, see `rank_data.py`. A size is the number of labelled examples of each class, a quarter
of which is for validation; `all` takes all but the test part. Same files and weights for all: MobileNetV2 at 97 pixels,
MiniLM-L6 at 64 tokens. The linear models choose their strength by cross-validation over all labelled examples; fastai and
`Trainer` train as their documentation has it, and validation chooses nothing. Accuracy is on up to 500 test examples, the
same for all seeds.
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

log = logging.getLogger("quality")

ARMS = {
    "image": (
        Arm("tlkeras", "tlkeras_arm.py", options={"strategy": "fine_tune"}),
        Arm("probe", "probe_arm.py", options={"select": True}),
        Arm("fastai", "fastai_arm.py", "fastai", {"epochs": 6}),
    ),
    "text": (
        Arm("tlkeras", "tlkeras_arm.py", options={"strategy": "fine_tune"}),
        Arm("probe", "probe_arm.py", options={"select": True}),
        Arm("TF-IDF", "tfidf_arm.py", options={"select": True}),
        Arm("Trainer", "trainer_arm.py", "transformers", {"epochs": 3}),
    ),
}
SETS = {
    "stamps": "image",
    "clipart": "image",
    "silhouettes": "image",
    "fashion": "image",
    "textiles": "image",
    "newsgroups_6": "text",
    "reviews": "text",
    "tweets": "text",
    "amazon": "text",
    "reuters_8": "text",
}
SIZES, SEEDS, TEST = ("10", "100", "all"), 5, 500
PIXELS, TOKENS = 97, 64


def collect(folder: Path, results: Path, chosen: argparse.Namespace) -> None:
    """Run what the results do not have yet, and write them after each run; all sets once before the next seed."""
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for seed in range(chosen.seeds):
        for size in chosen.sizes:
            for name in chosen.sets:
                runs = found.setdefault(name, {}).setdefault(size, {})
                missing = [arm for arm in ARMS[SETS[name]] if str(seed) not in runs.setdefault(arm.name, {})]
                if missing:
                    _run(folder, results, found, name, size, seed, missing, chosen.environments)


def _run(
    folder: Path, results: Path, found: dict[str, Any], name: str, size: str, seed: int, arms: list[Arm], places: Path
) -> None:
    import rank_data
    import write_data

    modality = SETS[name]
    pool = rank_data.pool(modality, name, folder)
    count = None if size == "all" else int(size)
    parts = write_data.draw_per_class(pool, count, min(TEST, len(pool.examples) // 3), seed=seed)
    work = Path(tempfile.mkdtemp(prefix="quality_"))
    try:
        write_data.write(parts, pool.classes, work / "data")
        job = {"data": str(work / "data"), "modality": modality, "seed": seed, "limit": 3600, "test": True}
        job["size"] = PIXELS if modality == "image" else TOKENS
        for arm in arms:
            try:
                rows = run_arm(arm, job, work / f"{arm.name}.jsonl", places)
            except RuntimeError as error:  # the other arms are worth having
                log.error("%s", error)
                continue
            kept = {**rows[-1], "head": rows[0].get("val_accuracy"), "labelled": len(parts["train"]) + len(parts["val"])}
            found[name][size][arm.name][str(seed)] = kept
            write_json(results, found)
            log.info("%s, %s a class, seed %d, %s: %.3f", name, size, seed, arm.name, kept["test_accuracy"])
    finally:
        shutil.rmtree(work)


def table(results: Path) -> Iterator[str]:
    """Yield the results as Markdown: means over the seeds that every arm of a cell has, and tlkeras minus the best of them."""
    found = json.loads(results.read_text(encoding="utf-8"))
    for modality, arms in ARMS.items():
        names = [arm.name for arm in arms]
        yield f"| {modality} | a class | seeds | " + " | ".join(names) + " | behind the best, points |"
        yield "|---" * (len(names) + 4) + "|"
        behind = []
        for name, sizes in found.items():
            for size, runs in sizes.items():
                seeds = sorted(set.intersection(*(set(runs.get(arm, {})) for arm in names)))
                if SETS[name] != modality or not seeds:
                    continue
                means = [statistics.mean(runs[arm][seed]["test_accuracy"] for seed in seeds) for arm in names]
                behind.append(100 * (max(means[1:]) - means[0]))
                cells = [f"**{mean:.3f}**" if mean == max(means) else f"{mean:.3f}" for mean in means]
                yield f"| {name} | {size} | {len(seeds)} | " + " | ".join(cells) + f" | {behind[-1]:+.1f} |"
        if behind:
            yield f"\nBehind the best on average: {statistics.mean(behind):+.1f} points; at most {max(behind):+.1f}.\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, default=Path("quality.json"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=tuple(SETS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
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
