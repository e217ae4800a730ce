"""KerasHub's image backbones by preset: `tables/hub_images.csv` has a row for each.

Rows hold the architecture, so that random weights need no network; a preset's own configuration is used with its weights.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from tlkeras.errors import TlkerasError
from tlkeras.sources.facts import CLASSES_1K, IMAGENET_1K, IMAGENET_21K, IMAGENET_21K_1K, Facts
from tlkeras.sources.hub_families import HUB_FAMILIES, HubFamily

if TYPE_CHECKING:
    import keras

# Short forms in the table.
_DATA = {"in1k": IMAGENET_1K, "in21k": IMAGENET_21K, "in21k_1k": IMAGENET_21K_1K}
_TASKS = {
    "1k": CLASSES_1K,
    "21k": "classification, 21,841 classes",
    "segmentation": "semantic segmentation",
    "self": "self-supervised: teacher and student see crops of one picture",
    "captions": "matching pictures with captions",
}


@dataclass(frozen=True)
class HubImage:
    """A preset of an image backbone.

    Attributes:
        family: What it shares with its family.
        variant: Its name among the architectures of the family.
        patch: The side of a patch (of Swin: of a window), where it has them.
        image_size: The default, in pixels.
        facts: Its facts.
        handle: Where KerasHub has it: `owner/model/framework/variation/version` on Kaggle.
    """

    family: HubFamily
    variant: str
    patch: int
    image_size: int
    facts: Facts
    handle: str

    @property
    def step(self) -> int:
        """The size of the pictures must be a multiple of this."""
        return self.family.step or self.patch

    def build(self, size: int) -> "keras.Model":
        """Return the backbone with random weights."""
        backbone = _class(self.family.backbone)
        return backbone(**self.family.configure(self.variant, self.patch), image_shape=(size, size, 3))

    def load(self, preset: str, size: int) -> "keras.Model":
        """Return the backbone with the weights of a preset.

        Args:
            preset: Its folder, or a handle that KerasHub understands.
            size: Height and width of the pictures in pixels; learned positions are left as they are, for `hub_image_blocks`.
        """
        whole = _class(self.family.whole or self.family.backbone)
        shape: dict[str, Any] = {"image_shape": (size, size, 3)} if self.family.any_size else {}
        loaded = whole.from_preset(preset, **shape)
        return loaded.vision_encoder if self.family.whole else loaded


def _class(name: str) -> Any:
    import keras_hub

    found = getattr(keras_hub.models, name, None)
    if found is None:
        raise TlkerasError(
            f"This KerasHub ({keras_hub.__version__}) has no {name}. Newer ones have: pip install --upgrade keras-hub"
        )
    return found


def _read(row: Mapping[str, str]) -> HubImage:
    family = HUB_FAMILIES[row["family"]]
    facts = Facts(
        constructor=f"KerasHub preset {row['name']} ({family.backbone})",
        parameters=int(row["parameters"]),
        macs=float(row["macs_millions"]),
        source_data=_DATA.get(row["data"], row["data"]),
        source_task=_TASKS.get(row["task"], row["task"]),
        regularization=family.regularization,
        accuracy=row["accuracy"] or None,
        licence=family.licence,
        origin=family.origin,
        litert=family.litert,
    )
    return HubImage(family, row["variant"], int(row["patch"] or 0), int(row["image_size"]), facts, row["handle"])


def _table() -> dict[str, HubImage]:
    table = resources.files("tlkeras.sources").joinpath("tables", "hub_images.csv").read_text(encoding="utf-8")
    return {row["name"]: _read(row) for row in csv.DictReader(table.splitlines())}


HUB_IMAGES: Mapping[str, HubImage] = _table()
