"""Task similarity by names: how close a data set's class names lie to those that a source model was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.data.examples import Examples, Texts
from tlkeras.data.targets import NoTargets
from tlkeras.features.cache import cache_key, cached_rows
from tlkeras.features.inputs import example_digests, read_inputs
from tlkeras.features.pool import pool_block
from tlkeras.features.rows import ordered_batches
from tlkeras.sources.blocks import chain
from tlkeras.sources.catalog import list_sources
from tlkeras.sources.text import load_text_source

ENCODER = "minilm_l6"
LONGEST_NAME = 32


@dataclass(frozen=True)
class NameSimilarity:
    """How close class names lie to a source's.

    Attributes:
        mean: The mean over our classes of the cosine to the nearest source class; 1 where all have the same name.
        nearest: For each of our classes the nearest source class and its cosine.
    """

    mean: float
    nearest: Mapping[str, tuple[str, float]]


def can_compare_names() -> bool:
    """Say whether the sentence encoder that compares names is installed."""
    return any(row.name == ENCODER and row.weights == "installed" for row in list_sources())


def compare_names(classes: Sequence[str], source_classes: Sequence[str]) -> NameSimilarity:
    """Compare two lists of names by the cosine of their sentence embeddings (all-MiniLM-L6-v2).

    Args:
        classes: Our class names; underscores and hyphens count as spaces.
        source_classes: The source's.
    """
    vectors = embed_names([*classes, *source_classes])  # at once: the encoder is loaded for those that are not known
    cosine = vectors[: len(classes)] @ vectors[len(classes) :].T
    best = cosine.argmax(axis=1)
    return NameSimilarity(
        mean=float(cosine.max(axis=1).mean()),
        nearest={
            name: (source_classes[place], float(row[place])) for name, place, row in zip(classes, best, cosine, strict=True)
        },
    )


def embed_names(names: Sequence[str]) -> np.ndarray:
    """Return an embedding of length 1 for each name, float32, shape `(n, 384)`; known names come from the cache."""
    words = tuple(" ".join(name.replace("_", " ").replace("-", " ").split()).lower() for name in names)
    rows = np.arange(len(words))
    examples = Examples(rows.astype(str), Texts(words, rows), NoTargets(len(words)))

    def compute(indices: np.ndarray) -> np.ndarray:
        source = load_text_source(ENCODER, sequence_length=LONGEST_NAME)
        inputs = read_inputs(examples.take(indices), source)
        network = chain((*source.blocks, pool_block(source.network.outputs)), name="names")
        (top,) = network.outputs
        vectors = np.empty((len(inputs), int(top.shape[-1])), np.float32)
        for batch in ordered_batches(inputs, 256):  # so few that compiling would take longer
            vectors[batch] = np.asarray(network(inputs.batch(batch), training=False)).reshape(len(batch), -1)
        return vectors

    # The weights are pinned by their sha256, so the encoder's name stands for them.
    vectors, _ = cached_rows(cache_key(kind="names", encoder=ENCODER), example_digests(examples), compute)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
