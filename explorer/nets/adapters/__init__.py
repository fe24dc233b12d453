"""Nets of other libraries behind the interface of ours: :func:`adapt`, :func:`load_external`.

torchvision's ResNets, Wide ResNets, ResNeXts, DenseNets, VGGs, ViTs and ConvNeXts, timm's ResNets,
ResNetV2s, ViTs and ConvNeXts, and nets that a person built, taken apart into stem, units and head,
so that every instrument works on them.
"""

from __future__ import annotations

from explorer.nets.adapters.load import external_blueprint, load_external
from explorer.nets.adapters.net import AdaptedNet, adapt

__all__ = ["AdaptedNet", "adapt", "external_blueprint", "load_external"]
