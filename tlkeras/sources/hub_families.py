"""The families of KerasHub's image backbones: their architectures, and what their presets have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tlkeras.sources.scaling import CENTRED, IMAGENET, Scaling, standardised

_CLIP_SCALING = standardised((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

# Layers, heads, channels, channels within the feed-forward part (Dosovitskiy et al. 2021, table 1; Touvron et al. 2021).
_TRANSFORMERS = {
    "tiny": (12, 3, 192, 768),
    "small": (12, 6, 384, 1536),
    "base": (12, 12, 768, 3072),
    "large": (24, 16, 1024, 4096),
    "huge": (32, 16, 1280, 5120),
    "so400m": (27, 16, 1152, 4304),
}
# Layers in each stage, heads in each, channels of the first (Liu et al. 2021, section 3.3).
_SWIN = {
    "tiny": ((2, 2, 6, 2), (3, 6, 12, 24), 96),
    "small": ((2, 2, 18, 2), (3, 6, 12, 24), 96),
    "base": ((2, 2, 18, 2), (4, 8, 16, 32), 128),
    "large": ((2, 2, 18, 2), (6, 12, 24, 48), 192),
}
# Layers in each stage (Xie et al. 2021, table 6); b0 has half the channels of the others.
_MIT = {
    "b0": (2, 2, 2, 2),
    "b1": (2, 2, 2, 2),
    "b2": (3, 4, 6, 3),
    "b3": (3, 4, 18, 3),
    "b4": (3, 8, 27, 3),
    "b5": (3, 6, 40, 3),
}
# As in timm's and KerasHub's configurations.
_CSP: dict[str, dict[str, Any]] = {
    "csp_darknet53": {
        "bottle_ratio": (0.5, 1.0),
        "block_ratio": (1.0, 0.5),
        "expand_ratio": (2.0, 1.0),
        "stage_type": "csp",
        "down_growth": True,
    },
    "darknet53": {"bottle_ratio": (0.5,), "block_ratio": (1.0,), "expand_ratio": (1.0,), "stage_type": "dark"},
    "csp_resnet50": {
        "stackwise_num_filters": (128, 256, 512, 1024),
        "bottle_ratio": (0.5,),
        "block_ratio": (1.0,),
        "expand_ratio": (2.0,),
    },
    "csp_resnext50": {
        "stackwise_num_filters": (256, 512, 1024, 2048),
        "bottle_ratio": (1.0,),
        "block_ratio": (0.5,),
        "expand_ratio": (1.0,),
        "groups": 32,
    },
}
# Stem, then for each stage: channels in, within and out, blocks, layers in a block, kernel.
_HGNET = {
    "b4": (
        (3, 32, 48),
        ((48, 48, 128, 1, 6, 3), (128, 96, 512, 1, 6, 3), (512, 192, 1024, 3, 6, 5), (1024, 384, 2048, 1, 6, 5)),
    ),
    "b5": (
        (3, 32, 64),
        ((64, 64, 128, 1, 6, 3), (128, 128, 512, 2, 6, 3), (512, 256, 1024, 5, 6, 5), (1024, 512, 2048, 2, 6, 5)),
    ),
    "b6": (
        (3, 48, 96),
        ((96, 96, 192, 2, 6, 3), (192, 192, 512, 3, 6, 3), (512, 384, 1024, 6, 6, 5), (1024, 768, 2048, 3, 6, 5)),
    ),
}


def _transformer(variant: str, patch: int, inner: str = "intermediate_dim") -> dict[str, Any]:
    layers, heads, channels, within = _TRANSFORMERS[variant]
    return {"patch_size": patch, "num_layers": layers, "num_heads": heads, "hidden_dim": channels, inner: within}


def _vit(variant: str, patch: int) -> dict[str, Any]:
    return _transformer(variant, patch, "mlp_dim")


def _dino_v2(variant: str, patch: int) -> dict[str, Any]:
    registers = 4 if variant.endswith("_registers") else 0
    shape = {"num_register_tokens": registers, "position_embedding_shape": (518, 518, 3)}
    return {**_transformer(variant.removesuffix("_registers"), patch), **shape}


def _open_clip(variant: str, patch: int) -> dict[str, Any]:
    return {**_transformer(variant, patch), "intermediate_activation": "gelu"}


def _dino_v3(variant: str, patch: int) -> dict[str, Any]:
    gated = variant.endswith("_plus")
    return {**_transformer(variant.removesuffix("_plus"), patch), "use_key_bias": False, "use_gated_mlp": gated}


def _swin(variant: str, window: int) -> dict[str, Any]:
    depths, heads, channels = _SWIN[variant]
    return {"embed_dim": channels, "depths": depths, "num_heads": heads, "window_size": window}


def _mit(variant: str, patch: int) -> dict[str, Any]:
    return {
        "layerwise_depths": list(_MIT[variant]),
        "num_layers": 4,
        "layerwise_num_heads": [1, 2, 5, 8],
        "layerwise_sr_ratios": [8, 4, 2, 1],
        "max_drop_path_rate": 0.1,
        "layerwise_patch_sizes": [7, 3, 3, 3],
        "layerwise_strides": [4, 2, 2, 2],
        "hidden_dims": [32, 64, 160, 256] if variant == "b0" else [64, 128, 320, 512],
    }


def _csp(variant: str, patch: int) -> dict[str, Any]:
    if "darknet" in variant:
        shape: dict[str, Any] = {"stem_filters": 32, "stem_kernel_size": 3, "stem_strides": 1, "stem_padding": "same"}
        shape |= {"stackwise_depth": (1, 2, 8, 8, 4), "stackwise_strides": (2, 2, 2, 2, 2), "block_type": "dark_block"}
        shape |= {"stackwise_num_filters": (64, 128, 256, 512, 1024)}
    else:
        shape = {"stem_filters": 64, "stem_kernel_size": 7, "stem_strides": 4, "stem_pooling": "max", "cross_linear": True}
        shape |= {"stackwise_depth": (3, 3, 5, 2), "stackwise_strides": (1, 2, 2, 2), "block_type": "bottleneck_block"}
        shape |= {"stage_type": "csp"}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in {**shape, **_CSP[variant]}.items()}


def _hgnet(variant: str, patch: int) -> dict[str, Any]:
    stem, stages = _HGNET[variant]
    return {
        "depths": [stage[3] for stage in stages],
        "embedding_size": stem[-1],
        "hidden_sizes": [stage[2] for stage in stages],
        "stem_channels": list(stem),
        "hidden_act": "relu",
        "use_learnable_affine_block": False,
        "stackwise_stage_filters": [list(stage) for stage in stages],
        "apply_downsample": [False, True, True, True],
        "use_lightweight_conv_block": [False, False, True, True],
    }


@dataclass(frozen=True)
class HubFamily:
    """What the presets of a family have in common.

    Attributes:
        backbone: The class in `keras_hub.models`; of CLIP and SigLIP, the vision encoder.
        whole: The class that the preset holds, where that is more than the backbone.
        configure: From the variant and the patch (of Swin: window) size to the backbone's arguments.
        scaling: What the weights expect.
        regularization: What it was trained with.
        licence: Of the weights.
        origin: Who trained them.
        any_size: Whether the weights do not depend on the size of the pictures; otherwise learned positions are interpolated.
        step: The size of the pictures must be a multiple of this; 0 for the patch size.
        smallest: The smallest picture that it takes, in pixels.
        blocks: See `cut_into_blocks`; None where `hub_blocks` puts them together.
        litert: See `Facts.litert`.
    """

    backbone: str
    configure: Callable[[str, int], dict[str, Any]]
    scaling: Scaling
    regularization: str
    licence: str
    origin: str
    whole: str = ""
    any_size: bool = False
    step: int = 0
    smallest: int = 32
    blocks: str | None = None
    litert: str = ""


_VIT = HubFamily(
    "ViTBackbone",
    _vit,
    CENTRED,
    "weight decay 0.03 to 0.1, dropout 0.1; label smoothing not stated",
    "Apache-2.0 (Google)",
    "Google, 2020; KerasHub preset",
)
_SIGLIP = HubFamily(
    "SigLIPVisionEncoder",
    _transformer,
    CENTRED,
    "weight decay 1e-4; other not stated",
    "Apache-2.0 (Google)",
    "Google, 2023 and 2025; KerasHub preset",
    whole="SigLIPBackbone",
)

HUB_FAMILIES: Mapping[str, HubFamily] = {
    "vit": _VIT,
    "deit": replace(
        _VIT,
        backbone="DeiTBackbone",
        configure=_transformer,
        scaling=IMAGENET,
        regularization="weight decay 0.05, label smoothing 0.1, stochastic depth 0.1, mixup, CutMix, RandAugment, distillation",
        licence="Apache-2.0 (Facebook)",
        origin="Facebook AI, 2020; KerasHub preset",
    ),
    "swin": HubFamily(
        "SwinTransformerBackbone",
        _swin,
        IMAGENET,
        "weight decay 0.05, label smoothing 0.1, stochastic depth 0.2 to 0.5, mixup, CutMix, RandAugment",
        "MIT (Microsoft)",
        "Microsoft, 2021; KerasHub preset",
        any_size=True,
        step=32,
        smallest=224,
        litert="Roll",
    ),
    "mit": HubFamily(
        "MiTBackbone",
        _mit,
        IMAGENET,
        "weight decay 0.01, stochastic depth 0.1; label smoothing not stated",
        "NVIDIA Source Code License: not for commercial use",
        "NVIDIA, 2021; KerasHub preset",
        any_size=True,
        step=32,
        smallest=64,
    ),
    "cspnet": HubFamily(
        "CSPNetBackbone",
        _csp,
        IMAGENET,
        "RandAugment; weight decay, label smoothing not stated",
        "Apache-2.0 (timm)",
        "timm, 2021; KerasHub preset",
        any_size=True,
        step=32,
        blocks=r"(stage_\d+)",
    ),
    "hgnet_v2": HubFamily(
        "HGNetV2Backbone",
        _hgnet,
        IMAGENET,
        "distillation (SSLD); weight decay, label smoothing not stated",
        "Apache-2.0 (PaddlePaddle)",
        "Baidu, 2023; KerasHub preset",
        any_size=True,
        step=32,
    ),
    "dino_v2": HubFamily(
        "DINOV2Backbone",
        _dino_v2,
        IMAGENET,
        "weight decay 0.04 to 0.2, stochastic depth 0.3 to 0.4, no labels; the small ones distilled from the giant one",
        "Apache-2.0 (Meta)",
        "Meta, 2023; KerasHub preset",
        any_size=True,
    ),
    "dino_v3": HubFamily(
        "DINOV3Backbone",
        _dino_v3,
        IMAGENET,
        "weight decay 0.04, no labels; the small ones distilled from one of 7 billion weights",
        "DINOv3 License (Meta): read it before use",
        "Meta, 2025; KerasHub preset",
        any_size=True,
    ),
    "siglip": _SIGLIP,
    "clip": replace(
        _SIGLIP,
        backbone="CLIPVisionEncoder",
        scaling=_CLIP_SCALING,
        regularization="weight decay 0.2; no dropout stated",
        licence="MIT (OpenAI)",
        origin="OpenAI, 2021; KerasHub preset",
        whole="CLIPBackbone",
    ),
    "open_clip": replace(
        _SIGLIP,
        backbone="CLIPVisionEncoder",
        configure=_open_clip,
        scaling=_CLIP_SCALING,
        regularization="weight decay 0.2; no dropout stated",
        licence="MIT (LAION)",
        origin="LAION, 2022; KerasHub preset",
        whole="CLIPBackbone",
    ),
}
