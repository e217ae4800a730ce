"""The parts that tasks share: mean pooling, and a dense head."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tlkeras.features.pool import pool_block
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block, SourceModel
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras


def build_with_head(
    source: "SourceModel | keras.Model",
    classes: Sequence[str],
    final: "Callable[[], keras.layers.Layer]",
    *,
    task: str,
    dropout: float,
    seed: int,
    scale: tuple[float, float] = (0.0, 1.0),
) -> TransferModel:
    """Pool a source model and put dropout, a dense layer named `"logits"` and a last layer on it.

    Args:
        source: A source model, or a functional `keras.Model` from raw pixels to features.
        classes: The names of the outputs.
        final: Returns the layer that turns logits into what the network gives.
        task: The task's name.
        dropout: The share of features dropped in training.
        seed: Seed of the head's initial weights and of dropout.
        scale: See `TransferModel.scale`.
    """
    import keras

    if isinstance(source, keras.Model):
        from tlkeras.sources.own import source_from_keras

        source = source_from_keras(source)
    pool = mean_pool(source)
    head = dense_head(pool.network.output.shape[-1], len(classes), dropout=dropout, seed=seed)
    logits = chain((*source.blocks, pool, head), name="logits")
    network = keras.Model(logits.input, final()(logits.output), name=f"{source.name}_{task}")
    return TransferModel(network=network, source=source, pool=pool, head=head, classes=tuple(classes), task=task, scale=scale)


def mean_pool(source: SourceModel) -> Block:
    """Return the mean over positions; of texts, over the tokens that are not padding.

    Raises:
        ValueError: The source gives neither a feature map nor features.
    """
    rank = len(source.network.outputs[0].shape)
    if source.modality == "image" and rank not in (2, 4):
        raise ValueError(
            f"The source model {source.name!r} gives shape {source.network.output.shape}; a head takes a feature map "
            "(batch, height, width, channels) or features (batch, channels). Take an earlier layer as its output."
        )
    return pool_block(source.network.outputs)


def dense_head(width: int, outputs: int, *, dropout: float, seed: int) -> Block:
    """Return dropout and a dense layer named `"logits"`: features `(batch, width)` to `(batch, outputs)`."""
    import keras

    features = keras.Input((width,), name="features")
    dropped = keras.layers.Dropout(dropout, seed=seed, name="dropout")(features)
    kernel = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(outputs, kernel_initializer=kernel, name="logits")(dropped)
    return Block("head", keras.Model(features, logits, name="head"))
