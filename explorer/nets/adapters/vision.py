"""Vision transformers and ConvNeXts of torchvision and timm, taken apart.

An encoder block of a transformer is two residual units, x + attention(x) and x + MLP(x); a block
of a ConvNeXt is one. Both normalise at the beginning of the branch and add to an untouched
shortcut, as ResNet v2 does. A layer between stages is a transition, which ends the stage before it.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from explorer.errors import NotApplicableError
from explorer.nets.adapters.pieces import POSSIBLE, Parts, Piece, chain, is_a, timm_pool
from explorer.nets.adapters.tokens import (
    Attend,
    Axes,
    ChannelScale,
    FirstToken,
    MeanToken,
    Positions,
    Prepended,
    Tokens,
)
from explorer.nets.residual import ResidualUnit

MaybeLayers = list[tuple[str, nn.Module | None]]


def _refused(what: str) -> NotApplicableError:
    return NotApplicableError(
        f"{what}, which the instruments do not know; possible are {POSSIBLE}."
    )


def _adds(name: str, stage: int, layers: MaybeLayers) -> Piece:
    return Piece(name, "residual", stage, ResidualUnit(nn.Identity(), chain(layers, name)))


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    """A linear map with parameters that are there already."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = weight
    if bias is not None:
        made.bias = bias
    return made


# -------------------------------------------------------------------------------------- ViTs


def torchvision_vit(net: Any) -> Parts:
    encoder = net.encoder
    pieces: list[Piece] = []
    for inner, block in encoder.layers.named_children():
        path = f"encoder.layers.{inner}"
        attention = block.self_attention
        if attention.in_proj_weight is None or not attention.batch_first:
            raise _refused(f"{path} has an attention of another kind")
        joint = _linear(attention.in_proj_weight, attention.in_proj_bias)
        end = _linear(attention.out_proj.weight, attention.out_proj.bias)
        attends: MaybeLayers = [
            ("ln_1", block.ln_1),
            ("in_proj", joint),
            ("attend", Attend(attention.num_heads, attention.dropout)),
            ("out_proj", end),
            ("dropout", _if_drops(block.dropout)),
        ]
        pieces.append(_adds(f"{path}.self_attention", 0, attends))
        pieces.append(_adds(f"{path}.mlp", 0, [("ln_2", block.ln_2), ("mlp", block.mlp)]))
    stem: MaybeLayers = [
        ("conv_proj", net.conv_proj),
        ("tokens", Tokens()),
        ("class_token", Prepended(net.class_token)),
        ("pos_embedding", Positions(encoder.pos_embedding)),
        ("dropout", _if_drops(encoder.dropout)),
    ]
    head: MaybeLayers = [("ln", encoder.ln), ("token", FirstToken()), ("heads", net.heads)]
    ends = chain(stem, "The stem"), chain(head, "The head")
    return Parts("residual", ends[0], tuple(pieces), ends[1], ("encoder",))


def timm_vit(net: Any) -> Parts:
    pieces: list[Piece] = []
    for i, block in enumerate(net.blocks):
        path = f"blocks.{i}"
        plain = type(block).__name__ == "Block" and is_a(block, f"{_TIMM_VIT}.Block")
        if not plain:
            raise _refused(f"{path} is a {type(block).__name__}")
        attends: MaybeLayers = [
            ("norm1", block.norm1),
            *_timm_attention(block.attn, path),
            ("ls1", block.ls1),
            ("drop_path1", block.drop_path1),
        ]
        thinks: MaybeLayers = [
            ("norm2", block.norm2),
            *_timm_mlp(block.mlp, path),
            ("ls2", block.ls2),
            ("drop_path2", block.drop_path2),
        ]
        pieces += [_adds(f"{path}.attn", 0, attends), _adds(f"{path}.mlp", 0, thinks)]
    ends = chain(_timm_vit_stem(net), "The stem"), chain(_timm_vit_head(net), "The head")
    return Parts("residual", ends[0], tuple(pieces), ends[1], ("blocks",))


_TIMM_VIT = "timm.models.vision_transformer"


def _timm_vit_stem(net: Any) -> MaybeLayers:
    embed = net.patch_embed
    if not is_a(embed, "timm.layers.patch_embed.PatchEmbed"):
        raise _refused(f"The stem is a {type(embed).__name__} of another kind")
    learnt = [value for value in (net.cls_token, net.reg_token) if value is not None]
    prefix = ("prefix", Prepended(*learnt) if learnt else None)
    places = ("pos_embed", None if net.pos_embed is None else Positions(net.pos_embed))
    return [
        ("proj", embed.proj),
        ("tokens", Tokens()),
        ("norm", embed.norm),
        *([places, prefix] if net.no_embed_class else [prefix, places]),
        ("pos_drop", _if_drops(net.pos_drop)),
        ("patch_drop", net.patch_drop),
        ("norm_pre", net.norm_pre),
    ]


def _timm_vit_head(net: Any) -> MaybeLayers:
    if net.attn_pool is not None or net.global_pool not in ("token", "avg"):
        how = "attention" if net.attn_pool is not None else repr(net.global_pool)
        raise _refused(f"The head pools the tokens by {how}")
    skipped = 0 if net.pool_include_prefix else net.num_prefix_tokens
    pool = FirstToken() if net.global_pool == "token" else MeanToken(skipped)
    return [
        ("norm", net.norm),
        ("token", pool),
        ("fc_norm", net.fc_norm),
        ("head_drop", _if_drops(net.head_drop)),
        ("head", net.head),
    ]


def _timm_attention(attention: Any, where: str) -> MaybeLayers:
    more = [getattr(attention, name, None) for name in ("q_norm", "k_norm", "norm")]
    usual = type(attention).__name__ == "Attention" and getattr(attention, "gate", None) is None
    if not usual or any(layer is not None and type(layer) is not nn.Identity for layer in more):
        raise _refused(f"{where} has an attention of another kind")
    return [
        ("qkv", attention.qkv),
        ("attend", Attend(attention.num_heads, attention.attn_drop.p)),
        ("proj", attention.proj),
        ("proj_drop", _if_drops(attention.proj_drop)),
    ]


_TIMM_MLPS = {
    "Mlp": ("fc1", "act", "drop1", "norm", "fc2", "drop2"),
    "GlobalResponseNormMlp": ("fc1", "act", "drop1", "grn", "fc2", "drop2"),
    "ConvMlp": ("fc1", "norm", "act", "drop", "fc2"),
}


def _timm_mlp(mlp: Any, where: str) -> MaybeLayers:
    kind = type(mlp).__name__
    if kind not in _TIMM_MLPS:
        raise _refused(f"{where} has layers of the kind {kind}")
    return [(name, _if_drops(getattr(mlp, name))) for name in _TIMM_MLPS[kind]]


def _if_drops(layer: nn.Module) -> nn.Module | None:
    """The layer, but for a dropout that never drops."""
    return None if isinstance(layer, nn.Dropout) and layer.p == 0 else layer


# --------------------------------------------------------------------------------- ConvNeXts


def torchvision_convnext(net: Any) -> Parts:
    pieces: list[Piece] = []
    (_, stem), *groups = net.features.named_children()
    stage = 0
    for name, group in groups:
        path = f"features.{name}"
        if not any(is_a(block, "torchvision.models.convnext.CNBlock") for block in group):
            pieces.append(_transition(path, stage, group))
            stage += 1
            continue
        for inner, block in group.named_children():
            layers: MaybeLayers = [
                *block.block.named_children(),
                ("layer_scale", ChannelScale(block.layer_scale)),
                ("stochastic_depth", block.stochastic_depth),
            ]
            pieces.append(_adds(f"{path}.{inner}", stage, layers))
    head: MaybeLayers = [("avgpool", net.avgpool), ("classifier", net.classifier)]
    ends = chain(stem.named_children(), "The stem"), chain(head, "The head")
    names = tuple(f"stage {i + 1}" for i in range(stage + 1))
    return Parts("residual", ends[0], tuple(pieces), ends[1], names)


def timm_convnext(net: Any) -> Parts:
    pieces: list[Piece] = []
    for i, stage in enumerate(net.stages):
        if type(stage.downsample) is not nn.Identity:
            pieces.append(_transition(f"stages.{i}.downsample", max(i - 1, 0), stage.downsample))
        for j, block in enumerate(stage.blocks):
            path = f"stages.{i}.blocks.{j}"
            if type(block.shortcut) is not nn.Identity:
                raise _refused(f"{path} has a shortcut with layers of its own")
            pieces.append(_adds(path, i, _timm_convnext_block(block, path)))
    ending = net.head
    first = [("norm", ending.norm)] if hasattr(ending, "norm") else []
    head: MaybeLayers = [
        ("norm_pre", net.norm_pre),
        *timm_pool(ending.global_pool),
        *first,
        ("flatten", nn.Flatten()),
        ("pre_logits", getattr(ending, "pre_logits", None)),
        ("drop", _if_drops(ending.drop)),
        ("fc", ending.fc),
    ]
    ends = chain(net.stem.named_children(), "The stem"), chain(head, "The head")
    names = tuple(f"stages.{i}" for i in range(len(net.stages)))
    return Parts("residual", ends[0], tuple(pieces), ends[1], names)


def _timm_convnext_block(block: Any, where: str) -> MaybeLayers:
    inner: MaybeLayers = [("norm", block.norm), *_timm_mlp(block.mlp, where)]
    if not block.use_conv_mlp:
        inner = [("last", Axes(0, 2, 3, 1)), *inner, ("first", Axes(0, 3, 1, 2))]
    return [
        ("conv_dw", block.conv_dw),
        *inner,
        ("gamma", None if block.gamma is None else ChannelScale(block.gamma)),
        ("drop_path", block.drop_path),
    ]


def _transition(name: str, stage: int, layers: nn.Module) -> Piece:
    return Piece(name, "transition", stage, chain(layers.named_children(), name))
