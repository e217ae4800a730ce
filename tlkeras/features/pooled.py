"""Pooled features: one vector for each example at chosen boundaries of a source model, computed once and kept."""

import functools
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.data.contents import content_digests
from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles
from tlkeras.errors import TlkerasError
from tlkeras.features.cache import cache_key, cached_rows, read_arrays, write_arrays
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.features.litert_quick import convert_quickly, is_quick
from tlkeras.features.rows import Rows
from tlkeras.features.workers import run_litert
from tlkeras.sources.model import SourceModel

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class FeaturePass:
    """A source model made ready to give pooled features; see `prepare`.

    Attributes:
        source: The source model.
        cuts: The boundaries: the numbers of blocks below them.
        widths: The width of the vector at each.
        identity: What the features depend on besides the examples, for the keys of the cache.
        network: From the source's inputs to one vector for each boundary.
        sample: One example that the network reads, always the same for this modality and size.
        converted: Returns the network as a LiteRT model for `run_litert`, None where LiteRT cannot run it; converts once and
            keeps the file in the cache.
        pays: Says whether LiteRT is the faster way to the features: where it converts quickly, or has converted already for the
            latency. MiniLM takes 8 s to convert, in which TensorFlow reads hundreds of texts.
    """

    source: SourceModel
    cuts: tuple[int, ...]
    widths: tuple[int, ...]
    identity: dict[str, Any]
    network: "keras.Model"
    sample: np.ndarray
    converted: Callable[[], bytes | None]
    pays: Callable[[], bool]


def prepare(source: SourceModel, cuts: Sequence[int] | None = None) -> FeaturePass:
    """Make a source model ready to give pooled features.

    Args:
        source: The source model.
        cuts: The boundaries at which to pool, as the numbers of blocks below them; the top alone if not given.
    """
    chosen = tuple(sorted(set(cuts))) if cuts is not None else (len(source.blocks),)
    network = pooled_network(source, chosen)
    widths = tuple(int(output.shape[-1]) for output in network.outputs)

    sample = noise(source)
    answers = [np.asarray(values) for values in _listed(network(sample, training=False))]
    identity = identify(source, network, answers)

    key = cache_key(kind="converted", cuts=chosen, **identity)

    @functools.cache
    def converted() -> bytes | None:
        content, reason = _converted(network, sample, answers, key)
        if content is None:
            log.info("%s runs in TensorFlow here and has no latency: %s", source.name, reason)
        return content

    def pays() -> bool:
        return is_quick(network) or read_arrays(key) is not None

    return FeaturePass(source, chosen, widths, identity, network, sample, converted, pays)


def _converted(
    network: "keras.Model", sample: np.ndarray, answers: Sequence[np.ndarray], key: str
) -> tuple[bytes | None, str | None]:
    """The LiteRT model of a network, or why there is none; either is kept."""
    kept = read_arrays(key)
    if kept is None:
        try:
            kept = {"content": np.frombuffer(convert_quickly(network, sample, answers), np.uint8)}
        except TlkerasError as error:
            kept = {"reason": np.array(str(error))}
        write_arrays(key, kept)
    return (kept["content"].tobytes(), None) if "content" in kept else (None, str(kept["reason"]))


def pooled_network(source: SourceModel, cuts: Sequence[int]) -> "keras.Model":
    """Return the network from the source's inputs to the mean over positions at each boundary (of texts, over the tokens).

    Args:
        source: The source model.
        cuts: Numbers of blocks below the boundaries, ascending, from 1.
    """
    import keras

    first = source.blocks[0].network
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in first.inputs]
    tensors, outputs = list(inputs), []
    for number, block in enumerate(source.blocks[: max(cuts)], start=1):
        result = block.network(tensors if len(tensors) > 1 else tensors[0])
        tensors = list(result) if isinstance(result, list | tuple) else [result]
        if number in cuts:
            outputs.append(_pool(tensors))
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name="pooled")


def _pool(tensors: "Sequence[keras.KerasTensor]") -> "keras.KerasTensor":
    import keras

    mask = next((tensor for tensor in tensors if tensor.dtype == "bool"), None)
    vectors = []
    for tensor in tensors:
        if tensor is not mask:
            rank = len(tensor.shape)
            if rank == 4:
                tensor = keras.layers.GlobalAveragePooling2D()(tensor)
            elif rank == 3:
                tensor = keras.layers.GlobalAveragePooling1D()(tensor, mask=mask)
            vectors.append(keras.ops.cast(tensor, "float32"))
    return keras.ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]


def pooled_features(
    ready: FeaturePass, examples: Examples, *, read: Callable[[Examples, SourceModel], Rows] | None = None
) -> tuple[tuple[np.ndarray, ...], int]:
    """Return the features of some examples at each boundary, and how many examples had to be computed.

    Computed in LiteRT on all cores (twice as fast as TensorFlow on a CPU or more), or in TensorFlow where there is a GPU, where
    LiteRT lacks an operation, or where converting would not pay: on a CPU both give the same to some 1e-5. Read from the cache
    for contents that it has.

    Args:
        ready: What `prepare` returned.
        examples: Their pictures or texts.
        read: Reads examples for a source model in place of `read_inputs`, as a `SharedPixels` does.

    Returns:
        float32, shape `(n, width)` for each of `ready.cuts`; and the number that was not in the cache.
    """
    engine = "gpu" if _has_gpu() else "cpu"
    key = cache_key(kind="pooled", engine=engine, cuts=ready.cuts, shape=_array_shape(examples), **ready.identity)

    def compute(indices: np.ndarray) -> np.ndarray:
        inputs = (read or read_inputs)(examples.take(indices), ready.source)
        content = ready.converted() if engine == "cpu" and ready.pays() else None
        if content is None:
            found = [rows.values for rows in run_network(ready.network, [inputs])]
        else:
            found = run_litert(content, inputs)
        return np.concatenate(found, axis=1)

    values, computed = cached_rows(key, example_digests(examples), compute)
    return tuple(np.split(values, np.cumsum(ready.widths)[:-1], axis=1)), computed


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def noise(source: SourceModel) -> np.ndarray:
    """Return one example that every source of this modality and size reads: always the same pixels or tokens."""
    generator = np.random.default_rng(0)
    if source.modality == "image":
        return generator.integers(0, 256, (1, source.input_size, source.input_size, 3)).astype(np.float32)
    vocabulary = source.tokenizer.get_vocab_size() if source.tokenizer else source.pad_id + 2
    ids = generator.integers(0, vocabulary, (1, source.input_size)).astype(np.int32)
    return np.where(ids == source.pad_id, (source.pad_id + 1) % vocabulary, ids)


def identify(source: SourceModel, network: "keras.Model", outputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return what tells the features of a source model from those of any other, for `cache_key`.

    The weights alone do not: another scaling or stride has the same. So the answers to a sample count too.

    Args:
        source: The source model.
        network: See `FeaturePass`.
        outputs: What it gives for the sample.
    """
    digest = hashlib.sha256()
    for weight in network.weights:
        values = np.ascontiguousarray(weight.numpy())
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    answers = hashlib.sha256()
    for output in outputs:
        values = np.asarray(output, np.float64)
        answers.update(np.round(values / (np.abs(values).max() or 1.0), 3).tobytes())
    tokenizer = hashlib.sha256(source.tokenizer.to_str().encode()).hexdigest() if source.tokenizer else None
    packages = ("tlkeras", "keras", "tensorflow", "ai-edge-litert", "pillow", "tokenizers")
    return {
        "weights": digest.hexdigest(),
        "answers": answers.hexdigest(),
        "input_size": source.input_size,
        "resize": source.resize,
        "tokenizer": tokenizer,
        "versions": {name: _version(name) for name in packages},
    }


def example_digests(examples: Examples) -> np.ndarray:
    """Return a str for each example, shape `(n,)`, equal where the contents are equal and there only."""
    store = examples.store
    if isinstance(store, (ImageFiles, EncodedImages)) and "digest" not in examples.metadata:
        return np.array([hashlib.blake2b(store.encoded(row), digest_size=16).hexdigest() for row in range(len(store))])
    return content_digests(examples)


def _array_shape(examples: Examples) -> tuple[int, ...] | None:
    """The shape of pictures in memory, which the digests of their bytes do not tell."""
    return tuple(examples.store.pixels.shape[1:]) if isinstance(examples.store, ImageArrays) else None


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
