"""Every family of `keras.applications`: `tables/applications.csv` has a row for each network.

Weights are loaded from Keras's own files into the network without weights, so that random, local and downloaded weights have
the same network and the same scaling: `EfficientNetB0(weights="imagenet")` has a layer that `weights=None` lacks.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.errors import WeightsError
from tlkeras.sources.download import Download
from tlkeras.sources.facts import CLASSES_1K, IMAGENET_1K, IMAGENET_21K_1K, Facts
from tlkeras.sources.scaling import CAFFE, CENTRED, IMAGENET, IMAGENET_DEVIATION, IMAGENET_MEAN, Scaling

if TYPE_CHECKING:
    import keras

_HOST = "https://storage.googleapis.com/"
_RAW = {"include_preprocessing": False}


@dataclass(frozen=True)
class Family:
    """What the members of a family have in common.

    Attributes:
        scaling: What the weights expect; the same numbers as the family's own `preprocess_input`.
        blocks: See `cut_into_blocks`.
        regularization: What it was trained with.
        licence: Of the weights.
        origin: Who trained them.
        smallest: The smallest picture that it takes, in pixels.
        options: For the constructor.
        source_data: What it was trained on.
        table: Where the accuracy is from.
        note: What else one should know.
    """

    scaling: Scaling
    blocks: str | None
    regularization: str
    licence: str
    origin: str
    smallest: int = 32
    options: Mapping[str, Any] = field(default_factory=dict)
    source_data: str = IMAGENET_1K
    table: str = "keras.io/api/applications"
    note: str = ""


_RESNET = Family(
    CAFFE, r"(conv[2-5]_block\d+)_", "weight decay 1e-4, no dropout", "MIT (Kaiming He)", "Microsoft Research Asia, 2015"
)
_INCEPTION = Family(
    CENTRED, None, "weight decay 4e-5, label smoothing 0.1, dropout 0.2", "Apache-2.0", "Google, 2015", smallest=75
)
_EFFICIENTNET = Family(
    IMAGENET,
    r"(block\d[a-z]+|top)_",
    "weight decay 1e-5, label smoothing 0.1, dropout 0.2 to 0.5, stochastic depth 0.2, AutoAugment",
    "Apache-2.0",
    "Google, 2019",
)
_EFFICIENTNET_V2 = replace(
    _EFFICIENTNET,
    regularization="weight decay 1e-5, label smoothing 0.1, dropout 0.1 to 0.5, stochastic depth 0.2, RandAugment, mixup",
    origin="Google, 2021",
    options=_RAW,
)
_CONVNEXT = Family(
    IMAGENET,
    r".*?(stage_\d_block_\d+|downsampling_block_\d)(?:_|$)",
    "weight decay 0.05, label smoothing 0.1, stochastic depth 0.1 to 0.5, mixup, CutMix, RandAugment",
    "MIT (Meta)",
    "Facebook AI, 2022",
    options=_RAW,
)

FAMILIES: Mapping[str, Family] = {
    "vgg": Family(
        CAFFE, r"(block\d)_", "weight decay 5e-4; dropout 0.5 in its head", "CC BY 4.0 (VGG, Oxford)", "VGG, Oxford, 2014"
    ),
    "resnet": _RESNET,
    "resnet_v2": replace(
        _RESNET,
        scaling=CENTRED,
        regularization="weight decay 1e-4; label smoothing not stated",
        licence="Apache-2.0",
        origin="TF-slim, 2016",
    ),
    "inception_v3": _INCEPTION,
    "inception_resnet_v2": replace(_INCEPTION, origin="Google, 2016"),
    "xception": Family(
        CENTRED,
        None,
        "weight decay 1e-5, dropout 0.5 in its head; label smoothing not stated",
        "MIT (Keras)",
        "F. Chollet, 2017",
        smallest=71,
    ),
    "densenet": Family(
        IMAGENET,
        r"(conv[2-5]_block\d+|pool[2-4])_",
        "weight decay 1e-4, no dropout",
        "BSD-3-Clause (Facebook)",
        "Facebook AI, 2017",
    ),
    "mobilenet": Family(
        CENTRED, r"(conv_dw_\d+)(?:_|$)", "little weight decay, no label smoothing", "Apache-2.0", "Google, 2017"
    ),
    "mobilenet_v3": Family(
        CENTRED,
        r"(expanded_conv(?:_\d+)?|conv_1)(?:_|$)",
        "weight decay 1e-5, dropout 0.2 in its head; label smoothing not stated",
        "Apache-2.0",
        "Google, 2019",
        options=_RAW,
        table="the docstring of keras.applications.MobileNetV3Small",
    ),
    "nasnet": Family(
        CENTRED,
        None,
        "weight decay 4e-5, label smoothing 0.1, dropout 0.5 in its head, dropped paths",
        "Apache-2.0",
        "Google, 2018",
        note="its cells take two tensors each, and so do most of its blocks",
    ),
    "efficientnet": _EFFICIENTNET,
    "efficientnet_v2_b": _EFFICIENTNET_V2,
    "efficientnet_v2": replace(_EFFICIENTNET_V2, scaling=Scaling(scale=1 / 128, offset=-1.0)),
    "convnext": _CONVNEXT,
    "convnext_21k": replace(_CONVNEXT, source_data=IMAGENET_21K_1K),
}


@dataclass(frozen=True)
class Application:
    """A network of `keras.applications`, and the file that holds its weights without the classifier."""

    family: Family
    constructor: str
    image_size: int
    facts: Facts
    weights: Download

    def build(self, size: int) -> "keras.Model":
        """Return the network with random weights; an EfficientNet has its own scaling: see `without_scaling`."""
        import keras

        function = getattr(keras.applications, self.constructor)
        return function(input_shape=(size, size, 3), include_top=False, weights=None, **self.family.options)


def _read(row: Mapping[str, str]) -> Application:
    family = FAMILIES[row["family"]]
    facts = Facts(
        constructor=f"keras.applications.{row['constructor']}",
        parameters=int(row["parameters"]),
        macs=float(row["macs_millions"]),
        source_data=family.source_data,
        source_task=CLASSES_1K,
        regularization=family.regularization,
        accuracy=f"{row['top_1']} top-1 on ImageNet ({family.table})",
        licence=family.licence,
        origin=f"{family.origin}; Keras's file",
        note=family.note,
    )
    download = Download(f"{_HOST}{row['url']}", row["digest"] or None, row["cached_as"])
    return Application(family, row["constructor"], int(row["image_size"]), facts, download)


def _table() -> dict[str, Application]:
    table = resources.files("tlkeras.sources").joinpath("tables", "applications.csv").read_text(encoding="utf-8")
    return {row["name"]: _read(row) for row in csv.DictReader(table.splitlines())}


APPLICATIONS: Mapping[str, Application] = _table()


def without_scaling(network: "keras.Model") -> "keras.Model":
    """Return the part of an EfficientNet after its own scaling layers, which the row's `scaling` replaces.

    Raises:
        WeightsError: The weights bring a scaling of their own, other than ImageNet's.
    """
    import keras

    normalizations = [layer for layer in network.layers if isinstance(layer, keras.layers.Normalization)]
    if not normalizations:
        return network
    mean, variance, _ = (np.ravel(weight.numpy()) for weight in normalizations[0].weights)
    # Untouched, or as Keras publishes them: the variance is ImageNet's deviation, and another layer makes up for it
    # (https://github.com/tensorflow/tensorflow/issues/49930).
    known = [((0, 0, 0), (1, 1, 1)), (IMAGENET_MEAN, IMAGENET_DEVIATION)]
    if not any(np.allclose(mean, m, atol=1e-3) and np.allclose(variance, v, atol=1e-3) for m, v in known):
        raise WeightsError(
            f"The weights scale pixels in a way of their own: mean {mean}, variance {variance}. Expected ImageNet's, "
            f"{IMAGENET_MEAN} and {IMAGENET_DEVIATION}. Save the whole network as a .keras file and take that."
        )
    return keras.Model(normalizations[0].output, network.output, name=network.name)
