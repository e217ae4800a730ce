"""A run folder read back: the trained model and the data that it was trained and measured on."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tlkeras.errors import TlkerasError, unknown
from tlkeras.evaluation.scaling import with_calibration

if TYPE_CHECKING:
    from tlkeras.data.examples import Splits
    from tlkeras.sources.catalog import SourceRow
    from tlkeras.sources.model import SourceModel
    from tlkeras.tasks.model import TransferModel

CONFIG, WEIGHTS, SPLITS, RANKING = "config.yaml", "model.keras", "splits.csv", "ranking.json"


@dataclass(frozen=True)
class FinishedRun:
    """What `load_run` returns.

    Attributes:
        path: The run folder.
        recipe: The recipe's name.
        config: Its configuration.
        model: The trained model.
        splits: The data, divided as in the run.
    """

    path: Path
    recipe: str
    config: Mapping[str, Any]
    model: "TransferModel"
    splits: "Splits"


def load_run(path: str | Path, *, slices: Sequence[str] = ()) -> FinishedRun:
    """Read a run folder back, to export, explain or serve its model.

    The data are read again as the configuration says, and divided by the run's `splits.csv`. Where a recipe's fields have the
    names of the arguments of `load_images`, `load_texts`, `load_image_source` and `load_text_source`, they are handed on.

    Args:
        path: The run folder, with `config.yaml`, `model.keras` and `splits.csv`.
        slices: More columns of its table to read, to slice by.

    Raises:
        TlkerasError: A file is missing, or the model in it is another one than the configuration builds.
        DataError: The data are no longer there, or are not those of the run.
    """
    folder = Path(path)
    for name in (CONFIG, WEIGHTS, SPLITS):
        if not (folder / name).is_file():
            raise TlkerasError(
                f"{folder} holds no finished training: {name} is missing. Give the folder of a run, or resume it."
            )
    config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("source") == "rank":  # what the run picked
        config["source"] = json.loads((folder / RANKING).read_text(encoding="utf-8"))["best"]
    if slices:
        config["slice"] = [*(config.get("slice") or "").split(","), *slices] if config.get("slice") else list(slices)
    row = _source_row(config)
    modality = row.modality
    splits = _read_data(modality, config, folder / SPLITS)
    # The run's own weights follow, so the original ones need not be there; the contract still says where they began.
    source = replace(_build_source(modality, config, splits), pretrained=row.weights != "random")
    model = with_calibration(_build(source, splits, folder / WEIGHTS), folder)
    return FinishedRun(folder, str(config.get("recipe", "")), config, model, splits)


def load_source_again(run: FinishedRun) -> "SourceModel":
    """Return the source model of a run as it was before training.

    Raises:
        WeightsError: Its weights are not there any more, and cannot be downloaded.
    """
    return _build_source(run.model.modality, run.config, run.splits, pretrained=run.model.source.pretrained)


def _source_row(config: Mapping[str, Any]) -> "SourceRow":
    from tlkeras.sources.catalog import list_sources

    rows = {row.name: row for row in list_sources()}
    if config.get("source") not in rows:
        raise unknown("source model", str(config.get("source")), rows, "tlkeras sources")
    return rows[config["source"]]


def _read_data(modality: str, config: Mapping[str, Any], splits: Path) -> "Splits":
    from tlkeras.data.load import load_images, load_texts

    load: Callable[..., Splits] = load_images if modality == "image" else load_texts
    return load(**{**_fields_of(load, config), "splits": splits})


def _build_source(modality: str, config: Mapping[str, Any], splits: "Splits", *, pretrained: bool = False) -> "SourceModel":
    from tlkeras.sources.image import load_image_source
    from tlkeras.sources.text import load_text_source

    load: Callable[..., SourceModel] = load_image_source if modality == "image" else load_text_source
    extra = {"pictures": splits.train} if modality == "image" else {}
    return load(config["source"], pretrained=pretrained, **{**_fields_of(load, config), **extra})


def _fields_of(function: Callable[..., Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in inspect.signature(function).parameters if name in config}


def _build(source: "SourceModel", splits: "Splits", weights: Path) -> "TransferModel":
    import keras

    from tlkeras.tasks.table import build_model

    model = build_model(source, splits)
    trained = keras.models.load_model(weights, compile=False)
    expected, found = ([tuple(one.shape) for one in network.weights] for network in (model.network, trained))
    if expected != found:
        raise TlkerasError(
            f"{weights} is not the model that its configuration builds: {len(found)} weights against {len(expected)}, or of "
            "other shapes. It was written by another version, or its data have other classes now. Train it again."
        )
    model.network.set_weights(trained.get_weights())
    return model
