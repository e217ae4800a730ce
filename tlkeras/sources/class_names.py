"""The names of the classes that a source model was trained on, where a package that is installed anyway has them."""

from collections.abc import Mapping
from typing import Any


def source_classes(facts: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names of a source model; None where they are not known.

    Args:
        facts: `SourceModel.facts`: its own `classes`, or ImageNet's where `source_data` begins so.
    """
    if facts.get("classes"):
        return tuple(facts["classes"])
    return imagenet_classes() if str(facts.get("source_data")).startswith("ImageNet-1k") else None


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1,000 classes of ImageNet-1k in their order, as KerasHub has them, in words."""
    from keras_hub.utils import imagenet_id_to_name

    return tuple(imagenet_id_to_name(index).replace("_", " ") for index in range(1000))
