"""Tiny models for the export tests, built once and never changed; random weights, but answers that differ by input."""

import atexit
import functools
import tempfile
from pathlib import Path

import keras
import numpy as np
import tokenizers

from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Texts
from tlkeras.export.artifact import Artifact
from tlkeras.export.targets import export_model
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.model import Block, SourceModel
from tlkeras.tasks.classification import build_classifier
from tlkeras.tasks.model import TransferModel

CLASSES = ("ant", "bée", 'a "wasp", <b>\n=cmd|x')
"""The last one is a folder's name that tries everything."""
SIZE = 24
WORDS = ("the", "film", "was", "good", "bad", "dull", "fine", "play", "##ing", "##ed", "!", "un")


@functools.cache
def image_model() -> TransferModel:
    return _spread(new_image_model(), image_examples())


def new_image_model(*, seed: int = 1, scale: float = 1 / 127.5) -> TransferModel:
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((SIZE, SIZE, 3))
    y = keras.layers.Rescaling(scale, -1)(pixels)
    y = keras.layers.Conv2D(8, 5, 2, activation="relu", bias_initializer="random_normal")(y)
    y = keras.layers.DepthwiseConv2D(3, padding="same")(y)
    y = keras.layers.BatchNormalization()(y)
    network = keras.Model(pixels, keras.layers.ReLU(6)(y))
    source = SourceModel("tiny", "image", network, (Block("body", network),), SIZE, False, facts={"licence": "Apache-2.0"})
    return build_classifier(source, CLASSES)


@functools.cache
def image_examples(n: int = 40) -> Examples:
    """Pictures of one colour each, with noise, taller than wide."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (n, 1, 1, 3)) + random.integers(-40, 41, (n, 40, 30, 3))
    return _examples(ImageArrays(np.clip(colours, 0, 255).astype(np.uint8)), n)


@functools.cache
def text_model() -> TransferModel:
    keras.utils.set_random_seed(2)
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.ops.not_equal(tokens, 0)
    hidden = keras.layers.Embedding(len(_vocabulary()), 8)(tokens)
    attended = keras.layers.MultiHeadAttention(2, 4)(hidden, hidden, attention_mask=keras.ops.expand_dims(mask, 1))
    network = keras.Model(tokens, [keras.layers.LayerNormalization()(hidden + attended), mask])
    source = SourceModel("tiny", "text", network, (Block("body", network),), 12, False, tokenizer=_tokenizer(), pad_id=0)
    return _spread(build_classifier(source, CLASSES[:2]), text_examples())


@functools.cache
def text_examples(n: int = 40) -> Examples:
    random = np.random.default_rng(0)
    words = np.array(["the", "Film", "was", "GOOD", "bad", "dull", "fine", "playing", "unplayed", "!", "zebra", "dülled"])
    texts = tuple(" ".join(random.choice(words, random.integers(1, 25))) for _ in range(n))
    return _examples(Texts(texts, np.arange(n) + 2, "reviews.csv"), n)


def texts() -> tuple[str, ...]:
    """Return the texts of the text examples."""
    store = text_examples().store
    assert isinstance(store, Texts)
    return tuple(store.texts)


def _examples(store: ImageArrays | Texts, n: int) -> Examples:
    return Examples(np.arange(n).astype(str), store, ClassTargets(np.arange(n, dtype=np.int32) % 2))


def _vocabulary() -> dict[str, int]:
    return {token: index for index, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}


def _tokenizer() -> tokenizers.Tokenizer:
    vocabulary = _vocabulary()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    return tokenizer


def _spread(model: TransferModel, examples: Examples) -> TransferModel:
    """Scale the head so that each class wins somewhere and probabilities are far from 0 and 1."""
    logits = keras.Model(model.network.inputs, model.network.get_layer("probabilities").input)
    (rows,) = run_network(logits, [read_inputs(examples, model.source)])
    dense = model.head.network.get_layer("logits")
    kernel, bias = dense.get_weights()
    scale = 2 / rows.values.std(axis=0)
    dense.set_weights([kernel * scale, bias - rows.values.mean(axis=0) * scale])
    return model


_FOLDERS: list[tempfile.TemporaryDirectory] = []


@functools.cache
def exported_images() -> tuple[Artifact, ...]:
    """All targets of the picture model; not to be changed."""
    return export_model(image_model(), _new_folder())


@functools.cache
def exported_small() -> tuple[Artifact, ...]:
    """The picture model with int8 weights, and int8 throughout; not to be changed."""
    return export_model(
        image_model(), _new_folder(), targets=("tflite_dynamic", "tflite_int8"), calibration=image_examples(160)
    )


@functools.cache
def exported_texts() -> tuple[Artifact, ...]:
    """All targets of the text model; not to be changed."""
    return export_model(text_model(), _new_folder())


def _new_folder() -> str:
    _FOLDERS.append(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    atexit.register(_FOLDERS[-1].cleanup)
    return _FOLDERS[-1].name


def write_pictures(folder: Path, examples: Examples) -> tuple[str, ...]:
    """Write the examples' pictures as PNG files and return their paths."""
    from PIL import Image

    store = examples.store
    assert isinstance(store, ImageArrays)
    paths = tuple(str(folder / f"{index}.png") for index in range(len(store)))
    for path, pixels in zip(paths, store.pixels, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def reference(model: TransferModel, examples: Examples) -> np.ndarray:
    """Return what Keras itself answers, one example at a time, so without any padding."""
    rows, network = read_inputs(examples, model.source), plain(model)
    return np.concatenate([network(rows.batch(np.array([i])), training=False).numpy() for i in range(len(examples))])


def plain(model: TransferModel) -> keras.Model:
    """Return the network as one that takes a bare tensor."""
    return keras.Model(model.network.inputs[0], model.network.outputs[0])
