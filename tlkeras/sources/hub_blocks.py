"""KerasHub's image backbones as chains of blocks.

Their encoders are single layers that hold all others, so there is no graph to cut: the blocks are put together here from
the layers within. What those backbones keep as bare variables (class tokens, positions) becomes a `PositionEmbedding`, and
layers that cannot be saved (of ViT, DeiT, MiT, Swin) are taken apart into plain Keras layers. The numbers stay the same, bit
for bit.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

Piece = tuple[str, Callable[[Any], Any]]


def hub_image_blocks(
    backbone: "keras.Model", *, size: int, prepare: Callable[[Any], Any], feature_map: bool = False
) -> tuple[Block, ...]:
    """Return a KerasHub image backbone as blocks that share its layers.

    Args:
        backbone: One of the classes in `PIECES`.
        size: Height and width of the pictures in pixels. Learned positions of another size are interpolated.
        prepare: Layers between the raw pixels and the backbone.
        feature_map: Let a vision transformer give its patches `(batch, h, w, channels)` in place of its summary of the picture
            (class token or pooling head) `(batch, channels)`. Other networks give a feature map anyway.
    """
    import keras

    kind = type(backbone).__name__
    if kind not in PIECES:
        raise ValueError(f"The backbone must be one of {', '.join(PIECES)}. Received: {kind}")
    x = keras.Input((size, size, 3), name="image")
    blocks: list[Block] = []
    for name, piece in PIECES[kind](backbone, size, feature_map):
        outputs = piece(x if blocks else prepare(x))
        blocks.append(Block(name, keras.Model(x, outputs, name=name)))
        x = keras.Input(outputs.shape[1:], dtype=outputs.dtype, name="input_0")
    return tuple(blocks)


def _in_order(*pieces: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for piece in pieces:
            x = piece(x)
        return x

    return run


def _learned(values: np.ndarray, like: Any, name: str) -> Any:
    """Return trainable vectors `(n, channels)` for each example of the tensor `like`, `(batch, n, channels)`."""
    import keras_hub

    initializer = {"class_name": "RandomNormal", "config": {"stddev": 0.02}}
    layer = keras_hub.layers.PositionEmbedding(len(values), initializer=initializer, name=name)
    vectors = layer(like)
    layer.set_weights([values])
    return vectors


def _resized(positions: np.ndarray, side: int) -> np.ndarray:
    """Interpolate the positions of a square grid, `(n, channels)`, to another one."""
    import keras

    old = math.isqrt(len(positions))
    if old == side:
        return positions
    grid = positions.reshape(1, old, old, -1)
    resized = keras.ops.image.resize(grid, (side, side), interpolation="bicubic", antialias=True, data_format="channels_last")
    return np.asarray(resized).reshape(side * side, -1)


def _tokens(convolution: Any, prefix: np.ndarray | None, positions: np.ndarray | None) -> Callable[[Any], Any]:
    """Return the piece from pixels to tokens: the prefix (class token, registers), then the patches with their positions."""
    import keras

    def embed(pixels: Any) -> Any:
        patches = convolution(pixels)
        side, channels = patches.shape[1], patches.shape[-1]
        x = keras.layers.Reshape((side * side, channels), name="patches")(patches)
        if positions is not None:
            x = keras.layers.Add(name="placed")([x, _learned(_resized(positions, side), x, "positions")])
        if prefix is not None:
            like = keras.ops.tile(x[:, :1], (1, len(prefix), 1))
            x = keras.layers.Concatenate(axis=1, name="tokens")([_learned(prefix, like, "prefix"), x])
        return x

    return embed


def _summary(prefix: int, count: int, feature_map: bool) -> Callable[[Any], Any]:
    """Return the piece from tokens to the mean of the first `count`, or to the map of those after `prefix`."""
    import keras

    def read(x: Any) -> Any:
        if feature_map:
            side = math.isqrt(x.shape[1] - prefix)
            return keras.layers.Reshape((side, side, x.shape[-1]), name="feature_map")(x[:, prefix:])
        return keras.layers.GlobalAveragePooling1D(name="summary")(x[:, :count])

    return read


def _stacked(embed: Callable[[Any], Any], layers: Iterable[Callable[[Any], Any]], end: Callable[[Any], Any]) -> list[Piece]:
    named: list[Piece] = [(f"layer_{number}", layer) for number, layer in enumerate(layers, 1)]
    name, last = named[-1]
    return [("embeddings", embed), *named[:-1], (name, _in_order(last, end))]


def _plain_layer(layer: Any, inner: Any, outer: Any, dropouts: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Return a pre-norm transformer layer in plain Keras layers; `dropouts` come after attention, `inner` and `outer`."""
    import keras

    def run(x: Any) -> Any:
        dropped = [
            keras.layers.Dropout(each.rate, name=f"dropout_{at}") if each is not None and each.rate else lambda y: y
            for at, each in enumerate(dropouts)
        ]
        y = layer.layer_norm_1(x)
        x = keras.layers.Add(name="attention_sum")([dropped[0](layer.mha(y, y)), x])
        y = dropped[1](inner(layer.layer_norm_2(x)))
        return keras.layers.Add(name="layer_sum")([x, dropped[2](outer(y))])

    return run


def _vit(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    embedding, encoder = backbone.get_layer("vit_patching_and_embedding"), backbone.get_layer("vit_encoder")
    places = np.asarray(embedding.position_embedding.embeddings)
    count = int(embedding.use_class_token)
    prefix = np.asarray(embedding.class_token)[0] + places[:1] if count else None
    layers = [
        _plain_layer(layer, layer.mlp.dense_1, layer.mlp.dense_2, (layer.dropout, layer.mlp.dropout, layer.mlp.dropout))
        for layer in encoder.encoder_layers
    ]
    end = _in_order(encoder.layer_norm, _summary(count, 1, feature_map or not count))
    return _stacked(_tokens(embedding.patch_embedding, prefix, places[count:]), layers, end)


def _deit(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    embedding, encoder = backbone.get_layer("deit_patching_and_embedding"), backbone.get_layer("deit_encoder")
    places = np.asarray(embedding.position_embedding)[0]
    prefix = np.concatenate([np.asarray(embedding.class_token)[0], np.asarray(embedding.distillation_token)[0]]) + places[:2]
    layers = [
        _plain_layer(layer, layer.mlp.dense, layer.output_layer.dense, (None, None, layer.output_layer.dropout))
        for layer in encoder.encoder_layers
    ]
    # DeiT classifies by the class token and the distillation token alike.
    end = _in_order(encoder.layer_norm, _summary(2, 2, feature_map))
    return _stacked(_tokens(embedding.patch_embedding, prefix, places[2:]), layers, end)


def _clip(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    embedding = backbone.embedding
    places = np.asarray(embedding.position_embedding.embeddings)
    tokens = _tokens(embedding.patch_embedding, np.asarray(embedding.class_embedding)[None] + places[:1], places[1:])
    end = _in_order(backbone.layer_norm, _summary(1, 1, feature_map))
    return _stacked(_in_order(tokens, backbone.pre_layer_norm), backbone.encoder_layers, end)


def _siglip(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    embedding = backbone.embedding
    tokens = _tokens(embedding.patch_embedding, None, np.asarray(embedding.position_embedding.embeddings))
    end = _in_order(backbone.post_layer_norm, _summary(0, 1, True) if feature_map else backbone.head)
    return _stacked(tokens, backbone.encoder_layers, end)


def _dino_v2(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    embedding = backbone.embeddings
    places = np.asarray(embedding.interpolated_position_embeddings)[0]
    prefix = np.asarray(embedding.cls_token)[0] + places[:1]
    if embedding.num_register_tokens:
        prefix = np.concatenate([prefix, np.asarray(embedding.register_tokens)[0]])
    tokens = _tokens(embedding.patch_embeddings.projection, prefix, places[1:])
    end = _in_order(backbone.layernorm, _summary(len(prefix), 1, feature_map))
    return _stacked(tokens, backbone.encoder.layers, end)


def _dino_v3(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    embedding = backbone.embeddings
    prefix = np.asarray(embedding.cls_token)[0]
    if embedding.num_register_tokens:
        prefix = np.concatenate([prefix, np.asarray(embedding.register_tokens)[0]])
    layers = [partial(_with_rotation, layer, backbone.rope_embedding, size, len(prefix)) for layer in backbone.encoder.layers]
    end = _in_order(backbone.layernorm, _summary(len(prefix), 1, feature_map))
    return _stacked(_tokens(embedding.patch_embeddings.projection, prefix, None), layers, end)


def _with_rotation(layer: Any, rotation: Any, size: int, prefix: int, x: Any) -> Any:
    """Call a layer of DINOv3 with the rotary embedding, which reads of the picture nothing but its shape."""
    import keras

    picture = keras.layers.Reshape((1, 1, 1), name="one_value")(x[:, :1, :1])
    picture = keras.layers.UpSampling2D(size, name="like_a_picture")(picture)
    rope = type(rotation).from_config(rotation.get_config())
    return layer(x, position_embeddings=rope(picture), num_prefix_tokens=prefix)


def _swin(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    import keras

    embedding = backbone.patch_embedding
    side = size // embedding.patch_size
    flat = keras.layers.Reshape((side * side, embedding.embed_dim), name="patches")
    pieces: list[Piece] = [("embeddings", _in_order(embedding.proj, flat, embedding.norm or (lambda x: x)))]
    for stage_number, stage in enumerate(backbone.stages, 1):
        pieces += [(f"stage_{stage_number}_layer_{number}", layer) for number, layer in enumerate(stage.blocks, 1)]
        if stage.downsample is not None:
            height, width = stage.input_resolution
            name, last = pieces[-1]
            pieces[-1] = name, _in_order(last, partial(stage.downsample, H=height, W=width))
    name, last = pieces[-1]
    return [*pieces[:-1], (name, _in_order(last, backbone.norm, _summary(0, 1, True)))]


def _hgnet_v2(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    pieces: list[Piece] = [("stem", backbone.embedder_layer)]
    for stage_number, stage in enumerate(backbone.encoder_layer.stages_list, 1):
        named: list[Piece] = [(f"stage_{stage_number}_block_{at}", block) for at, block in enumerate(stage.blocks_list, 1)]
        if stage.current_stage_is_downsample_active:
            name, first = named[0]
            named[0] = name, _in_order(stage.downsample_layer, first)
        pieces += named
    return pieces


def _mit(backbone: Any, size: int, feature_map: bool) -> list[Piece]:
    import keras

    pieces: list[Piece] = []
    layers = iter(backbone.layers[1:])
    for layer in layers:
        kind = type(layer).__name__
        if kind == "OverlappingPatchingAndEmbedding":
            stage, number, opening = len({name.split("_")[1] for name, _ in pieces}) + 1, 0, layer
        elif kind == "HierarchicalTransformerEncoder":
            number += 1
            piece = partial(_mit_layer, layer)
            name = f"stage_{stage}_layer_{number}"
            pieces.append((name, _in_order(partial(_mit_patches, opening), piece) if number == 1 else piece))
        else:  # the normalisation and the reshaping at a stage's end
            name, last = pieces[-1]
            side = None if isinstance(layer, keras.layers.LayerNormalization) else _summary(0, 1, True)
            pieces[-1] = name, _in_order(last, side or layer)
    return pieces


def _mit_patches(layer: Any, x: Any) -> Any:
    import keras

    x = layer.proj(layer.padding(x))
    return layer.norm(keras.layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]), name="patches")(x))


def _mit_layer(layer: Any, x: Any) -> Any:
    """A layer of MiT (Xie et al. 2021): attention with fewer keys, then a convolution within the feed-forward part."""
    import keras

    rate = layer.drop_path.rate
    names = ("attention_path", "forward_path")
    paths = [keras.layers.Dropout(rate, noise_shape=(None, 1, 1), name=n) if rate else lambda y: y for n in names]
    x = keras.layers.Add(name="attention_sum")([x, paths[0](_mit_attention(layer.attn, layer.norm1(x)))])
    return keras.layers.Add(name="layer_sum")([x, paths[1](_mit_forward(layer.mlp, layer.norm2(x)))])


def _mit_attention(attention: Any, x: Any) -> Any:
    import keras

    _, tokens, channels = x.shape
    side, heads = math.isqrt(tokens), attention.num_heads

    def split(y: Any) -> Any:
        y = keras.layers.Reshape((y.shape[1], heads, channels // heads))(y)
        return keras.layers.Permute((2, 1, 3))(y)

    query = split(attention.q(x))
    if attention.sr_ratio > 1:
        x = attention.sr(keras.layers.Reshape((side, side, channels))(x))
        x = attention.norm(keras.layers.Reshape((x.shape[1] * x.shape[2], channels))(x))
    key, value = split(attention.k(x)), split(attention.v(x))
    scores = keras.ops.matmul(query, keras.layers.Permute((1, 3, 2))(key)) * attention.scale
    mixed = keras.ops.matmul(attention.dropout(keras.layers.Softmax()(scores)), value)
    mixed = keras.layers.Reshape((tokens, channels))(keras.layers.Permute((2, 1, 3))(mixed))
    return attention.proj_drop(attention.proj(mixed))


def _mit_forward(mlp: Any, x: Any) -> Any:
    import keras

    x = mlp.fc1(x)
    _, tokens, channels = x.shape
    side = math.isqrt(tokens)
    x = mlp.dwconv(keras.layers.Reshape((side, side, channels))(x))
    return mlp.fc2(keras.ops.gelu(keras.layers.Reshape((tokens, channels))(x)))


PIECES: "dict[str, Callable[[Any, int, bool], list[Piece]]]" = {
    "ViTBackbone": _vit,
    "DeiTBackbone": _deit,
    "CLIPVisionEncoder": _clip,
    "SigLIPVisionEncoder": _siglip,
    "DINOV2Backbone": _dino_v2,
    "DINOV3Backbone": _dino_v3,
    "SwinTransformerBackbone": _swin,
    "HGNetV2Backbone": _hgnet_v2,
    "MiTBackbone": _mit,
}
