"""Defects to plant into good exports, for `benchmarks/gate.py` and the tests of faults.

Each is a function from a right model to a wrong one, which is then exported as carefully as a right one; or from the parts of a
right file (model, contract, associated files) to wrong ones, which are then sealed as carefully.
"""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tlkeras.tasks.model import TransferModel

Plant = Callable[[TransferModel], TransferModel]
Parts = tuple[bytes, dict[str, Any], dict[str, bytes]]
"""A LiteRT model, its contract, and its associated files."""


def before(model: TransferModel, change: Callable[[Any], Any], *, size: int | None = None) -> TransferModel:
    """Change what reaches the network: pixels in `[0, 255]`, or token ids."""
    import keras

    old = model.network.inputs[0]
    shape = (size, size, 3) if size else old.shape[1:]
    new = keras.Input(shape, dtype=old.dtype, name=old.name)
    source = replace(model.source, input_size=size) if size else model.source
    return replace(model, network=keras.Model(new, model.network(change(new))), source=source)


def after(model: TransferModel, change: Callable[[Any], Any]) -> TransferModel:
    """Change what leaves the network."""
    import keras

    return replace(model, network=keras.Model(model.network.inputs, change(model.network.outputs[0])))


def with_weights(model: TransferModel, change: Callable[[str, np.ndarray], np.ndarray]) -> TransferModel:
    """Change weights, given each one's path and value, in a copy of the network."""
    import keras

    network = keras.models.clone_model(model.network)
    network.set_weights([change(weight.path, weight.numpy().copy()).astype(weight.dtype) for weight in model.network.weights])
    return replace(model, network=network)


def with_source(model: TransferModel, **fields: Any) -> TransferModel:
    """Change how inputs are read."""
    return replace(model, source=replace(model.source, **fields))


def _head(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    return lambda model: with_weights(model, lambda path, value: change(value) if "logits" in path else value)


def _body(change: Callable[[np.ndarray], np.ndarray], *, place: int = 0, part: str = "kernel") -> Plant:
    """Change one weight tensor below the head: the one at `place` among those whose path ends in `part`."""

    def plant(model: TransferModel) -> TransferModel:
        paths = [weight.path for weight in model.network.weights if weight.path.endswith(part) and "logits" not in weight.path]
        return with_weights(model, lambda path, value: change(value) if path == paths[place] else value)

    return plant


def _noise(share: float) -> Plant:
    """Add noise to every kernel, in shares of its deviation."""
    random = np.random.default_rng(0)

    def change(path: str, value: np.ndarray) -> np.ndarray:
        return value + share * value.std() * random.normal(size=value.shape) if value.ndim > 1 else value

    return lambda model: with_weights(model, change)


def _largest(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(value: np.ndarray) -> np.ndarray:
        value.flat[np.abs(value).argmax()] *= factor
        return value

    return change


def _channel(value: np.ndarray) -> np.ndarray:
    """Empty the output channel with the largest weights."""
    value[..., np.abs(value).reshape(-1, value.shape[-1]).sum(axis=0).argmax()] = 0
    return value


def _nan(value: np.ndarray) -> np.ndarray:
    value.flat[0] = np.nan
    return value


def _swap(value: np.ndarray) -> np.ndarray:
    value[..., [0, 1]] = value[..., [1, 0]]
    return value


def _one_bias(value: np.ndarray) -> np.ndarray:
    if value.ndim == 1:
        value[0] += 1
    return value


def _drop_bias(value: np.ndarray) -> np.ndarray:
    return value if value.ndim > 1 else value * 0


def _constant(value: np.ndarray) -> np.ndarray:
    return value * 0 if value.ndim > 1 else value


def _reordered(model: TransferModel) -> TransferModel:
    return replace(model, classes=model.classes[::-1])


def _logits(model: TransferModel) -> TransferModel:
    return after(model, lambda x: __import__("keras").ops.log(x + 1e-9))


def _hotter(factor: float) -> Plant:
    return _head(lambda value: value * factor)


SHARED: dict[str, Plant] = {
    "label order: reversed": _reordered,
    "outputs: two swapped": _head(_swap),
    "outputs: all moved by one": _head(lambda value: np.roll(value, 1, axis=-1)),
    "outputs: logits, no softmax": _logits,
    "constant model": _head(_constant),
    "head: sign": _head(np.negative),
    "head: bias lost": _head(_drop_bias),
    "head: one bias +1": _head(_one_bias),
    "head: temperature 2": _hotter(0.5),
    "head: temperature 1.25": _hotter(0.8),
    "head: one class empty": _head(lambda value: np.where(np.arange(value.shape[-1]) == 0, 0, value)),
    "weights: NaN": _body(_nan),
    "weights: largest of the head x 3": _head(_largest(3.0)),
    "weights: one channel empty": _body(_channel),
    "weights: one tensor empty": _body(lambda value: value * 0, place=1),
    **{f"weights: noise {share:.0%}": _noise(share) for share in (0.01, 0.05, 0.2, 1.0)},
}
"""For pictures and texts."""


def _scaled(factor: float, offset: float) -> Plant:
    return lambda model: before(model, lambda x: x * factor + offset)


def _resized(part: float) -> Plant:
    """Read pictures at another size and bring them to the network's own."""

    def plant(model: TransferModel) -> TransferModel:
        import keras

        size = model.source.input_size
        return before(model, keras.layers.Resizing(size, size), size=max(4, int(size * part)))

    return plant


def _order(*channels: int) -> Plant:
    import keras

    return lambda model: before(model, lambda x: keras.ops.stack([x[..., channel] for channel in channels], axis=-1))


def _turned(model: TransferModel) -> TransferModel:
    import keras

    return before(model, lambda x: keras.ops.transpose(x, (0, 2, 1, 3)))


IMAGES: dict[str, Plant] = {
    "channels: BGR": lambda model: _order(2, 1, 0)(model),
    "channels: GRB": lambda model: _order(1, 0, 2)(model),
    "channels: grey": lambda model: _order(1, 1, 1)(model),
    **{f"scaling: x {factor:g}": _scaled(factor, 0) for factor in (1 / 255, 0.5, 0.9, 0.98, 1.02)},
    **{f"offset: {offset:+g}": _scaled(1, offset) for offset in (-127.5, 20, 5, 1)},
    "resize: squash instead of crop": lambda model: with_source(model, resize="squash"),
    "resize: bars instead of crop": lambda model: with_source(model, resize="pad"),
    "size: half": _resized(0.5),
    "size: a tenth less": _resized(0.9),
    "pictures: transposed": _turned,
    "weights: largest of the first kernel x 10": _body(_largest(10.0)),
    "weights: largest of the last kernel x -1": _body(_largest(-1.0), place=-1),
    "statistics: mean lost": _body(lambda value: value * 0, part="moving_mean"),
    "statistics: variance lost": _body(lambda value: value * 0 + 1, part="moving_variance"),
}


def _tokenizer(change: Callable[[dict[str, Any]], None]) -> Plant:
    import tokenizers

    def plant(model: TransferModel) -> TransferModel:
        content = json.loads(model.source.tokenizer.to_str())  # type: ignore[union-attr]  # texts have one
        change(content)
        return with_source(model, tokenizer=tokenizers.Tokenizer.from_str(json.dumps(content)))

    return plant


def _swap_words(content: dict[str, Any]) -> None:
    words = content["model"]["vocab"]
    words["the"], words["good"] = words["good"], words["the"]


def _move_words(content: dict[str, Any]) -> None:
    """Move all words by one, as a vocabulary file without its last line or with one too many does."""
    special = {entry["id"] for entry in content.get("added_tokens", ())} | set(range(5))
    words = content["model"]["vocab"]
    ids = [number for number in words.values() if number not in special]
    moved = dict(zip(ids, np.roll(ids, 1).tolist(), strict=True))
    content["model"]["vocab"] = {word: moved.get(number, number) for word, number in words.items()}


def _keep_case(content: dict[str, Any]) -> None:
    content["normalizer"]["lowercase"] = False


def _no_specials(content: dict[str, Any]) -> None:
    content["post_processor"] = None


def _cut(length: int) -> Plant:
    return lambda model: with_source(model, input_size=length)


TEXTS: dict[str, Plant] = {
    "vocabulary: two words swapped": lambda model: _tokenizer(_swap_words)(model),
    "vocabulary: moved by one": lambda model: _tokenizer(_move_words)(model),
    "case: kept": lambda model: _tokenizer(_keep_case)(model),
    "special tokens lost": lambda model: _tokenizer(_no_specials)(model),
    **{f"truncated to {length}": _cut(length) for length in (4, 8, 16, 24)},
    "pad id: 5": lambda model: with_source(model, pad_id=5),
    "pad id: 100": lambda model: with_source(model, pad_id=100),
}


# Files: what goes wrong between the export and the app.


def _terms(parts: Parts, **fields: Any) -> Parts:
    content, terms, files = parts
    return content, {**terms, **fields}, files


def _input(parts: Parts, **fields: Any) -> Parts:
    return _terms(parts, input={**parts[1]["input"], **fields})


def _output(parts: Parts, **fields: Any) -> Parts:
    return _terms(parts, output={**parts[1]["output"], **fields})


def _file(parts: Parts, name: str, change: Callable[[bytes], bytes]) -> Parts:
    content, terms, files = parts
    return content, terms, {**files, name: change(files[name])}


def _other_line_order(data: bytes) -> bytes:
    return b"".join(reversed(data.splitlines(keepends=True)))


def _rejection(parts: Parts, **fields: Any) -> Parts:
    return _terms(parts, rejection={**parts[1]["rejection"], **fields})


def _another_bank(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Change the features of training examples that inputs are compared with."""

    def plant(model: TransferModel) -> TransferModel:
        if model.familiar is None:
            raise ValueError("There are no training examples to compare with: calibrate the model first.")
        return replace(model, familiar=replace(model.familiar, bank=change(model.familiar.bank)))

    return plant


SIMILARITY: dict[str, Plant] = {
    "similarity: the first example only": _another_bank(lambda bank: np.repeat(bank[:1], len(bank), axis=0)),
    "similarity: features in another order": _another_bank(lambda bank: bank[:, ::-1].copy()),
    "similarity: of opposite sign": _another_bank(lambda bank: -bank),
}
REJECTION: dict[str, Callable[[Parts], Parts]] = {
    "contract: rejection threshold": lambda parts: _rejection(parts, threshold=parts[1]["rejection"]["threshold"] - 0.05),
    "contract: no rejection": lambda parts: _terms(parts, rejection=None),
}
FILES: dict[str, Callable[[Parts], Parts]] = {
    "contract: labels reversed": lambda parts: _terms(parts, labels=parts[1]["labels"][::-1]),
    "contract: one label missing": lambda parts: _terms(parts, labels=parts[1]["labels"][:-1]),
    "contract: task": lambda parts: _terms(parts, task="multi_label"),
    "contract: output name": partial(_output, name="scores"),
    "labels.txt: reversed": partial(_file, name="labels.txt", change=_other_line_order),
}
IMAGE_FILES: dict[str, Callable[[Parts], Parts]] = {
    "contract: size + 1": lambda parts: _input(parts, size=parts[1]["input"]["size"] + 1),
    "contract: squash": partial(_input, resize="squash"),
    "contract: BGR": partial(_input, colour="BGR"),
    "contract: range 0 to 1": partial(_input, range=[0, 1]),
}
INT8_FILES: dict[str, Callable[[Parts], Parts]] = {
    "contract: output scale x 2": lambda parts: _output(parts, scale=2 * parts[1]["output"]["scale"]),
    "contract: output zero point": lambda parts: _output(parts, zero_point=parts[1]["output"]["zero_point"] + 20),
}
TEXT_FILES: dict[str, Callable[[Parts], Parts]] = {
    "contract: pad id 100": partial(_input, pad_id=100),
    "contract: sequence length 6": partial(_input, sequence_length=6),
    "vocab.txt: reversed": partial(_file, name="vocab.txt", change=_other_line_order),
}
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "bytes: one flipped": lambda data: (
        data[: len(data) // 3] + bytes([data[len(data) // 3] ^ 255]) + data[len(data) // 3 + 1 :]
    ),
    "bytes: half a file": lambda data: data[: len(data) // 2],
    "bytes: contract cut off": lambda data: data[:-400],
    "bytes: empty": lambda data: b"",
}


# Readers: what an app's own code does with a picture before it is cropped and resized; bytes of a file in, of a file out.


def _read_as(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def read(data: bytes) -> bytes:
        image = change(Image.open(io.BytesIO(data)))
        image.save(stream := io.BytesIO(), "PNG")
        return stream.getvalue()

    return read


def _other_way(image: Any) -> Any:
    turned = image.getexif().get(0x0112, 1) == 6
    return _without_exif(image.transpose(Image.Transpose.ROTATE_90) if turned else image)


def _without_exif(image: Any) -> Any:
    return Image.fromarray(np.asarray(image))


def _on_black(image: Any) -> Any:
    from PIL import ImageOps

    if image.mode != "RGBA":
        return ImageOps.exif_transpose(image)
    return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")


def _clipped(image: Any) -> Any:
    from PIL import ImageOps

    return image.convert("L") if image.mode.startswith("I") else ImageOps.exif_transpose(image)


READERS: dict[str, Callable[[bytes], bytes]] = {
    "rotation ignored": _read_as(_without_exif),
    "rotation the other way": _read_as(_other_way),
    "transparency on black": _read_as(_on_black),
    "16 bits clipped": _read_as(_clipped),
}
