"""The nets in torch: :func:`create_net` builds one from a spec, a name or a token."""

from __future__ import annotations

from typing import Any

import torch

from explorer.errors import SpecError
from explorer.nets.init import initialise
from explorer.nets.net import Net, Unit
from explorer.nets.weights import load_pretrained, load_weights, save_weights, take_memory
from explorer.structure import names
from explorer.structure.blueprint import blueprint
from explorer.structure.library_nets import is_external
from explorer.structure.specs import MAX_PARAMETERS, NetBase, NetSpec, fit, parse_net

__all__ = ["Net", "Unit", "create_net", "load_pretrained", "load_weights", "save_weights"]


def create_net(
    name_or_spec: str | NetSpec | dict[str, Any],
    *,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    seed: int | None = None,
) -> Net:
    """A freshly initialised net in training mode.

    Args:
        name_or_spec: A spec, or a name or token such as ``resnet_v2_56;width=8``; or another
            library's net, such as ``torchvision_resnet50``, which
            :func:`explorer.nets.adapters.load_external` also loads with trained weights.
        input_shape: (channels, height, width), where it differs from the spec's.
        classes: Number of answers, where it differs from the spec's.
        seed: Decides the initial weights; None draws it from torch's global generator.

    Raises:
        SpecError: The name, shape or size is not possible; the sentence says what is.
    """
    if isinstance(name_or_spec, str) and is_external(name_or_spec):
        from explorer.nets.adapters import load_external  # builds on this module

        return load_external(name_or_spec, input_shape=input_shape, classes=classes, seed=seed)
    if isinstance(name_or_spec, dict):
        spec = parse_net(name_or_spec)
    elif isinstance(name_or_spec, NetBase):
        spec = name_or_spec
    elif isinstance(name_or_spec, str):
        spec = names.spec_of(name_or_spec)
    else:
        raise SpecError(
            f"A net is made from a name, a token or a spec, not from {name_or_spec!r}; "
            "`skipscope list` prints the names."
        )
    if input_shape is not None or classes is not None:
        shape = spec.input_shape if input_shape is None else input_shape
        spec = fit(spec, shape, spec.classes if classes is None else classes)
    plan = blueprint(spec)
    if plan.parameters > MAX_PARAMETERS:
        raise SpecError(
            f"This net would have {plan.parameters / 1e9:,.1f} billion parameters, and "
            f"{MAX_PARAMETERS / 1e9:g} billion are the limit: choose less width or depth."
        )
    if seed is None:
        seed = int(torch.randint(2**31 - 1, ()))
    # On the meta device torch's own initialisation neither costs time nor draws random numbers.
    with torch.device("meta"):
        net = Net(plan)
    take_memory(net)
    initialise(net, seed)
    return net
