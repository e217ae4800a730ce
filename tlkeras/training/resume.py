"""Where a training is, kept in the run folder, so that a process that ends at any step can be followed by another."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from tlkeras.data.examples import Splits
from tlkeras.errors import TlkerasError
from tlkeras.files import plain
from tlkeras.machine import installed_versions
from tlkeras.runs import Run
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.checkpoints import (
    FOLDER,
    Checkpoint,
    Position,
    positions,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from tlkeras.training.history import History

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")

_PACKAGES = ("tlkeras", "keras", "tensorflow", "numpy", "keras-hub")


@runtime_checkable
class Resumable(Protocol):
    """What a callback has whose state is to survive a stop; callbacks of your own may have it too."""

    def get_state(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Return what JSON knows, and arrays."""
        ...

    def set_state(self, facts: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
        """Go on from what `get_state` returned."""
        ...


@dataclass(frozen=True)
class Place:
    """The checkpoints of a run.

    Attributes:
        folder: Where they are.
        about: What they belong to; a checkpoint of anything else is refused.
        save_every: Seconds between checkpoints within an epoch.
    """

    folder: Path
    about: Mapping[str, Any]
    save_every: float

    def restore(self, network: "keras.Model", history: History) -> int:
        """Set network and history to what they were after the last finished phase; return how many are finished.

        Raises:
            TlkerasError: The checkpoint belongs to other data, another configuration or another version.
        """
        for position in reversed(positions(self.folder)):
            checkpoint = read_checkpoint(self.folder, position)
            if checkpoint is None:
                continue
            self._check(checkpoint)
            if position.step == 0:
                _forget_after(self.folder, position.phase)
                assign(network.variables, checkpoint.arrays, "variable")
                history.rows = list(checkpoint.facts["history"])
                return position.phase
        _forget_after(self.folder, 0)
        return 0

    def finish_phase(self, number: int, network: "keras.Model", history: History) -> None:
        """Keep the state after `number` finished phases."""
        self.write(Checkpoint(Position(number), arrays(network.variables, "variable"), {"history": history.rows}))

    def within(self, phase: int) -> Checkpoint | None:
        """Return the newest checkpoint within a phase (its number from 0), if there is one."""
        for position in reversed(positions(self.folder)):
            if position.phase == phase and position.step:
                checkpoint = read_checkpoint(self.folder, position)
                if checkpoint is not None:
                    return checkpoint
        return None

    def part_size(self, phase: int) -> int | None:
        """Return how many examples went through the network at once in a phase that was broken off; None if none was."""
        kept = self.within(phase)
        return kept.facts.get("part_size") if kept else None

    def forget(self, phase: int) -> None:
        """Remove what lies within a phase: it begins anew."""
        for position in positions(self.folder):
            if position.phase == phase and position.step:
                remove_checkpoint(self.folder, position)

    def write(self, checkpoint: Checkpoint) -> bool:
        """Write a checkpoint and say whether it is on the disk: where it cannot be, a warning says so and training goes on."""
        facts = {**checkpoint.facts, "about": self.about, "machine": _machine()}
        try:
            write_checkpoint(self.folder, Checkpoint(checkpoint.position, checkpoint.arrays, facts))
        except OSError as error:
            log.warning("No checkpoint could be written to %s (%s): training goes on, the last one stays", self.folder, error)
            return False
        return True

    def _check(self, checkpoint: Checkpoint) -> None:
        saved = checkpoint.facts["about"]
        different = [
            f"{name} (there {_short(saved.get(name))}, now {_short(self.about.get(name))})"
            for name in {**saved, **self.about}
            if saved.get(name) != self.about.get(name)
        ]
        if different:
            raise TlkerasError(
                f"Cannot go on from {self.folder / checkpoint.position.file}: it belongs to a training that differs in "
                f"{'; '.join(different)}. Give the same again, or start a new run with another --output."
            )
        if checkpoint.facts["machine"] != _machine():
            log.warning("The run began on another machine or with another number of threads: it goes on, equal up to rounding")


def open_place(
    run: Run, model: TransferModel, splits: Splits, phases: Sequence[Phase], *, save_every: float, **settings: Any
) -> Place:
    """Return the checkpoints of a run, for this model, data and plan and these further settings of `fit`."""
    versions = installed_versions()
    source = hashlib.blake2b(digest_size=16)
    for weight in model.source.network.get_weights():
        source.update(np.ascontiguousarray(weight).data)
    about = {
        "recipe": run.recipe,
        "data": splits.fingerprint,
        "classes": model.classes,
        "task": model.task,
        "source": model.source.name,
        "source weights": source.hexdigest(),
        "input size": model.source.input_size,
        "phases": phases,
        **settings,
        **{f"version of {name}": versions.get(name) for name in _PACKAGES},
    }
    return Place(run.path / FOLDER, plain(about), save_every)


def arrays(variables: "Sequence[keras.Variable]", prefix: str) -> dict[str, np.ndarray]:
    """Return the values of variables, named `prefix_0000` and so on."""
    return {f"{prefix}_{index:04d}": np.asarray(variable) for index, variable in enumerate(variables)}


def assign(variables: "Sequence[keras.Variable]", values: Mapping[str, np.ndarray], prefix: str) -> None:
    """Give variables the values that `arrays` returned.

    Raises:
        TlkerasError: They are not the same variables.
    """
    found = [values[name] for name in sorted(values) if name.startswith(f"{prefix}_")]
    if [value.shape for value in found] != [tuple(variable.shape) for variable in variables]:
        raise TlkerasError(
            f"A checkpoint holds {len(found)} values ({prefix}) of other shapes than the {len(variables)} of this network. "
            "Start a new run with another --output."
        )
    for variable, value in zip(variables, found, strict=True):
        variable.assign(value)


def _forget_after(folder: Path, phase: int) -> None:
    """Remove what lies within phases that have not begun: they will begin anew."""
    for position in positions(folder):
        if position.phase > phase:
            remove_checkpoint(folder, position)


def _machine() -> dict[str, Any]:
    import tensorflow as tf

    return {
        "cores": os.cpu_count(),
        "threads": [tf.config.threading.get_intra_op_parallelism_threads(), os.environ.get("TF_NUM_INTRAOP_THREADS")],
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "accelerators": len(tf.config.list_physical_devices("GPU")),
    }


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
