"""A pass of frozen networks over examples: rows that were computed before are read, the others computed and kept."""

import functools
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.features.cache import cache_folder, cache_key, read_arrays, write_arrays
from tlkeras.features.engine import Allocate, Step, compiled, run_step
from tlkeras.features.kept import Chunk, gather, keep_rows, missing_rows, read_chunks, room_for
from tlkeras.features.litert_quick import convert_quickly
from tlkeras.features.memory import make_room
from tlkeras.features.rows import Rows
from tlkeras.features.workers import run_litert
from tlkeras.machine import installed_versions
from tlkeras.sources.blocks import nested_layers
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")

LEAST_BYTES, MOST_BYTES = 1_000_000, 130_000_000
"""Of the weights of a network for pictures: from here on, and up to there, LiteRT computes it on a CPU.

It takes half as long as TensorFlow, but 1 to 2 s to convert (8 s and more from 64 MB on), once: the file is kept.
"""
_PACKAGES = ("tlkeras", "keras", "tensorflow", "ai-edge-litert", "numpy")

Chain = Sequence[Block]
Read = Callable[[np.ndarray], Rows]
"""From the places of examples, int64, shape `(m,)`, to what the network reads of them."""


@dataclass(frozen=True)
class Passed:
    """What a pass gave.

    Attributes:
        outputs: For each chain the rows of its tensors.
        computed: The number of examples that were not in the cache.
    """

    outputs: list[tuple[Rows, ...]]
    computed: int


class Pass:
    """Chains of blocks that begin alike, run together: each block once, whatever the number of chains that go through it."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        """Take chains.

        Args:
            chains: The first block of all takes one input; what their last blocks give is wanted, in inference mode. The same
                block in several chains is the same object.
        """
        self._chains = [tuple(chain) for chain in chains]
        self.network = tapped(self._chains)
        self._why_tensorflow = why_tensorflow(self.network)
        self._litert = self._why_tensorflow is None
        self._steps: dict[tuple[int, ...], Step] = {}
        self._converted: dict[tuple[int, ...], bytes | None] = {}

    def run(
        self, keys: np.ndarray, read: Read, *, on_progress: Callable[[int, int], None] | None = None, exact: bool = False
    ) -> Passed:
        """Return the outputs for some examples, read or computed.

        Args:
            keys: What the network reads of each, see `Rows.keys`.
            read: Gives it; asked for what must be computed only.
            on_progress: Called with the examples done and their number, while they are computed.
            exact: Read only what was computed for exactly these examples, as TensorFlow's last digits depend on the others in
                a batch.
        """
        if cache_folder() is None:
            tensors = self._compute(range(len(self._chains)), read(np.arange(len(keys))), on_progress, ())
            return Passed(tensors, len(keys))
        entries = self._entries()
        stored = [read_chunks(entry) for entry in entries]
        if exact and not self._litert:
            stored = [[chunk for chunk in chunks if np.array_equal(chunk.keys, keys)] for chunks in stored]
        lacking = [missing_rows(chunks, keys) for chunks in stored]
        missing = np.unique(np.concatenate(lacking)).astype(np.int64)
        if exact and len(missing):
            missing = np.arange(len(keys))
        if len(missing):
            chosen = tuple(number for number, places in enumerate(lacking) if len(places))
            if self._litert and self.converted(chosen) is None:
                self._litert = False  # perhaps TensorFlow has computed it before
                self._why_tensorflow = "LiteRT cannot convert it"
                return self.run(keys, read, on_progress=on_progress, exact=exact)
            fresh = self._keep(chosen, [entries[number] for number in chosen], keys[missing], read(missing), on_progress)
            for number, chunk in zip(chosen, fresh, strict=True):
                stored[number].append(chunk)
        return Passed([gather(chunks, keys) for chunks in stored], len(missing))

    @property
    def engine(self) -> str:
        """What computes it and why, in words."""
        return "LiteRT" if self._litert else f"TensorFlow ({self._why_tensorflow})"

    @functools.cached_property
    def identities(self) -> tuple[str, ...]:
        """For each chain a digest of its weights, of their types and of what they answer to a sample.

        The weights alone do not tell networks apart: another stride or scaling has the same.
        """
        known = {id(block): _digest(block) for chain in self._chains for block in chain}
        return tuple(
            cache_key(weights="".join(known[id(block)] for block in chain), answers=_rounded(answers))
            for chain, answers in zip(self._chains, self._answers, strict=True)
        )

    def converted(self, chosen: Sequence[int] | None = None) -> bytes | None:
        """Return some chains, or all, as a LiteRT model; None where LiteRT cannot run them. Either is kept in the cache."""
        which = tuple(range(len(self._chains)) if chosen is None else chosen)
        if which not in self._converted:
            self._converted[which] = self._convert(which)
        return self._converted[which]

    def _convert(self, chosen: tuple[int, ...]) -> bytes | None:
        key = cache_key(kind="converted", chains=[self.identities[number] for number in chosen], versions=_versions())
        kept = read_arrays(key)
        if kept is None:
            answers = [tensor for number in chosen for tensor in self._answers[number]]
            try:
                kept = {"content": np.frombuffer(convert_quickly(self._network(chosen), self._sample, answers), np.uint8)}
            except TlkerasError as error:
                kept = {"reason": np.array(str(error))}
            write_arrays(key, kept)
        if "reason" in kept:
            log.info("This network runs in TensorFlow: %s", kept["reason"])
        return kept["content"].tobytes() if "content" in kept else None

    def _keep(
        self,
        chosen: tuple[int, ...],
        entries: Sequence[str],
        keys: np.ndarray,
        rows: Rows,
        on_progress: Callable[[int, int], None] | None,
    ) -> list[Chunk]:
        if room_for(self._bytes(chosen, rows)):
            try:
                return keep_rows(entries, keys, lambda rooms: self._compute(chosen, rows, on_progress, rooms))
            except OSError as error:
                log.warning("The activations could not be kept (%s): they stay in memory", error)
        return [Chunk(keys, tensors) for tensors in self._compute(chosen, rows, on_progress, ())]

    def _compute(
        self,
        chosen: Sequence[int],
        rows: Rows,
        on_progress: Callable[[int, int], None] | None,
        rooms: Sequence[Allocate | None],
    ) -> list[tuple[Rows, ...]]:
        which = tuple(chosen)
        counts = [len(self._answers[number]) for number in which]
        owner = [(place, number) for place, count in enumerate(counts) for number in range(count)]

        def allocate(output: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
            place, number = owner[output]
            room = rooms[place] if rooms else None
            return room(number, shape, dtype) if room else make_room(shape, dtype)

        content = self.converted(which) if self._litert else None
        if content is not None:
            outputs = [Rows(values) for values in run_litert(content, rows, allocate=allocate, on_progress=on_progress)]
        else:
            if which not in self._steps:
                self._steps[which] = compiled(self._network(which), [rows])
            outputs = list(run_step(self._steps[which], [rows], on_progress=on_progress, allocate=allocate))
        ends = np.cumsum(counts).tolist()
        return [tuple(outputs[end - count : end]) for end, count in zip(ends, counts, strict=True)]

    def _network(self, chosen: tuple[int, ...]) -> "keras.Model":
        return self.network if len(chosen) == len(self._chains) else tapped([self._chains[number] for number in chosen])

    def _entries(self) -> list[str]:
        engine = "litert" if self._litert else "tensorflow"
        return [cache_key(kind="rows", network=one, engine=engine, versions=_versions()) for one in self.identities]

    @functools.cached_property
    def _sample(self) -> np.ndarray:
        (tensor,) = self.network.inputs
        sides = [side or 8 for side in tensor.shape[1:]]
        if len(sides) == 1:
            return np.arange(sides[0], dtype=tensor.dtype)[None]
        return np.random.default_rng(0).integers(0, 256, (1, *sides)).astype(tensor.dtype)

    @functools.cached_property
    def _answers(self) -> list[list[np.ndarray]]:
        import keras

        flat = [np.asarray(output) for output in keras.tree.flatten(self.network(self._sample, training=False))]
        ends = np.cumsum([len(chain[-1].network.outputs) for chain in self._chains]).tolist()
        return [flat[end - len(chain[-1].network.outputs) : end] for end, chain in zip(ends, self._chains, strict=True)]

    def _bytes(self, chosen: Sequence[int], rows: Rows) -> int:
        size, positions = 0, len(rows) if rows.offsets is None else int(rows.offsets[-1])
        for number in chosen:
            for answer, output in zip(self._answers[number], self._chains[number][-1].network.outputs, strict=True):
                varies = rows.offsets is not None and len(output.shape) > 1 and output.shape[1] is None
                size += answer.nbytes // (answer.shape[1] if varies else 1) * (positions if varies else len(rows))
        return size


def tapped(chains: Sequence[Chain]) -> "keras.Model":
    """Return one network whose outputs are those of all chains, one after the other; it shares the blocks' layers."""
    import keras

    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in chains[0][0].network.inputs]
    known: dict[tuple[int, ...], list[keras.KerasTensor]] = {(): inputs}
    outputs = []
    for chain in chains:
        path: tuple[int, ...] = ()
        for block in chain:
            tensors, path = known[path], (*path, id(block))
            if path not in known:
                result = block.network(tensors if len(tensors) > 1 else tensors[0])
                known[path] = list(result) if isinstance(result, list | tuple) else [result]
        outputs += known[path]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name="frozen_part")


def why_tensorflow(network: "keras.Model") -> str | None:
    """Say why TensorFlow is to compute a network; None where LiteRT is: pictures of a fixed size on a CPU, not tiny, not huge.

    A function of the network and the machine alone, not of the examples or of a clock, so that all commands, and a run that is
    resumed, compute the same numbers.
    """
    import tensorflow as tf

    shape = network.inputs[0].shape[1:]
    if len(shape) != 3:
        return "texts are products of matrices, which it computes near the machine's peak"
    if None in shape:
        return "the pictures have no fixed size"
    if tf.config.list_physical_devices("GPU"):
        return "there is a GPU"
    size = sum(4 * int(np.prod(weight.shape)) for weight in network.weights)
    if LEAST_BYTES <= size <= MOST_BYTES:
        return None
    return f"converting pays from {LEAST_BYTES / 1e6:g} to {MOST_BYTES / 1e6:g} MB of weights, and it has {size / 1e6:.1f}"


def _digest(block: Block) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(sorted({layer.dtype_policy.name for layer in nested_layers(block.network)})).encode())
    for weight in block.network.weights:
        values = np.ascontiguousarray(weight)
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _rounded(answers: Sequence[np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for answer in answers:
        values = np.asarray(answer, np.float64)
        digest.update(f"{answer.dtype}{values.shape}".encode())
        digest.update((np.round(values / (np.abs(values).max() or 1.0), 3) + 0.0).tobytes())
    return digest.hexdigest()


def _versions() -> dict[str, str | None]:
    versions = installed_versions()
    return {name: versions.get(name) for name in _PACKAGES}
