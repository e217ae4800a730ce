"""What `tlkeras tune` does: search a recipe's fields for the best score on validation; test examples are never looked at."""

import csv
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from tlkeras.errors import TlkerasError, TrainingError, unknown
from tlkeras.files import plain, safe_cell, write_file
from tlkeras.recipes import as_flags, until_training
from tlkeras.runs import ROOT
from tlkeras.tune_settings import TuneSettings

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("tlkeras")

DEFAULT = ("learning_rate=2e-4..5e-3", "batch_size=16,32,64", "strategy=fine_tune,discriminative,lora")
"""What is varied where nothing is asked for."""

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Choice:
    """What a field may be: one of `values`, or, with two ends, any number between them."""

    name: str
    values: tuple[Any, ...] = ()
    ends: tuple[float, float] | None = None

    def suggest(self, trial: "optuna.Trial") -> Any:
        """Take the value of a trial; ranges of 10 times and more are searched by their logarithm."""
        if self.ends is None:
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.ends
        by_logarithm = low > 0 and high / low >= 10
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(self.name, low, high, log=by_logarithm)
        return trial.suggest_float(self.name, low, high, log=by_logarithm)

    def holds(self, value: Any) -> bool:
        """Say whether a value is among the choices."""
        if self.ends is None:
            return value in self.values
        return isinstance(value, int | float) and self.ends[0] <= value <= self.ends[1]


def parse_search(items: Sequence[str], config: Any) -> list[Choice]:
    """Return the choices that a user gave.

    Args:
        items: As in `"learning_rate=1e-4..1e-2"` and `"strategy=fine_tune,lora"`.
        config: The recipe's settings, which say of what type a field is.

    Raises:
        ValueError: A field does not exist, or its values cannot be read.
    """
    names = [item.name for item in fields(config) if item.name not in ("output", "resume", "seed", "data")]
    choices = []
    for item in items:
        name, equals, text = (part.strip() for part in item.partition("="))
        name = name.lstrip("-").replace("-", "_")
        if name not in names:
            raise unknown("field", name, names, "tlkeras run NAME --help")
        low, dots, high = text.partition("..")
        if not text or not equals or (dots and not (low and high)):
            raise ValueError(f"A field to search is given as name=low..high or name=a,b,c. Received: {item!r}")
        if dots:
            ends = _number(low), _number(high)
            if not ends[0] < ends[1]:
                raise ValueError(f"A range goes from the lower to the higher number. Received: {item!r}")
            choices.append(Choice(name, ends=ends))
        else:
            choices.append(Choice(name, values=tuple(_value(part.strip()) for part in text.split(","))))
    return choices


def _number(text: str) -> float:
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise ValueError(f"A range has two numbers, as in 1e-4..1e-2. Received: {text!r}") from None


def _value(text: str) -> Any:
    known: dict[str, Any] = {"True": True, "False": False, "None": None}
    if text in known:
        return known[text]
    try:
        return _number(text)
    except ValueError:
        return text


def tune_recipe(recipe: ModuleType, config: Any, settings: TuneSettings) -> Iterator[Part]:
    """Search, and yield the tables and lines that show what was found.

    The trials lie in a journal in the output folder, so that the same command goes on where it was stopped.

    Args:
        recipe: A loaded recipe.
        config: Its settings, of which some are varied; they are tried first if they lie within the choices. `output` is where
            the journal goes, `saved_models/tune/<recipe>` if not given.
        settings: What to vary, and how often.

    Raises:
        ValueError: A field cannot be varied so, or the folder holds another search.
        TlkerasError: Optuna is missing, or no trial has ended with a score.
    """
    name = Path(str(recipe.__file__)).stem
    folder = Path(getattr(config, "output", None) or ROOT / "tune" / name)
    choices = parse_search(settings.search or [item for item in DEFAULT if hasattr(config, item.partition("=")[0])], config)
    study, metric, sign = _open_study(recipe, config, choices, folder)
    base = {choice.name: getattr(config, choice.name) for choice in choices}
    if not study.trials and all(choice.holds(base[choice.name]) for choice in choices):
        study.enqueue_trial(base)
    started = time.monotonic()
    while len(_ended(study)) < settings.trials:
        if settings.minutes and time.monotonic() - started > 60 * settings.minutes:
            log.info("The time is up")
            break
        study.optimize(lambda trial: _try(recipe, config, choices, metric, trial), n_trials=1, catch=())
        _show_last(study, metric, settings.trials)
    yield from _found(study, config, name, metric, sign, folder)


def _open_study(recipe: ModuleType, config: Any, choices: Sequence[Choice], folder: Path) -> "tuple[optuna.Study, str, int]":
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise TlkerasError("Searching needs Optuna. Install it: pip install 'tlkeras[tune]'") from None
    from tlkeras.tasks.table import TASKS

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task = TASKS[until_training(recipe, config).model.task]
    folder.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    direction: Literal["maximize", "minimize"] = "maximize" if task.higher_is_better else "minimize"
    study = optuna.create_study(study_name="tune", storage=storage, direction=direction, load_if_exists=True)
    # Another seed in each call: a sampler that begins anew would repeat the random trials that it begins with.
    study.sampler = optuna.samplers.TPESampler(seed=getattr(config, "seed", 0) + len(study.trials))
    settings = {name: value for name, value in plain(config).items() if name not in ("output", "resume")}
    about = json.dumps({"settings": settings, "search": [str(choice) for choice in choices]}, sort_keys=True, default=str)
    if study.user_attrs.get("about", about) != about:
        raise ValueError(f"{folder} holds a search with other settings or choices. Give the same ones, or another --output.")
    study.set_user_attr("about", about)
    return study, f"val_{task.metric_name}", 1 if task.higher_is_better else -1


def _ended(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    return [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]


def _try(recipe: ModuleType, config: Any, choices: Sequence[Choice], metric: str, trial: "optuna.Trial") -> float:
    """Train with the fields of a trial, as the recipe would, and return the score on validation."""
    import keras
    import optuna

    from tlkeras.training.fit import fit

    values = {choice.name: choice.suggest(trial) for choice in choices}
    log.info("Trial %d: %s", trial.number + 1, as_flags(values))
    keras.utils.clear_session()
    training = until_training(recipe, replace(config, **values))
    try:
        history = fit(training.model, training.splits, training.phases, **training.options)
    except TrainingError as error:
        log.warning("%s", error)
        raise optuna.TrialPruned from error
    best = history.last_best()
    if metric not in best:
        raise optuna.TrialPruned
    trial.set_user_attr("val_loss", float(best.get("val_loss", 0.0)))
    return float(best[metric])


def _show_last(study: "optuna.Study", metric: str, count: int) -> None:
    last = study.trials[-1]
    score = "no score" if last.value is None else f"{metric} {last.value:.4f}"
    log.info("Trial %d of %d ended: %s", len(_ended(study)), count, score)


def _found(study: "optuna.Study", config: Any, name: str, metric: str, sign: int, folder: Path) -> Iterator[Part]:
    scored = [trial for trial in _ended(study) if trial.value is not None]
    if not scored:
        raise TlkerasError("No trial has ended with a score. Search lower learning rates, or look at the messages above.")
    # Equal scores are common on small validation parts; the loss decides then, as between epochs.
    scored.sort(key=lambda trial: (-sign * float(trial.value or 0.0), trial.user_attrs.get("val_loss", 0.0)))
    names = list(scored[0].params)
    rows = [(str(trial.number + 1), f"{trial.value:.4f}", *(_shown(trial.params[one]) for one in names)) for trial in scored]
    write_file(folder / "trials.csv", lambda path: _write_table(path, [("trial", metric, *names), *rows]))
    yield ("trial", metric, *names), rows[:5]
    changed = {item.name: getattr(config, item.name) for item in fields(config) if getattr(config, item.name) != item.default}
    changed = {one: value for one, value in changed.items() if one not in ("output", "resume")} | _rounded(scored[0].params)
    yield f"\nThe best of {len(scored)} validation scores is flattered by being chosen; the test examples were not looked at."
    yield f"All trials: {folder / 'trials.csv'}. Run it, and measure it on them:\n\n    tlkeras run {name} {as_flags(changed)}"


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([safe_cell(cell) for cell in row] for row in rows)


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
