"""Pooled features: one vector for each example at chosen boundaries of a source model, computed once and kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.features.inputs import input_keys, read_inputs
from tlkeras.features.passes import Pass
from tlkeras.features.pool import pool_block
from tlkeras.features.rows import Rows
from tlkeras.sources.model import SourceModel


@dataclass(frozen=True)
class FeaturePass:
    """A source model made ready to give pooled features; see `prepare`.

    Attributes:
        source: The source model.
        cuts: The boundaries: the numbers of blocks below them.
        widths: The width of the vector at each.
        frozen: Computes them; a run that trains a head alone reads what the boundary at the top has.
    """

    source: SourceModel
    cuts: tuple[int, ...]
    widths: tuple[int, ...]
    frozen: Pass


def prepare(source: SourceModel, cuts: Sequence[int] | None = None) -> FeaturePass:
    """Make a source model ready to give pooled features.

    Args:
        source: The source model.
        cuts: The boundaries at which to pool, as the numbers of blocks below them; the top alone if not given.
    """
    chosen = tuple(sorted(set(cuts))) if cuts is not None else (len(source.blocks),)
    chains = [(*source.blocks[:cut], pool_block(source.blocks[cut - 1].network.outputs, name=f"pool_{cut}")) for cut in chosen]
    frozen = Pass(chains)
    return FeaturePass(source, chosen, tuple(int(output.shape[-1]) for output in frozen.network.outputs), frozen)


def pooled_features(
    ready: FeaturePass, examples: Examples, *, read: Callable[[Examples, SourceModel], Rows] | None = None
) -> tuple[tuple[np.ndarray, ...], int]:
    """Return the features of some examples at each boundary, and how many examples had to be computed.

    Args:
        ready: What `prepare` returned.
        examples: Their pictures or texts.
        read: Reads examples for a source model in place of `read_inputs`, as a `SharedPixels` does.

    Returns:
        float32, shape `(n, width)` for each of `ready.cuts`; and the number that was not in the cache.
    """
    give = read or read_inputs
    passed = ready.frozen.run(input_keys(examples, ready.source), lambda places: give(examples.take(places), ready.source))
    return tuple(np.asarray(rows.values, np.float32) for (rows,) in passed.outputs), passed.computed


def noise(source: SourceModel) -> np.ndarray:
    """Return one example that every source of this modality and size reads: always the same pixels or tokens."""
    generator = np.random.default_rng(0)
    if source.modality == "image":
        return generator.integers(0, 256, (1, source.input_size, source.input_size, 3)).astype(np.float32)
    vocabulary = source.tokenizer.get_vocab_size() if source.tokenizer else source.pad_id + 2
    ids = generator.integers(0, vocabulary, (1, source.input_size)).astype(np.int32)
    return np.where(ids == source.pad_id, (source.pad_id + 1) % vocabulary, ids)
