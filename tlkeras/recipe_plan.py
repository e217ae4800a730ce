"""What `tlkeras plan` does: the plan of a recipe's training as tables and a picture, and a learning rate for it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tlkeras.files import write_file
from tlkeras.recipes import Training, until_training
from tlkeras.runs import ROOT

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]


def plan_recipe(recipe: ModuleType, config: Any, *, find_rate: bool = False) -> Iterator[Part]:
    """Yield the tables and lines of a plan in the order in which they are shown, and draw `plan.png`.

    Args:
        recipe: A loaded recipe.
        config: Its settings; `output` is where the pictures go, `saved_models/plans/<recipe>` if not given.
        find_rate: Try rates on a few training steps, suggest one, and draw `rates.png`.
    """
    from tlkeras.training.plan import plan_parts, plan_training
    from tlkeras.training.plan_plots import save_plan

    training = until_training(recipe, config)
    folder = Path(getattr(config, "output", None) or ROOT / "plans" / Path(str(recipe.__file__)).stem)
    folder.mkdir(parents=True, exist_ok=True)
    training = _with_batch_size(training)
    plans = plan_training(training.model, training.splits, training.phases, batch_size=training.options["batch_size"])
    yield from plan_parts(plans)
    write_file(folder / "plan.png", lambda path: save_plan(plans, path))
    yield f"\nDrawn: {folder / 'plan.png'}"
    if find_rate:
        yield from _find_rate(training, config, folder)


def _with_batch_size(training: Training) -> Training:
    from tlkeras.training.memory import choose_batch_size

    asked = training.options.get("batch_size", 32)
    size = choose_batch_size(training.model, len(training.splits.train), training.phases, asked)
    return replace(training, options={**training.options, "batch_size": size})


def _find_rate(training: Training, config: Any, folder: Path) -> Iterator[Part]:
    from tlkeras.training.plan_plots import save_sweep
    from tlkeras.training.rate_finder import lr_find

    options = {name: value for name, value in training.options.items() if name in ("batch_size", "balance", "seed")}
    sweep = lr_find(training.model, training.splits, training.phases, **options)
    name = sweep.phase.name
    write_file(folder / "rates.png", lambda path: save_sweep(sweep.rates, sweep.losses, sweep.suggestion, path, phase=name))
    yield f"Drawn: {folder / 'rates.png'}"
    yield f"A rate for phase {name!r}: {sweep.suggestion:.1e} ({sweep.reason}); now it is {sweep.phase.learning_rate:.1e}."
    flag = getattr(config, "learning_rate", None)
    if flag:
        yield f"Take it by --learning-rate {sweep.suggestion * flag / sweep.phase.learning_rate:.1e}"
