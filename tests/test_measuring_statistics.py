"""By which statistics batch norm normalises while a net is measured: the rule, in every instrument.

What is expected comes from nets whose batch norms were given the batch's statistics by hand, and
from values measured apart.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from asking import Lane, asked
from asking import OnPage as Instrument
from asking import page_of as instrument
from asking import pages_of_all as instruments
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.measuring import walk
from explorer.measuring.select import some_images
from explorer.measuring.statistics import (
    FEWEST,
    REFERENCE,
    batch_statistics,
    held_at,
    measuring,
    statistics_of,
)
from explorer.nets import Net, create_net
from explorer.pages.instruments.controls import Present
from explorer.pages.instruments.feed import conditions
from explorer.pages.instruments.on_page import Asking
from explorer.results import statistics_said
from explorer.runs.serve.requests import parse_request
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, WarmNet
from explorer.structure.path_combinatorics import log_counts
from explorer.structure.specs import DataSpec
from explorer.training.evaluation import evaluate

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(token: str, seed: int = 7) -> Net:
    return create_net(token, input_shape=(1, 8, 8), classes=10, seed=seed)


@torch.no_grad()
def by_hand(net: Net, x: Tensor) -> Net:
    """A copy whose batch norms remember the mean and variance of what ``x``, one batch, brings."""
    twin = copy.deepcopy(net).eval()

    def remember(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, NORMS)
        wide = inputs[0].double()
        dims = [i for i in range(wide.dim()) if i != 1]
        norm.running_mean = wide.mean(dims).float()
        norm.running_var = wide.var(dims, correction=0).float()

    hooks = [
        module.register_forward_pre_hook(remember)
        for module in twin.modules()
        if isinstance(module, NORMS)
    ]
    twin(x)
    for hook in hooks:
        hook.remove()
    return twin


def values(net: Net) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


# ------------------------------------------------------------------------------------ the rule


@pytest.mark.parametrize(
    "token", ["plain_8", "resnet_v1_8;shortcut=B", "resnet_v2_8", "highway_7", "densenet_10_k4"]
)
def test_an_untrained_net_answers_as_in_one_batch(
    token: str, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = a_net(token).train()
    before, modes = values(net), [module.training for module in net.modules()]
    images = digits.test_images[:100]
    x = digits.normalise(images)
    with torch.no_grad(), batch_statistics(net):
        wanted = net(x)
    with torch.no_grad(), measuring(net, digits, images) as used:
        assert used == "batch"
        np.testing.assert_allclose(net(x), wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(net(x[:1]), wanted[:1], rtol=1e-4, atol=1e-5)  # its own
    monkeypatch.setattr(walk, "_BYTES", 6 * 16 * 64 * 4 * 9)  # chunks of a few images
    with torch.no_grad(), measuring(net, digits, images):
        np.testing.assert_allclose(net(x), wanted, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert modes == [module.training for module in net.modules()]


def test_which_statistics(digits: Dataset) -> None:
    assert statistics_of(a_net("resnet_v2_8;batch_norm=false")) is None
    net = a_net("resnet_v2_8")
    assert statistics_of(net) == "batch"
    with batch_statistics(net), torch.no_grad():
        net(digits.normalise(digits.train_images[:50]))
    assert statistics_of(net) == "batch", "a measurement is no training"
    with torch.no_grad():
        net.train()(digits.normalise(digits.train_images[:50]))
    before = values(net)
    with measuring(net, digits, digits.test_images[:50]) as used:
        assert used == "running"
        assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_few_images_are_no_batch_of_their_own(digits: Dataset) -> None:
    net = a_net("resnet_v2_8")
    reference, _ = some_images(net, digits, REFERENCE, train=True)
    twin = by_hand(net, digits.normalise(reference))
    for n in (1, FEWEST - 1):
        x = digits.normalise(digits.test_images[:n])
        with torch.no_grad(), measuring(net, digits, digits.test_images[:n]):
            np.testing.assert_allclose(net(x), twin(x), rtol=1e-4, atol=1e-5)


def test_a_failure_leaves_the_net_as_it_was(digits: Dataset) -> None:
    net = a_net("resnet_v2_8")
    before = values(net)
    with pytest.raises(RuntimeError), held_at(net, [torch.zeros(20, 3, 8, 8)]):
        pass
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert not any(module._forward_pre_hooks for module in net.modules())


# ------------------------------------------------------------------------- values measured apart


def test_at_initialisation_the_paths_of_nine_units_do_not_fade(digits: Dataset) -> None:
    """Of seed 7, 64 test images; with batch norms that do nothing it would be × 0.81 a branch."""
    found = asked("paths", a_net("resnet_v2_20"), digits, n_images=64, draws=4, seed=0)
    assert found.statistics == "batch"
    wanted = [0.085, 0.269, 0.552, 0.834, 1.02, 0.985, 0.805, 0.527, 0.263, 0.085]
    np.testing.assert_allclose(found.coherent.value, wanted, rtol=0.01)
    assert found.sampled is not None
    one = found.sampled.value / np.exp(log_counts(found.two_way))
    assert (one[-1] / one[0]) ** (1 / found.two_way) == pytest.approx(1.0, abs=0.005)
    assert found.ratio(found.sampled) == pytest.approx(1.0, abs=0.03)
    assert found.mismatch is not None
    assert found.mismatch < 1e-4


def test_deeper_nets_paths_do_fade_at_initialisation(digits: Dataset) -> None:
    """27 units: each branch's share of the growing sum is smaller, × 0.61 to 0.63
    (seeds 7, 0, 1).
    """
    found = asked("paths", a_net("resnet_v2_56"), digits, n_images=16, draws=1, seed=0)
    assert found.sampled is not None
    assert found.ratio(found.sampled) == pytest.approx(0.62, abs=0.05)


def test_sensitivity_of_the_last_unit(digits: Dataset) -> None:
    """2.50 with batch norms that do nothing."""
    found = asked("sensitivity", a_net("resnet_v2_56"), digits, n_images=len(digits.test_labels))
    assert found.statistics == "batch"
    assert found.amplification[-1, 0] == pytest.approx(4.55, abs=0.02)


def test_the_loss_before_training_is_that_of_a_batch(digits: Dataset) -> None:
    net = a_net("resnet_v1_110")
    loss, error, used = evaluate(net, digits, digits.test_images, digits.test_labels)
    assert used == "batch"
    assert 2 < loss < 20
    assert error > 0.5
    with torch.no_grad(), batch_statistics(net):
        whole = F.cross_entropy(net(digits.normalise(digits.test_images)), digits.test_labels)
    assert loss == pytest.approx(whole.item(), rel=1e-3)
    idle = net.eval()(digits.normalise(digits.test_images[:20]))
    assert F.cross_entropy(idle, digits.test_labels[:20]) > 1e5, "what it would be without them"


# ------------------------------------------------------------------------------ every instrument


def of_statistics(one: Instrument) -> bool:
    """Whether it looks at images with a net's own weights, so that statistics matter."""
    result = one.declared.result
    decision = get_type_hints(result).get("decision")
    said = {field.name for kind in (result, decision) if kind for field in fields(kind)}
    return one.declared.ask.subject in ("net", "image") and "statistics" in said


OF_IMAGES = [key for key, one in instruments().items() if of_statistics(one)]
NETS = {  # where the first suggestion has no batch norm, or is slow
    "gates": "highway_10;width=4",
    "gate_maps": "highway_10;width=4",
    "gate_image": "highway_10;width=4",
    "gate_lesions": "highway_10;width=4",
}


def options_of(one: Instrument, net: Net, digits: Dataset) -> dict[str, Any]:
    present = Present((net.blueprint,), digits.info.classes)
    return {"narrow": False, **{o.name: o.usual(present) for o in one.options}}


def answer(one: Instrument, net: Net, digits: Dataset) -> dict[str, Any]:
    """What the instrument's job gives for this net with usual options, on 40 images."""
    options = options_of(one, net, digits)
    options |= {"resolution": 9} if one.key == "surface" else {}
    shelf = SimpleNamespace(
        device=torch.device("cpu"),
        net=lambda source, level: WarmNet(net.eval(), None, None, None),
        dataset=lambda value, tell: digits,
    )
    source = {"source": "fresh", "spec": net.spec.model_dump(mode="json"), "seed": 7}
    asking = Asking(0, source, DataSpec(name="digits"), 40, 0, options, net.blueprint)
    context = Context(shelf, 0, lambda: False, lambda *_: None, lambda *_: None)  # type: ignore[arg-type]
    kind = one.key
    payload = parse_request(kind, one.payload(asking)).model_dump(mode="json")
    return run_job(context, kind, json.loads(json.dumps(payload)))


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        skipped = ("picture", "weights", "mismatch", "error", "step", "flips")
        return [x for k, v in value.items() if k not in skipped for x in numbers(v)]
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in numbers(v)]
    return [float(value)] if isinstance(value, float) else []


@pytest.mark.parametrize("key", OF_IMAGES)
def test_every_instrument_keeps_the_rule_and_says_so(key: str, digits: Dataset) -> None:
    one, net = instrument(key), a_net(NETS.get(key, "resnet_v2_14;width=4"))
    found = answer(one, net, digits)
    said = found.get("decision", found)
    assert said["statistics"] == "batch"
    lane = Lane(0, "net", net.blueprint, digits.info, found)
    options = options_of(one, net, digits)
    shown = SimpleNamespace(
        subjects=[SimpleNamespace(origin="untrained", stamp=None, info=digits.info)],
        instrument=one.one,
        options=options,
    )
    (words,) = conditions(shown, [one.of(lane)])  # type: ignore[arg-type]
    n = said.get("n_images")
    assert statistics_said("batch", n, step=one.step) in words
    if one.step:
        return  # a training step is by its batch in any net
    train = key == "surface"
    single = n is None
    images, _ = some_images(net, digits, REFERENCE if single else 40, train=train or single)
    twin = by_hand(net, digits.normalise(images))
    expected = answer(one, twin, digits)
    assert expected.get("decision", expected)["statistics"] == "running"
    got, wanted = np.asarray(numbers(found)), np.asarray(numbers(expected))
    assert len(got) > 0
    scale = np.nanmax(np.abs(wanted[np.isfinite(wanted)]))
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=1e-4 * scale)
    idle = copy.deepcopy(net).eval()
    for module in idle.modules():
        if isinstance(module, NORMS) and module.running_mean is not None:
            module.running_mean += 1e-30  # has seen a batch, and remembers what it began with
    before = np.asarray(numbers(answer(one, idle, digits)))
    assert key in ("surface", *LESIONS) or not np.allclose(before, wanted, rtol=0.02), "it matters"


LESIONS = ("by_hand", *(key for key in OF_IMAGES if key.endswith("lesions")))


@pytest.mark.parametrize("key", OF_IMAGES)
def test_no_instrument_speaks_of_batch_norm_where_there_is_none(key: str, digits: Dataset) -> None:
    one = instrument(key)
    net = a_net(NETS.get(key, "resnet_v2_14;width=4") + ";batch_norm=false")
    found = answer(one, net, digits)
    assert found.get("decision", found)["statistics"] is None
    lane = Lane(0, "net", net.blueprint, digits.info, found)
    shown = SimpleNamespace(
        subjects=[SimpleNamespace(origin="untrained", stamp=None, info=digits.info)],
        instrument=one.one,
        options=options_of(one, net, digits),
    )
    (words,) = conditions(shown, [one.of(lane)])  # type: ignore[arg-type]
    assert "batch norm by" not in words


def test_a_surface_of_other_statistics_is_not_continued(digits: Dataset) -> None:
    from dataclasses import replace

    from explorer.errors import NotApplicableError

    net = a_net("resnet_v2_14;width=4")
    whole = asked("surface", net, digits, resolution=3, n_images=32)
    assert asked("surface", net, digits, resolution=3, n_images=32, known=whole).complete
    with pytest.raises(NotApplicableError, match="start a new one"):
        asked(
            "surface", net, digits, resolution=3, n_images=32, known=replace(whole, statistics=None)
        )
