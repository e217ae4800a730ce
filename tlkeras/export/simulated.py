"""A network as it will compute in 8 bits, in plain Keras and with gradients: rounding is simulated ("fake quantisation")."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_LEVELS = 127
"""Steps on each side of zero for weights, which LiteRT holds as int8 from -127 to 127, one scale for each output channel."""
_STEPS = 255
"""Steps between the lowest and the highest value of an activation tensor, which has one scale and one zero point."""


def simulate(network: "keras.Model") -> "keras.Model":
    """Return a network that shares all layers and rounds what each layer with a kernel reads, as full int8 does.

    What BatchNormalization and activations read is not rounded: the converter folds them into the layer before.
    """
    import keras

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, keras.Model):
            return simulate(layer)(*inputs, **options)
        if _kernels(layer):
            return layer(round_activation(inputs[0]), *inputs[1:], **options)
        return layer(*inputs, **options)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def round_activation(values: Any) -> Any:
    """Round a tensor to 256 levels between its lowest and highest value and zero; the gradient passes as if it did not.

    Bengio et al. (2013), "straight-through estimator"; Jacob et al. (2018), sections 2.1 and 3.
    """
    from keras import ops

    low, high = ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), 0.0)
    scale = ops.maximum(high - low, 1e-9) / _STEPS
    zero = ops.round(-low / scale)
    rounded = (ops.clip(ops.round(values / scale) + zero, 0, _STEPS) - zero) * scale
    return values + ops.stop_gradient(rounded - values)


def round_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """Round a kernel to 255 levels around zero, with one scale for each output channel; the gradient passes.

    Args:
        kernel: The weights.
        axes: The axes that share a scale.
    """
    from keras import ops

    scale = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), 1e-9) / _LEVELS
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


def kernels(network: "keras.Model") -> Iterator[tuple["keras.Variable", tuple[int, ...]]]:
    """Yield the kernels of a network that int8 rounds, each with the axes that share a scale."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from kernels(layer)
        else:
            yield from _kernels(layer)


def _kernels(layer: Any) -> list[tuple["keras.Variable", tuple[int, ...]]]:
    """Return the kernels of one layer; a depthwise one has a scale for each input channel as well."""
    import keras

    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    shared = 2 if depthwise else 1
    found = [weight for weight in getattr(layer, "weights", ()) if weight.name.endswith("kernel")]
    return [
        (weight, tuple(range(len(weight.shape) - (2 if weight.name == "depthwise_kernel" else shared)))) for weight in found
    ]
