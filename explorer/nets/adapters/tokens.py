"""The small steps of vision transformers and ConvNeXts that their libraries write inside forward.

A state of tokens is (N, tokens, width). Each step is a module, so that it can be looked at; those
with values share the library's parameter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Tokens(nn.Module):
    """(N, C, H, W) → (N, H·W, C): every pixel of the maps is a token."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class Prepended(nn.Module):
    """Learnt tokens, (1, k, C) each, before the others: the class token, registers."""

    def __init__(self, *values: nn.Parameter) -> None:
        super().__init__()
        self.values = nn.ParameterList(values)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((*(value.expand(len(x), -1, -1) for value in self.values), x), dim=1)


class Positions(nn.Module):
    """Adds what was learnt of every place: (1, tokens, C)."""

    def __init__(self, value: nn.Parameter) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


class Attend(nn.Module):
    """softmax(q·kᵀ/√d)·v of every head: (N, T, 3·C), as q, k, v side by side, → (N, T, C)."""

    def __init__(self, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        parts = x.reshape(n, tokens, 3, self.heads, width // (3 * self.heads))
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (N, heads, T, d) each
        drop = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=drop)
        return y.transpose(1, 2).reshape(n, tokens, width // 3)

    def extra_repr(self) -> str:
        return f"{self.heads}"


class ChannelScale(nn.Module):
    """Each map times a learnt factor, (C,) or (C, 1, 1): (N, C, H, W)."""

    def __init__(self, value: nn.Parameter) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value.reshape(1, -1, 1, 1)


class Axes(nn.Module):
    """The axes in another order: maps (N, C, H, W) with their channels last, or back."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


class FirstToken(nn.Module):
    """(N, T, C) → (N, C): the class token, by which the net answers."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class MeanToken(nn.Module):
    """(N, T, C) → (N, C): the mean of all tokens but the first ``skipped``."""

    def __init__(self, skipped: int) -> None:
        super().__init__()
        self.skipped = skipped

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.skipped :].mean(1)
