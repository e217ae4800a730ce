"""A checkpoint after each phase: the weights and the history so far, in one file that is whole or not there."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.errors import WeightsError
from tlkeras.files import write_file
from tlkeras.training.history import History

if TYPE_CHECKING:
    import keras

FOLDER = "checkpoints"


def save_checkpoint(folder: Path, phase: int, network: "keras.Model", history: History) -> None:
    """Write what is needed to go on after phase number `phase` (from 1)."""
    arrays = {f"weight_{index:04d}": weight for index, weight in enumerate(network.get_weights())}

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez(stream, history=np.array(json.dumps(history.rows)), **arrays)

    (folder / FOLDER).mkdir(exist_ok=True)
    write_file(folder / FOLDER / f"phase_{phase}.npz", write)


def restore_checkpoint(folder: Path, network: "keras.Model", history: History) -> int:
    """Load the newest checkpoint, if there is one, and return the number of phases that it holds."""
    found = sorted((folder / FOLDER).glob("phase_*.npz"), key=lambda path: int(path.stem.split("_")[1]))
    if not found:
        return 0
    with np.load(found[-1], allow_pickle=False) as arrays:
        weights = [arrays[name] for name in sorted(arrays.files) if name.startswith("weight_")]
        expected = [weight.shape for weight in network.get_weights()]
        if [weight.shape for weight in weights] != expected:
            raise WeightsError(f"{found[-1]} belongs to another network. Give another --output, or delete the folder.")
        network.set_weights(weights)
        history.rows = json.loads(str(arrays["history"]))
    return int(found[-1].stem.split("_")[1])
