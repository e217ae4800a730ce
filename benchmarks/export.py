"""What each form of export costs: packaged source models, fine-tuned on the samples, exported and compared with Keras.

    python benchmarks/export.py efficientnet_lite0 mobilenet_v2 minilm_l6 --results export.json

Prints a Markdown table: size, size as a share of float32, the labels that stay, accuracy and what is lost of it, the
time of one example on one thread. Whether a form passes is said by `verify`'s own bounds.
"""

import argparse
import json
import tempfile
from pathlib import Path

import tlkeras as tl
from tlkeras.export.benchmark import benchmark_artifact
from tlkeras.export.verify import compare_with_keras
from tlkeras.sources.text import TEXT_SOURCES

IMAGE_TARGETS = ("saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8")
TEXT_TARGETS = (*IMAGE_TARGETS[:4], "mediapipe_dynamic")
HEADER = (
    *("source", "target", "MB", "of float32", "same label", "accuracy (Keras)"),
    *("points lost [95 %]", "mean difference", "ms", "verify"),
)


def train(name: str, *, image_size: int, strategy: str, seed: int) -> "tuple[tl.TransferModel, tl.Splits]":
    """Train a source model on its sample as the recipes do."""
    if name in TEXT_SOURCES:
        splits, source, epochs = tl.load_texts("sample", seed=seed), tl.load_text_source(name), 4
    else:
        splits, source, epochs = tl.load_images("sample", seed=seed), tl.load_image_source(name, image_size=image_size), 12
    model = tl.build_model(source, splits, seed=seed)
    tl.fit(model, splits, tl.plan_phases(strategy, epochs=epochs, learning_rate=1e-3), seed=seed)
    return model, splits


def measure(name: str, *, image_size: int, strategy: str, seed: int) -> list[dict]:
    """Return a row for each target."""
    model, splits = train(name, image_size=image_size, strategy=strategy, seed=seed)
    targets = TEXT_TARGETS if model.modality == "text" else IMAGE_TARGETS
    with tempfile.TemporaryDirectory() as folder:
        artifacts = tl.export_model(model, folder, targets=targets, calibration=splits.train, validation=splits.val)
        parity = compare_with_keras(artifacts, model, splits.test)
        times = [benchmark_artifact(artifact.path, threads=(1,), seconds=1).fastest.p50 for artifact in artifacts]
    whole = next(one.size_bytes for one in artifacts if one.target == "tflite_float32")
    return [
        {
            "source": name,
            "seed": seed,
            "target": artifact.target,
            "megabytes": artifact.size_bytes / 1e6,
            "share": artifact.size_bytes / whole,
            "same_label": result.label_agreement,
            "accuracy_keras": result.measure_keras,
            "accuracy": result.measure_artifact,
            "drop": None if result.drop is None else [result.drop.value, result.drop.low, result.drop.high],
            "mean_difference": result.mean_difference,
            "milliseconds": time,
            "n": result.n,
            "problem": result.problem,
        }
        for artifact, result, time in zip(artifacts, parity, times, strict=True)
    ]


def as_markdown(rows: list[dict]) -> str:
    """Return the rows as a table."""
    lines = [" | ".join(HEADER), " | ".join("---" for _ in HEADER)]
    for row in rows:
        value, low, high = (100 * number for number in row["drop"] or (0, 0, 0))
        cells = (
            row["source"],
            row["target"],
            f"{row['megabytes']:.1f}",
            f"{row['share']:.0%}",
            f"{row['same_label']:.1%}",
            f"{row['accuracy']:.3f} ({row['accuracy_keras']:.3f})",
            f"{value:+.1f} [{low:+.1f}, {high:+.1f}]",
            f"{row['mean_difference']:.1e}",
            f"{row['milliseconds']:.2f}",
            row["problem"] or "passed",
        )
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    """Measure the sources that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--image-size", type=int, default=97)
    parser.add_argument("--strategy", default="fine_tune")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    rows: list[dict] = []
    for name in options.sources:
        for seed in options.seeds:
            rows += measure(name, image_size=options.image_size, strategy=options.strategy, seed=seed)
            if options.results:
                options.results.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
