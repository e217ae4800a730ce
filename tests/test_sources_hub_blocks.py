"""KerasHub's vision backbones in blocks against themselves whole, with every weight drawn."""

import keras
import keras_hub
import numpy as np
import pytest

from tlkeras.sources.blocks import chain
from tlkeras.sources.hub_blocks import hub_image_blocks

SIZE = 64
SHAPE = (SIZE, SIZE, 3)
PIXELS = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE)).astype("float32")
TRANSFORMER = {"patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "image_shape": SHAPE}
ENCODER = {**TRANSFORMER, "intermediate_dim": 32}
MIT = {
    "layerwise_depths": [2, 2],
    "num_layers": 2,
    "layerwise_num_heads": [1, 2],
    "layerwise_sr_ratios": [4, 2],
    "max_drop_path_rate": 0.1,
    "layerwise_patch_sizes": [7, 3],
    "layerwise_strides": [4, 2],
    "hidden_dims": [8, 16],
}
HGNET = {
    "depths": [1, 2],
    "embedding_size": 8,
    "hidden_sizes": [16, 24],
    "stem_channels": [3, 8, 8],
    "hidden_act": "relu",
    "use_learnable_affine_block": False,
    "stackwise_stage_filters": [[8, 8, 16, 1, 2, 3], [16, 8, 24, 2, 2, 3]],
    "apply_downsample": [False, True],
    "use_lightweight_conv_block": [False, True],
}
# The class, its arguments, and how many tokens stand before the patches.
BACKBONES = {
    "ViTBackbone": ({**TRANSFORMER, "mlp_dim": 32, "dropout_rate": 0.1}, 1),
    "DeiTBackbone": ({**ENCODER, "dropout_rate": 0.1}, 2),
    "CLIPVisionEncoder": (ENCODER, 1),
    "SigLIPVisionEncoder": (ENCODER, 0),
    "DINOV2Backbone": ({**ENCODER, "num_register_tokens": 2, "position_embedding_shape": (96, 96, 3)}, 3),
    "DINOV3Backbone": (ENCODER, 5),
    "SwinTransformerBackbone": (
        {"image_shape": SHAPE, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4},
        0,
    ),
    "HGNetV2Backbone": ({**HGNET, "image_shape": SHAPE}, None),
    "MiTBackbone": ({**MIT, "image_shape": SHAPE}, None),
}

pytestmark = pytest.mark.filterwarnings("ignore:Layer 'attn' .of type WindowAttention. was passed an input with a mask")


def build(kind, **changed):
    if not hasattr(keras_hub.models, kind):
        pytest.skip(f"KerasHub {keras_hub.__version__} has no {kind}")
    backbone = getattr(keras_hub.models, kind)(**{**BACKBONES[kind][0], **changed})
    generator = np.random.default_rng(0)
    for variable in backbone.weights:
        if variable.name == "position_ids":
            variable.assign(np.arange(variable.shape[1])[None])
        elif "seed" not in variable.path and "variance" not in variable.path:
            variable.assign(generator.normal(0, 0.2, variable.shape))
    return backbone


def whole(backbone):
    inputs = backbone.input
    outputs = backbone({next(iter(inputs)): PIXELS} if isinstance(inputs, dict) else PIXELS)
    return np.asarray(list(outputs.values())[-1] if isinstance(outputs, dict) else outputs)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_feature_map_is_that_of_the_backbone_bit_for_bit(kind):
    backbone = build(kind)
    network = chain(hub_image_blocks(backbone, size=SIZE, prepare=lambda x: x, feature_map=True), name="all")
    found, expected, prefix = np.asarray(network(PIXELS)), whole(backbone), BACKBONES[kind][1]
    if kind == "SigLIPVisionEncoder":  # the backbone gives its pooling head's answer
        expected = np.asarray(backbone.head(found.reshape(2, 16, 16)))
        found = whole(backbone)
    elif prefix is not None:
        side = int((expected.shape[1] - prefix) ** 0.5)
        expected = expected[:, prefix:].reshape(2, side, side, -1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [("ViTBackbone", 1), ("DeiTBackbone", 2), ("CLIPVisionEncoder", 1), ("DINOV2Backbone", 1), ("DINOV3Backbone", 1)],
)
def test_a_vision_transformer_is_read_by_its_class_tokens(kind, tokens):
    backbone = build(kind)
    network = chain(hub_image_blocks(backbone, size=SIZE, prepare=lambda x: x), name="all")
    np.testing.assert_allclose(network(PIXELS), whole(backbone)[:, :tokens].mean(1), atol=1e-6)


def test_siglip_is_read_by_its_pooling_head():
    backbone = build("SigLIPVisionEncoder")
    network = chain(hub_image_blocks(backbone, size=SIZE, prepare=lambda x: x), name="all")
    np.testing.assert_array_equal(network(PIXELS), whole(backbone))


def test_learned_positions_are_interpolated_to_another_size():
    backbone = build("ViTBackbone")
    embedding = backbone.get_layer("vit_patching_and_embedding").position_embedding.embeddings
    # Positions that grow evenly from left to right must do so on the larger grid as well.
    grid = np.broadcast_to(np.linspace(0, 3, 4)[None, :, None], (4, 4, 16)).reshape(16, 16)
    embedding.assign(np.concatenate([np.zeros((1, 16)), grid]))
    blocks = hub_image_blocks(backbone, size=128, prepare=lambda x: x)
    positions = blocks[0].network.get_layer("positions").get_weights()[0].reshape(8, 8, 16)
    assert np.ptp(positions, axis=0).max() < 1e-5
    # In the middle half a step for each place, as a bicubic curve has it; towards the edges it bends.
    np.testing.assert_allclose(np.diff(positions[0, :, 0])[3], 0.5, atol=1e-5)
    np.testing.assert_allclose(np.diff(positions[0, 2:6, 0]), 0.5, atol=0.05)
    assert blocks[0].network.output_shape == (None, 65, 16)


def test_another_backbone_is_refused():
    network = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"must be one of ViTBackbone, DeiTBackbone.* Received: Sequential"):
        hub_image_blocks(network, size=SIZE, prepare=lambda x: x)
