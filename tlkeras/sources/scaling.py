"""From raw pixels to what a network's weights expect."""

from dataclasses import dataclass
from typing import Any

# Mean and standard deviation of ImageNet's pixels (red, green, blue) on the scale from 0 to 1, for PyTorch and EfficientNet.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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

    def __str__(self) -> str:
        def shown(value: float | tuple[float, ...]) -> str:
            return f"({', '.join(f'{v:.5g}' for v in value)})" if isinstance(value, tuple) else f"{value:.5g}"

        return f"pixels * {shown(self.scale)} + {shown(self.offset)}{', blue first' if self.blue_first else ''}"


def standardised(mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> Scaling:
    """Return the scaling by mean and standard deviation, given on the scale from 0 to 1."""
    return Scaling(
        scale=tuple(1 / (255 * d) for d in deviation), offset=tuple(-m / d for m, d in zip(mean, deviation, strict=True))
    )


IMAGENET = standardised(IMAGENET_MEAN, IMAGENET_DEVIATION)
CENTRED = Scaling(scale=1 / 127.5, offset=-1.0)
"""To [-1, 1]."""
CAFFE = Scaling(scale=1.0, offset=(-123.68, -116.779, -103.939), blue_first=True)
"""Levels of 255 around ImageNet's mean, blue, green, red: the first networks, trained in Caffe."""
RAW = Scaling(scale=1.0, offset=0.0)
"""Left as they are: the network scales by itself."""
