"""A pass of the frozen part over rows: read from the cache where it was done before, else computed."""

import functools
import hashlib
import logging
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.features.cache import cache_folder, cache_key, read_arrays, write_arrays
from tlkeras.features.engine import Allocate, Step, compiled, run_step
from tlkeras.features.kept import keep_rows, read_rows, room_for
from tlkeras.features.litert_quick import convert_quickly
from tlkeras.features.rows import Rows
from tlkeras.features.workers import run_litert
from tlkeras.machine import installed_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

log = logging.getLogger("tlkeras")

_PACKAGES = ("tlkeras", "keras", "tensorflow", "ai-edge-litert", "numpy")


class Pass:
    """A network that is run over the rows of several splits and views."""

    def __init__(self, network: "keras.Model", *, litert: bool, kept: bool) -> None:
        """Take a network and how to run it.

        Args:
            network: Any network of one input; its outputs are wanted in inference mode.
            litert: Whether LiteRT computes, where it has all operations; else TensorFlow does.
            kept: Whether rows are read from the cache and kept there; else they are computed, in memory.
        """
        self.network, self.litert = network, litert
        self.kept = kept and cache_folder() is not None
        self._content: bytes | None = None
        self._step: Step | None = None

    @functools.cached_property
    def identity(self) -> str:
        """A digest of the weights and of what they answer: another stride or scaling has the same weights."""
        digest = hashlib.blake2b(digest_size=16)
        for weight in self.network.weights:
            values = np.ascontiguousarray(weight)
            digest.update(f"{values.dtype}{values.shape}".encode())
            digest.update(values.data)
        for answer in self._answers:
            values = np.asarray(answer, np.float64)
            digest.update(f"{values.shape}".encode())
            digest.update((np.round(values / (np.abs(values).max() or 1.0), 3) + 0.0).tobytes())
        return digest.hexdigest()

    def run(self, rows: Rows, on_progress: "Callable[[int, int], None] | None" = None) -> tuple[Rows, ...]:
        """Return the outputs for some rows, read or computed."""
        key = self._key(rows) if self.kept else ""
        found = read_rows(key) if self.kept else None
        if found is not None:
            return found
        if self.litert and not self._convert():
            return self.run(rows, on_progress)  # perhaps TensorFlow has computed it before
        if self.kept and room_for(self._bytes(rows)):
            try:
                return keep_rows(key, lambda allocate: self._compute(rows, on_progress, allocate))
            except OSError as error:
                log.warning("The activations could not be kept (%s): they stay in memory", error)
        return self._compute(rows, on_progress, None)

    def _compute(
        self, rows: Rows, on_progress: "Callable[[int, int], None] | None", allocate: Allocate | None
    ) -> tuple[Rows, ...]:
        if self.litert and self._content is not None:
            return tuple(Rows(values) for values in run_litert(self._content, rows, allocate=allocate))
        if self._step is None:
            self._step = compiled(self.network, [rows])
        return run_step(self._step, [rows], on_progress=on_progress, allocate=allocate)

    def _convert(self) -> bool:
        """Make the LiteRT model, or read the one that was made before; False where there cannot be one: TensorFlow computes."""
        if self._content is not None:
            return True
        key = cache_key(kind="frozen part", identity=self.identity, versions=_versions())
        entry = read_arrays(key)
        if entry is not None:
            self._content = entry["content"].tobytes()
            return True
        try:
            self._content = convert_quickly(self.network, self._sample, self._answers)
            write_arrays(key, {"content": np.frombuffer(self._content, np.uint8)})
        except TlkerasError as error:
            log.info("The frozen part runs in TensorFlow: %s", error)
            self.litert = False
        return self.litert

    @functools.cached_property
    def _sample(self) -> np.ndarray:
        (tensor,) = self.network.inputs
        sides = [side or 8 for side in tensor.shape[1:]]
        if len(sides) == 1:
            return np.arange(1, 1 + sides[0], dtype=tensor.dtype)[None]
        return np.random.default_rng(0).integers(0, 256, (1, *sides)).astype(tensor.dtype)

    @functools.cached_property
    def _answers(self) -> list[np.ndarray]:
        import keras

        return [np.asarray(output) for output in keras.tree.flatten(self.network(self._sample, training=False))]

    def _key(self, rows: Rows) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for array in (rows.values, rows.offsets):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                for start in range(0, len(array), 256):  # a part at a time: the rows may lie in a file
                    digest.update(np.ascontiguousarray(array[start : start + 256]).data)
        engine = "litert" if self.litert else "tensorflow"
        return cache_key(
            kind="activations", rows=digest.hexdigest(), network=self.identity, engine=engine, versions=_versions()
        )

    def _bytes(self, rows: Rows) -> int:
        sizes = [output.size * output.itemsize // (output.shape[1] if varies else 1) for output, varies in self._shapes(rows)]
        return sum(sizes) * (int(rows.offsets[-1]) if rows.offsets is not None else len(rows))

    def _shapes(self, rows: Rows) -> list[tuple[np.ndarray, bool]]:
        return [
            (answer, rows.offsets is not None and output.shape[1] is None)
            for answer, output in zip(self._answers, self.network.outputs, strict=True)
        ]


def _versions() -> dict[str, str | None]:
    versions = installed_versions()
    return {name: versions.get(name) for name in _PACKAGES}
