"""What `tlkeras compare` does: it trains the arms, writes the files and yields what is to be shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlkeras.data.examples import Splits
from tlkeras.evaluation.arms import Training, depth_arms, make_arms
from tlkeras.evaluation.compare import Comparison, compare
from tlkeras.files import plain, write_file, write_json, write_text
from tlkeras.report.compare_settings import CompareSettings
from tlkeras.report.comparison_page import curve_rows, render_comparison
from tlkeras.report.comparison_plot import save_comparison
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.model import TransferModel

_NOT_COMPARED = ("output", "resume", "strategy", "trainable")
"""Fields of a recipe that a comparison chooses itself."""

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]


def compare_training(
    model: TransferModel, splits: Splits, options: Mapping[str, Any], name: str, config: Any, settings: CompareSettings
) -> Iterator[Part]:
    """Compare arms as a recipe would train: with its data, source model and settings.

    Args:
        model: What the recipe would train; its source model is what the arms start from.
        splits: The data.
        options: What the recipe gives to `fit` besides.
        name: The recipe's name.
        config: Its configuration; `epochs`, `learning_rate` and `augment` are read from it where it has them.
        settings: The flags of the comparison.

    Raises:
        ValueError: The configuration names no folder; or see `compare_parts`.
    """
    values = plain(config)
    if not values.get("output"):
        raise ValueError(f"Where to? tlkeras compare {name} --output FOLDER. What a folder holds already is not trained again.")
    read = {name: values[name] for name in ("epochs", "learning_rate", "augment") if name in values}
    given = {name: options[name] for name in ("batch_size", "balance", "flip", "views") if name in options}
    recipe = {"recipe": name, **{key: value for key, value in values.items() if key not in _NOT_COMPARED}}
    return compare_parts(splits, model.source, Training(**read, **given), settings, Path(values["output"]), recipe=recipe)


def compare_parts(
    splits: Splits,
    source: SourceModel,
    training: Training,
    settings: CompareSettings,
    folder: Path,
    *,
    recipe: Mapping[str, Any],
) -> Iterator[Part]:
    """Compare arms, write `comparison.json`, `.html` and `.png`, and yield what a person wants to know.

    Args:
        splits: The data.
        source: The pre-trained source model.
        training: How to train.
        settings: The flags.
        folder: Where the files go, and the trainings as they are done.
        recipe: What else the trainings depend on: the recipe and its configuration.

    Raises:
        ValueError: A flag cannot be used, or the folder holds another comparison.
    """
    fractions, shares = _numbers("fractions", settings.fractions), _numbers("depths", settings.depths)
    if any(share != int(share) or not 0 <= share <= 100 for share in shares):
        raise ValueError(f"--depths takes shares of the blocks in per cent, 0 to 100. Received: {settings.depths!r}")
    classical = "tf_idf" if source.modality == "text" else "pixels"
    names = [name.strip() for name in settings.arms.split(",") if name.strip()]
    arms = make_arms(list(dict.fromkeys([*names, classical])), source, training)
    depths = depth_arms([int(share) for share in shares], source, training)
    found = compare(
        splits,
        arms,
        fractions=fractions,
        seeds=settings.seeds,
        depths=depths,
        folder=folder,
        settings={**recipe, "training": training, "source": source.name, "size": source.input_size},
    )
    write_json(folder / "comparison.json", plain(found))
    write_file(folder / "comparison.png", lambda path: save_comparison(found, path))
    write_text(folder / "comparison.html", render_comparison(found, folder, source.name, {**recipe, **asdict(settings)}))
    yield from shown(found)
    yield f"\nWrote {folder / 'comparison.html'}, comparison.json and comparison.png."


def shown(found: Comparison) -> Iterator[Part]:
    """Yield the curves as a table, the signs, and the verdict last."""
    yield curve_rows(found)
    for sign in found.signs:
        yield f"{sign.arm} {sign.sign}. Try {sign.remedy}."
    yield f"\n{found.verdict}"


def _numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise ValueError(f"--{flag} takes numbers separated by commas. Received: {text!r}") from None
