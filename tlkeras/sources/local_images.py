"""Image networks in files and folders."""

import contextlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.errors import WeightsError
from tlkeras.sources.cutting import cut_into_blocks
from tlkeras.sources.gate import check_config, check_hdf5, check_keras_file
from tlkeras.sources.graph import replay, trace
from tlkeras.sources.hub_blocks import PIECES, hub_image_blocks
from tlkeras.sources.local import Opened
from tlkeras.sources.model import Block
from tlkeras.sources.own import source_from_keras
from tlkeras.sources.scaling import CENTRED, IMAGENET, Scaling, standardised
from tlkeras.sources.tensor_files import open_folder as open_tensors
from tlkeras.sources.tensor_files import plain_file, read_json

if TYPE_CHECKING:
    import keras

_LOGGER = logging.getLogger("tlkeras")

# Hugging Face's image models that KerasHub converts, and how their processors scale where the folder does not say.
_TRANSFORMERS = {
    "vit": CENTRED,
    "deit": IMAGENET,
    "swin": IMAGENET,
    "dinov2": IMAGENET,
    "dinov2_with_registers": IMAGENET,
    "dinov3_vit": IMAGENET,
}
# Positions are learned for the size in the configuration and interpolated afterwards.
_POSITIONED = ("vit", "deit")
_TIMM = ("resnet", "csp", "dark", "densenet", "mobilenet", "vgg", "efficientnet", "hgnetv2")


def open_weights(path: Path, architecture: str, size: int | None, feature_map: bool) -> Opened:
    """Open a `.weights.h5` or `.h5` file with the weights of a named architecture, without its classifier."""
    from tlkeras.sources.image_table import IMAGE_SOURCES

    row = IMAGE_SOURCES[architecture]
    if path.suffix != ".h5":
        raise WeightsError(f"The weights of {architecture!r} must be in a .weights.h5 or .h5 file. Received: {path.name!r}")
    check_hdf5(path, path.stat().st_size, str(path))
    size = size or row.image_size
    network = row.build(size)
    try:
        network.load_weights(str(path))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{path} does not hold the weights of {architecture!r} without a classifier: {reason}") from None
    facts = {**row.facts.as_dict(), "accuracy": None, "source_data": None, "origin": str(path), "licence": "not stated"}
    return Opened(row.cut(network, size, feature_map=feature_map), size, facts={**facts, "scaling": str(row.scaling)})


def open_keras(path: Path, size: int | None) -> Opened:
    """Open a `.keras` file: the blocks of a model that tlkeras trained, or a network to be cut, without its classifier."""
    network = load_keras(path)
    blocks = blocks_of_run(network)
    if blocks:
        own = int(network.inputs[0].shape[1])
        if size not in (None, own):
            raise WeightsError(f"The model in {path} takes pictures of {own} pixels. Received: image size {size}")
        return Opened(blocks, own)
    network, head = _without_classifier(network)
    if size or None in network.inputs[0].shape[1:3]:
        network = _with_size(network, size, path)
    _warn_of_raw_pixels(network, path)
    source = source_from_keras(network)
    return Opened(source.blocks, source.input_size, head)


def load_keras(path: Path) -> "keras.Model":
    """Load a `.keras` file that the gate lets in."""
    import keras
    import keras_hub  # noqa: F401 - its layers must be known

    check_keras_file(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{path} passes the checks, but Keras cannot load it: {reason}") from None


def blocks_of_run(network: "keras.Model") -> tuple[Block, ...]:
    """Return the blocks below the pooling of a model that tlkeras trained; none of another network."""
    import keras

    names = [layer.name for layer in network.layers]
    if "pool" not in names or "head" not in names:
        return ()
    below = network.layers[: names.index("pool")]
    return tuple(Block(layer.name, layer) for layer in below if isinstance(layer, keras.Model))


def _without_classifier(network: "keras.Model") -> "tuple[keras.Model, tuple[np.ndarray, np.ndarray] | None]":
    """Leave out the last dense layer and what comes after it, where the network ends in one."""
    import keras

    graph = trace(network)
    if len(graph.output.shape) != 2:
        return network, None
    for step in reversed(graph.steps):
        kind = type(step.operation).__name__
        if kind == "Dense":
            weights = step.operation.get_weights()
            _LOGGER.info("Its last layer %r (%d outputs) is left out", step.operation.name, weights[0].shape[1])
            bias = weights[1] if len(weights) > 1 else np.zeros(weights[0].shape[1], "float32")
            return keras.Model(graph.inputs, step.inputs[0]), (weights[0], bias)
        if kind not in ("Softmax", "Sigmoid", "Activation", "Dropout"):
            break
    return network, None


def _with_size(network: "keras.Model", size: int | None, path: Path) -> "keras.Model":
    import keras

    if size is None:
        raise WeightsError(f"The network in {path} takes pictures of any size: give one, as in --image-size 224.")
    graph = trace(network)
    x = keras.Input((size, size, 3), name="image")
    try:
        return keras.Model(x, replay(graph.steps, {id(graph.inputs[0]): x})[id(graph.output)])
    except ValueError as error:
        raise WeightsError(f"The network in {path} does not take pictures of {size} pixels: {str(error)[:200]}") from None


def _warn_of_raw_pixels(network: "keras.Model", path: Path) -> None:
    for step in trace(network).steps:
        if type(step.operation).__name__ in ("Rescaling", "Normalization"):
            return
        if getattr(step.operation, "weights", None):
            break
    _LOGGER.warning(
        "%s has no Rescaling or Normalization layer at its start, so it gets pixels from 0 to 255 as they are. If it was "
        "trained on scaled ones, put such a layer in front of it and save it again.",
        path,
    )


def open_folder(folder: Path, size: int | None, feature_map: bool) -> Opened:
    """Open a folder with `config.json` in timm's, Hugging Face's or KerasHub's format."""
    config = read_json(folder / "config.json")
    if "registered_name" in config:
        return _open_preset(folder, config, size, feature_map)
    open_tensors(folder)
    if "architecture" in config:
        return _open_timm(folder, config, size)
    return _open_transformers(folder, config, size, feature_map)


def _open_timm(folder: Path, config: Mapping[str, Any], size: int | None) -> Opened:
    architecture = str(config["architecture"])
    if not architecture.startswith(_TIMM):
        raise WeightsError(f"{folder} holds timm's {architecture!r}; those that begin with {', '.join(_TIMM)} can be read.")
    known = config.get("pretrained_cfg") or {}
    if not ({"mean", "std"} <= set(known)):
        raise WeightsError(
            f"{folder / 'config.json'} lacks mean and std in pretrained_cfg: how pixels are scaled is not known."
        )
    scaling = _by_mean(known["mean"], known["std"], folder)
    size = size or int((known.get("input_size") or (3, 224, 224))[1])
    if architecture.startswith("densenet"):
        size = _rounded(size, 32, 1)  # KerasHub pads it as TensorFlow does: the same as PyTorch only there
    network = _convert(folder, image_shape=(size, size, 3))
    facts = {
        "constructor": f"timm's {architecture}",
        "licence": str(known.get("license") or "not stated"),
        "scaling": str(scaling),
    }
    return Opened(_cut(network, size, scaling, feature_map=False), size, facts=facts)


def _open_transformers(folder: Path, config: Mapping[str, Any], size: int | None, feature_map: bool) -> Opened:
    kind = config.get("model_type")
    if kind not in _TRANSFORMERS:
        raise WeightsError(
            f"{folder} holds a model of type {kind!r}. Image sources: {', '.join(_TRANSFORMERS)}; timm's models."
        )
    processor = folder / "preprocessor_config.json"
    scaling = _TRANSFORMERS[kind]
    if processor.exists():
        said = read_json(plain_file(folder, processor.name))
        if "image_mean" in said and "image_std" in said:
            scaling = _by_mean(said["image_mean"], said["image_std"], folder)
    else:
        _LOGGER.info("%s has no %s: pixels are scaled as is usual for %s", folder, processor.name, kind)
    own = config.get("image_size")
    own = own if type(own) is int and 0 < own <= 2048 else 224
    patch = config.get("patch_size")
    size = _rounded(size or own, 32 if kind == "swin" else patch if type(patch) is int and patch > 0 else 16, 0)
    shape = {} if kind in _POSITIONED else {"image_shape": (size, size, 3)}
    network = _convert(folder, **shape)
    return Opened(_cut(network, size, scaling, feature_map=feature_map), size, facts={"scaling": str(scaling)})


def _open_preset(folder: Path, config: Mapping[str, Any], size: int | None, feature_map: bool) -> Opened:
    from tlkeras.sources.hub_families import HUB_FAMILIES

    kind = str(config["registered_name"]).split(">")[-1]
    families = {family.backbone: family for family in reversed(list(HUB_FAMILIES.values()))}
    if kind not in families:
        raise WeightsError(f"{folder} holds KerasHub's {kind!r}. Image sources: {', '.join(families)}.")
    check_config(config.get("config"), folder / "config.json")
    weights = plain_file(folder, "model.weights.h5")
    check_hdf5(weights, weights.stat().st_size, str(weights))
    family = families[kind]
    own = (config["config"].get("image_shape") or (224,))[0] or 224
    size = _rounded(size or own, family.step or int(np.ravel(config["config"].get("patch_size") or 1)[0]), 0)
    network = _convert(folder, **({"image_shape": (size, size, 3)} if family.any_size else {}))
    scaling = family.scaling
    if (folder / "image_converter.json").exists():
        said = read_json(plain_file(folder, "image_converter.json")).get("config", {})
        scaling = Scaling(_numbers(said.get("scale"), 1.0), _numbers(said.get("offset"), 0.0))
    return Opened(_cut(network, size, scaling, feature_map=feature_map), size, facts={"scaling": str(scaling)})


def _numbers(value: Any, default: float) -> float | tuple[float, ...]:
    if value is None:
        return default
    return tuple(float(v) for v in value) if isinstance(value, list) else float(value)


def _by_mean(mean: Any, deviation: Any, folder: Path) -> Scaling:
    values = [*mean, *deviation] if isinstance(mean, list) and isinstance(deviation, list) else []
    if len(values) != 6 or not all(isinstance(v, int | float) and -10 < v < 10 for v in values) or not all(values[3:]):
        raise WeightsError(f"{folder}: mean and deviation must be three numbers each. Received: {mean!r}, {deviation!r}")
    return standardised((values[0], values[1], values[2]), (values[3], values[4], values[5]))


def _rounded(size: int, step: int, remainder: int) -> int:
    rounded = -(-(size - remainder) // step) * step + remainder
    if rounded != size:
        _LOGGER.info("Image size %d rounded up to %d, because it takes multiples of %d", size, rounded, step)
    return rounded


def _convert(folder: Path, **options: Any) -> "keras.Model":
    """Let KerasHub read a folder; what its converters print is swallowed."""
    import keras_hub

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return keras_hub.models.Backbone.from_preset(str(folder), **options)
    except Exception as error:
        raise WeightsError(f"KerasHub cannot read the model in {folder}: {' '.join(str(error).split())[:300]}") from None


def _cut(network: "keras.Model", size: int, scaling: Scaling, *, feature_map: bool) -> tuple[Block, ...]:
    if type(network).__name__ in PIECES:
        return hub_image_blocks(network, size=size, prepare=scaling, feature_map=feature_map)
    return cut_into_blocks(network, prepare=scaling, input_name="image")
