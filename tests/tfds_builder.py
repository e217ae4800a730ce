"""A data set of TensorFlow Datasets that is prepared without a network, for the tests."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tests.data_files import png, words

LABELS = ("red", "blue")


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Pictures whose colour says which they are, with a class, a text, tags and a value."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=list(LABELS)),
            "caption": tfds.features.Text(),
            "tags": tfds.features.Sequence(tfds.features.ClassLabel(names=["big", "small"])),
            "price": np.float32,
            "box": tfds.features.BBoxFeature(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._examples(0, 12), "validation": self._examples(100, 4), "extra": self._examples(200, 2)}

    def _generate_examples(self) -> Iterator[Any]:
        raise NotImplementedError

    def _examples(self, start: int, number: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for n in range(start, start + number):
            yield (
                n,
                {
                    "image": io.BytesIO(png(n)),
                    "label": n % 2,
                    "caption": f"\u00e9 {words(n)}",
                    "tags": [0, 1][: n % 3],
                    "price": n / 4,
                    "box": tfds.features.BBox(0.0, 0.0, 1.0, 1.0),
                },
            )
