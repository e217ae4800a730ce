"""Image source models: loading one by its name, or from a file or folder."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.data.decode import RESIZE_MODES
from tlkeras.data.sizes import typical_side
from tlkeras.errors import unknown
from tlkeras.sources.blocks import call_random, chain, seeded, with_random_weights
from tlkeras.sources.image_table import IMAGE_SOURCES, ImageSource, Loaded
from tlkeras.sources.local import is_path, load_local
from tlkeras.sources.model import SourceModel

if TYPE_CHECKING:
    from tlkeras.data.examples import Examples

__all__ = ["IMAGE_SOURCES", "load_image_source"]

_LOGGER = logging.getLogger("tlkeras")

LARGEST_IMAGE = 2048


def load_image_source(
    name: str,
    *,
    image_size: int | None = None,
    pictures: "Examples | None" = None,
    resize: str = "crop",
    pretrained: bool = True,
    feature_map: bool = False,
    seed: int = 0,
) -> SourceModel:
    """Load a network that turns raw pixels into a feature map.

    Args:
        name: A key of `IMAGE_SOURCES`; `tlkeras sources` lists them. Or a path: a `.keras` file, the folder of an earlier run,
            or one in Hugging Face's, timm's or KerasHub's format; or `NAME:FILE`, a `.weights.h5` file for a named one.
        image_size: Height and width in pixels, up to 2,048; the source's own if not given. MobileNetV2's is rounded up to the
            next `32 k + 1`, where its weights are exact, a vision transformer's to a multiple of its patch.
        pictures: What it will see. Where these are smaller than its own size and no size is given, the smallest `32 k + 1` from
            97 on that loses nothing of them is taken: larger ones cost time and show no more.
        resize: How a picture becomes a square, one of `RESIZE_MODES`; kept with the model and its exports.
        pretrained: False for the same architecture with random weights; nothing is downloaded then.
        feature_map: Let a vision transformer give the map of its patches in place of its summary of the picture.
        seed: Of the random weights.

    Returns:
        A source model whose network takes float32 pixels in `[0, 255]`, shape `(batch, image_size, image_size, 3)`; the scaling
        that the weights expect is its first layer. It gives a feature map `(batch, h, w, channels)`; a vision transformer gives
        what it was trained to be read by, `(batch, channels)`: its class token or pooling head.

    Raises:
        ValueError: The name or the size is not allowed.
        WeightsError: The weights are not installed, not the known ones, or cannot be downloaded.
    """
    if resize not in RESIZE_MODES:
        raise unknown("resize mode", resize, RESIZE_MODES, see=", ".join(RESIZE_MODES))
    if name not in IMAGE_SOURCES:
        source = _from_disk(name, image_size, resize, feature_map)
        return source if pretrained else with_random_weights(source, seed=seed)
    row = IMAGE_SOURCES[name]
    size = planned_size(name, image_size=image_size, pictures=pictures, say=_LOGGER.info)
    if pretrained and row.load:
        loaded = row.load(size)
    else:
        with seeded(seed):
            loaded = Loaded(row.build(size), None, {})
    blocks = row.cut(loaded.network, size, feature_map=feature_map)
    own = {"classes": row.classes} if row.classes else {}
    source = SourceModel(
        name=name,
        modality="image",
        network=chain(blocks, name=name),
        blocks=blocks,
        input_size=size,
        pretrained=pretrained and row.load is not None,
        head=loaded.head,
        facts={**row.facts.as_dict(), "scaling": str(row.scaling), "weights": row.package or "download", **own, **loaded.facts},
        resize=resize,
    )
    return source if source.pretrained else call_random(source, seed=seed)


def _from_disk(name: str, image_size: int | None, resize: str, feature_map: bool) -> SourceModel:
    architecture, colon, file = name.partition(":")
    if colon and architecture in IMAGE_SOURCES:
        size = _check_size(image_size or IMAGE_SOURCES[architecture].image_size, IMAGE_SOURCES[architecture], architecture)
        options = {"size": size, "feature_map": feature_map, "architecture": architecture}
        return load_local(Path(file), "image", resize=resize, **options)
    if not is_path(name):
        raise unknown("image source model", name, IMAGE_SOURCES, see="tlkeras sources")
    if image_size is not None and not (isinstance(image_size, int) and 1 <= image_size <= LARGEST_IMAGE):
        raise ValueError(f"The image size must be a whole number of pixels from 1 to {LARGEST_IMAGE}. Received: {image_size!r}")
    return load_local(Path(name), "image", resize=resize, size=image_size, feature_map=feature_map)


def planned_size(
    name: str,
    *,
    image_size: int | None = None,
    pictures: "Examples | None" = None,
    say: Callable[..., None] = lambda *_: None,
) -> int:
    """Return the size in pixels that `load_image_source` gives to a key of `IMAGE_SOURCES`.

    Args:
        name: The key.
        image_size: See `load_image_source`.
        pictures: See there.
        say: Called with a message and its arguments where that is another size than one might expect.

    Raises:
        ValueError: The size is not allowed.
    """
    row = IMAGE_SOURCES[name]
    if image_size is None:
        image_size = row.image_size if pictures is None else _size_for(pictures, row.image_size, name, say)
    return _check_size(image_size, row, name, say)


def _size_for(pictures: "Examples", own: int, name: str, say: Callable[..., None]) -> int:
    side = typical_side(pictures.store)
    size = max(97, -(-(side - 1) // 32) * 32 + 1)
    if size >= own:
        return own
    say("%s: image size %d instead of its own %d, because the pictures are %d pixels wide or high", name, size, own, side)
    return size


def _check_size(size: int, row: ImageSource, name: str, say: Callable[..., None] = _LOGGER.info) -> int:
    if not isinstance(size, int) or not row.smallest <= size <= LARGEST_IMAGE:
        raise ValueError(
            f"The image size of {name!r} must be a whole number of pixels from {row.smallest} to {LARGEST_IMAGE}. "
            f"Received: {size!r}"
        )
    rounded = -(-(size - row.remainder) // row.step) * row.step + row.remainder
    if rounded != size:
        form = f"{row.step} k" + (f" + {row.remainder}" if row.remainder else "")
        say("%s: image size %d rounded up to %d, because it takes %s", name, size, rounded, form)
    return rounded
