"""Classification: mean pooling, dropout and one dense layer with softmax."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block, SourceModel
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras


def build_classifier(
    source: "SourceModel | keras.Model", classes: Sequence[str], *, dropout: float = 0.2, seed: int = 0
) -> TransferModel:
    """Put a new classification head on a source model.

    Args:
        source: A source model, or a functional `keras.Model` from raw pixels to features.
        classes: The class names, in the order of the labels.
        dropout: The share of features dropped in training.
        seed: Seed of the head's initial weights and of dropout.

    Raises:
        ValueError: There are fewer than two classes, or a name occurs twice.
    """
    import keras

    if isinstance(source, keras.Model):
        from tlkeras.sources.own import source_from_keras

        source = source_from_keras(source)
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"A classifier needs two or more classes with different names. Received: {list(classes)}")
    pool = _mean_pool(source)
    head = _dense_head(pool.network.output.shape[-1], len(classes), dropout=dropout, seed=seed)
    logits = chain((*source.blocks, pool, head), name="logits")
    probabilities = keras.layers.Softmax(name="probabilities", dtype="float32")(logits.output)
    network = keras.Model(logits.inputs, probabilities, name=f"{source.name}_classifier")
    return TransferModel(network=network, source=source, pool=pool, head=head, classes=tuple(classes))


def _mean_pool(source: SourceModel) -> Block:
    """The mean over positions; of texts, over the tokens that are not padding."""
    import keras

    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in source.network.outputs]
    rank = len(inputs[0].shape)
    if source.modality == "text":
        features = keras.layers.GlobalAveragePooling1D(name="mean_of_tokens")(inputs[0], mask=inputs[1])
    elif rank == 4:
        features = keras.layers.GlobalAveragePooling2D(name="mean_of_positions")(inputs[0])
    elif rank == 2:
        features = keras.layers.Identity(name="features")(inputs[0])
    else:
        raise ValueError(
            f"The source model {source.name!r} gives shape {source.network.output.shape}; a classifier takes a feature map "
            "(batch, height, width, channels) or features (batch, channels). Take an earlier layer as its output."
        )
    return Block("pool", keras.Model(inputs, features, name="pool"))


def _dense_head(width: int, classes: int, *, dropout: float, seed: int) -> Block:
    import keras

    features = keras.Input((width,), name="features")
    dropped = keras.layers.Dropout(dropout, seed=seed, name="dropout")(features)
    kernel = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(classes, kernel_initializer=kernel, name="logits")(dropped)
    return Block("head", keras.Model(features, logits, name="head"))
