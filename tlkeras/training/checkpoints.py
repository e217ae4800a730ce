"""Checkpoints: one file each, whole or not there, found again by the place in training that they hold.

`phase_02_step_00000000.npz` is what training is after two finished phases, `phase_02_step_00000123.npz` what it is after 123
steps of the next. A file is never written over: the next one has another name, and old ones go only after it is on the disk.
"""

import contextlib
import json
import logging
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.files import write_file

log = logging.getLogger("tlkeras")

FOLDER = "checkpoints"
_NAME = re.compile(r"phase_(\d+)_step_(\d+)\.npz")
_FACTS, _NAMES = "facts", "arrays"


@dataclass(frozen=True, order=True)
class Position:
    """A place in training: the phases that are finished, and the steps of the next one that are done."""

    phase: int
    step: int = 0

    @property
    def file(self) -> str:
        """The name of its checkpoint."""
        return f"phase_{self.phase:02d}_step_{self.step:08d}.npz"


@dataclass(frozen=True)
class Checkpoint:
    """What was kept of a place in training.

    Attributes:
        position: The place.
        arrays: Weights and other state, by name.
        facts: Everything else, as JSON knows it.
    """

    position: Position
    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and only when it is on the disk remove those that nothing would go back to.

    Kept are the two newest within the phase, and those after the last two finished phases.

    Raises:
        OSError: There is no room, or the disk fails; the earlier checkpoints are as they were.
    """
    # A damaged list of contents may hide arrays from whoever opens the archive.
    text = json.dumps({_NAMES: sorted(checkpoint.arrays), **checkpoint.facts}).encode("ascii")

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez(stream, **{_FACTS: np.frombuffer(text, np.uint8)}, **checkpoint.arrays)  # type: ignore[arg-type]

    write_file(folder / checkpoint.position.file, write)
    here = checkpoint.position.phase
    within = [position for position in positions(folder) if position.step]
    kept = {position for position in within if position.phase == here} if checkpoint.position.step else set()
    kept = set(sorted(kept, reverse=True)[:2]) | {Position(here), Position(here - 1)}
    for position in positions(folder):
        if position not in kept:
            remove_checkpoint(folder, position)


def positions(folder: Path) -> list[Position]:
    """Return the places that a folder holds checkpoints of, the newest last: by their numbers, whatever the clock said."""
    names = [_NAME.fullmatch(file.name) for file in folder.glob("*.npz")] if folder.is_dir() else []
    return sorted(Position(int(name[1]), int(name[2])) for name in names if name)


def read_checkpoint(folder: Path, position: Position) -> Checkpoint | None:
    """Read a checkpoint; None, with a warning, where it is damaged: the archive holds a checksum of each array."""
    path = folder / position.file
    try:
        with zipfile.ZipFile(path) as archive:  # first, because a damaged header could ask for any amount of memory
            broken = archive.testzip()
            if broken is not None:
                raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(arrays.pop(_FACTS).tobytes())
        if facts.pop(_NAMES) != sorted(arrays):
            raise KeyError("arrays are missing")
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("The checkpoint %s is damaged (%s): the one before it is taken", path, error)
        return None
    return Checkpoint(position, arrays, facts)


def remove_checkpoint(folder: Path, position: Position) -> None:
    """Remove a checkpoint, if it is there."""
    with contextlib.suppress(OSError):
        (folder / position.file).unlink(missing_ok=True)
