"""The memory of a training step, told from the blueprint, against what autograd really keeps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from explorer.nets import Net, create_net
from explorer.pages.shared.words import size_text
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import RECIPES, fit
from explorer.structure.training_memory import kept_bytes, training_memory


def really_kept(net: Net, images: int = 3) -> float:
    """Bytes an image that autograd keeps, each storage once, parameters aside."""
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    net.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        F.cross_entropy(net(torch.randn(images, 3, 16, 16)), torch.zeros(images).long())
    return sum(storage.nbytes() for storage in kept.values()) / images


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("plain_20", 0.02),
        ("resnet_v1_20;shortcut=B", 0.02),
        ("resnet_v2_20", 0.02),
        ("resnet_v2_20;batch_norm=false", 0.02),
        ("resnet_v2_20;shortcut=exclusive_gating", 0.02),
        ("plain_20;padding=circular;activation=sigmoid", 0.02),
        ("resnet_v2_29;unit=bottleneck", 0.02),
        ("highway_25", 0.02),
        ("fc_highway_20", 0.02),
        ("densenet_22_k12", 0.02),
        ("densenet_bc_22_k12", 0.02),
        ("resnet_v2_20;shortcut=shortcut_only_gating", 0.15),  # counted as if F were gated too
        ("reference_dense_25", 0.16),
    ],
)
def test_what_is_kept_is_told_without_building_the_net(name: str, tolerance: float) -> None:
    spec = fit(spec_of(name), (3, 16, 16), 10)
    told = kept_bytes(blueprint(spec))
    assert told == pytest.approx(really_kept(create_net(spec, seed=0)), rel=tolerance)


def test_weights_gradients_and_the_optimisers_values() -> None:
    plan = blueprint(spec_of("resnet_v1_20"))
    step = training_memory(plan, RECIPES["he15"])
    assert step.weights == plan.parameters * 4 * 3  # with momentum
    assert step.kept == kept_bytes(plan) * RECIPES["he15"].batch_size
    assert step.total == step.weights + step.kept
    assert training_memory(plan, RECIPES["adam_25"]).weights == plan.parameters * 4 * 4


@pytest.mark.parametrize(
    ("size", "text"),
    [(840_000, "840 kB"), (1_500_000, "1.5 MB"), (97_400_000, "97 MB"), (1_230_000_000, "1.2 GB")],
)
def test_sizes_in_words(size: int, text: str) -> None:
    assert size_text(size) == text
