"""Why the gradient vanishes: what is derived, what is measured, and what is said about it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from asking import Lane as Shown
from asking import asked, page_of
from torch import nn

import explorer
from explorer.cli import main
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, SpecError
from explorer.instruments import instrument
from explorer.instruments.contract import Lane, Style
from explorer.instruments.vanishing.measure import CAUSES
from explorer.instruments.vanishing.result import PANELS, VanishingCauses
from explorer.measuring.gradients import layer_gradients
from explorer.nets import create_net
from explorer.structure.mean_field import (
    doubling,
    gradient_factor,
    moments,
    padding_factor,
    shares_on_the_map,
)
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec, PlainSpec, ResidualSpec, fit

BARE = (False, False)
NORMED = (False, True)
BOTH = (True, True)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec())


@pytest.fixture(scope="module")
def connected(digits: Dataset) -> VanishingCauses:
    """Fully connected nets of the default width: a few seconds."""
    found: VanishingCauses = asked(
        "vanishing", data=digits, layers="fc", depths=(8, 32), seeds=(0, 1), n_images=64
    )
    return found


def on_digits(token: str) -> Any:
    return fit(spec_of(token), (1, 8, 8), 10)


# ------------------------------------------------------------------------------------ derived


def test_moments_are_those_of_normal_numbers() -> None:
    z = torch.randn(2_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z.mul_(math.sqrt(1.7)).requires_grad_()
    for name, act in (("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("sigmoid", nn.Sigmoid())):
        y = act(z)
        (slope,) = torch.autograd.grad(y.sum(), z)
        wanted = [v.mean().item() for v in (y.detach(), y.detach().square(), slope.square())]
        assert moments(name, 1.7) == pytest.approx(wanted, rel=3e-3, abs=2e-3)  # type: ignore[arg-type]


def test_the_share_on_the_map_is_counted_by_a_convolution_of_ones() -> None:
    for token in ("plain_20", "plain_20;unit=bottleneck", "imagenet_plain_18", "reference_plain_5"):
        spec = on_digits(token)
        net, shares = create_net(spec, seed=0), shares_on_the_map(spec)
        pad: nn.Module = nn.Identity()
        for layer in net.blueprint.layers:
            if layer.kind == "pad":
                pad, given = net.get_submodule(layer.name), layer.input_shape
            if layer.kind != "conv":
                continue
            conv = net.get_submodule(layer.name)
            assert isinstance(conv, nn.Conv2d)
            shape = layer.input_shape if isinstance(pad, nn.Identity) else given
            ones, kernel = torch.ones(1, 1, *shape[1:]), torch.ones(1, 1, *conv.kernel_size)
            seen = torch.nn.functional.conv2d(pad(ones), kernel, None, conv.stride, conv.padding)
            assert seen.shape[2:] == layer.output_shape[1:]
            wanted = float(seen.mean()) / math.prod(conv.kernel_size)
            assert shares.pop(layer.name) == pytest.approx(wanted), (token, layer.name)
            pad = nn.Identity()
        assert not shares
    assert shares_on_the_map(on_digits("plain_8"))["stem.conv"] == pytest.approx((22 / 24) ** 2)
    assert set(shares_on_the_map(on_digits("plain_8;padding=circular")).values()) == {1.0}


def test_what_is_derived_of_plain_nets() -> None:
    def a_layer(token: str) -> float:
        spec = on_digits(token)
        assert isinstance(spec, PlainSpec)
        return gradient_factor(spec) ** (1 / (spec.depth - 1))

    assert a_layer("fc_plain_50") == pytest.approx(1)
    assert a_layer("fc_plain_50;init_gain=0.8") == pytest.approx(0.8)
    normed = "fc_plain_50;batch_norm=true"
    assert a_layer(f"{normed};init_gain=0.8") == pytest.approx(a_layer(normed))
    assert a_layer(normed) == pytest.approx(math.sqrt(math.pi / (math.pi - 1)))  # Yang et al.
    assert 0.31 < a_layer("fc_plain_50;activation=sigmoid") < 0.32
    assert padding_factor(on_digits("plain_56")) == pytest.approx(7.3e-6, rel=0.01)
    assert padding_factor(fit(spec_of("plain_56"), (3, 32, 32), 10)) == pytest.approx(
        0.067, rel=0.1
    )
    assert padding_factor(on_digits("plain_56;padding=circular")) == 1


# ----------------------------------------------------------------------------------- measured


@pytest.mark.parametrize("panel", [BARE, NORMED])
def test_what_is_measured_is_what_was_derived(
    connected: VanishingCauses, panel: tuple[bool, bool]
) -> None:
    for cause in CAUSES["fc"]:
        measured = connected.factor_a_layer(panel, cause, "outputs")[0]
        assert measured == pytest.approx(connected.factor_derived(panel, cause), rel=0.04), cause


def test_sigmoids_and_small_weights_vanish_and_shortcuts_or_batch_norm_prevent_it(
    connected: VanishingCauses,
) -> None:
    for cause, low, high in (("sigmoid", 0.30, 0.33), ("scale", 0.77, 0.82)):
        for factor in connected.factor_a_layer(BARE, cause):  # type: ignore[arg-type]
            assert low < factor < high
    assert 0.96 < connected.factor_a_layer(BARE, "none")[0] < 1.04
    assert 1.03 < connected.factor_a_layer(BARE, "tanh")[0] < 1.08  # 2 is too much for tanh
    for cause in CAUSES["fc"]:
        for panel in PANELS[1:]:
            assert connected.factor_a_layer(panel, cause)[1] > 0.98, (cause, panel)
        assert connected.factor_a_layer(BOTH, cause)[2] < 1.08


def test_zero_padding_not_depth_makes_it_vanish_on_digits(digits: Dataset) -> None:
    """First layer's gradient of plain_56 without batch norm, the same weights.

    Median of seeds 0 to 2, 64 images: zeros 3.0e-7, circular 5.2e-3, reflect in between or above.
    """
    middle: dict[str, float] = {}
    for padding in ("zeros", "circular"):
        token = on_digits(f"plain_56;batch_norm=false;padding={padding}")
        first = [
            layer_gradients(create_net(token, seed=seed), digits, n_images=64).parameter_rms[0]
            for seed in range(3)
        ]
        middle[padding] = float(np.median(first))
    assert 5e-8 < middle["zeros"] < 2e-6
    assert 1e-3 < middle["circular"] < 3e-2
    # 5.8e-5 of it; 7.3e-6 was derived, which is × 0.963 a layer beside it
    ratio = middle["zeros"] / middle["circular"]
    assert 1 < ratio / padding_factor(on_digits("plain_56")) < 30


def test_with_batch_norm_an_untrained_plain_nets_gradient_explodes_towards_the_input(
    digits: Dataset,
) -> None:
    """First three ÷ last three layers, plain_56 on digits, seeds 0 to 2: 4,800 to 7,300."""
    for seed in range(2):
        on = layer_gradients(create_net(on_digits("plain_56"), seed=seed), digits)
        off = layer_gradients(create_net(on_digits("plain_56;batch_norm=false"), seed=seed), digits)
        assert 1_500 < on.first_to_last() < 15_000
        assert 1.5 < off.first_to_last() < 60


def test_gradients_too_small_to_be_squared_in_single_precision_are_told(digits: Dataset) -> None:
    """Sigmoids, 56 layers: about 4e-30, whose square float32 does not have."""
    token = on_digits("plain_56;batch_norm=false;activation=sigmoid;padding=circular;width=4")
    found = layer_gradients(create_net(token, seed=0), digits, n_images=8)
    assert 1e-36 < found.parameter_rms[0] < 1e-22
    assert (found.output_rms > 0).all()


def test_a_residual_units_variance_doubles_only_where_nothing_is_lost_at_the_edges(
    digits: Dataset,
) -> None:
    for token, least, most in (
        ("resnet_v2_56;batch_norm=false;padding=circular", 1.7, 2.1),
        ("resnet_v2_56;batch_norm=false", 1.35, 1.6),
    ):
        spec = on_digits(token)
        assert isinstance(spec, ResidualSpec)
        measured = asked(
            "propagation", create_net(spec, seed=0), digits, n_images=64, seeds=3, seed=0
        )
        whole = np.median(measured.variance[:, -1] / measured.variance[:, 1])
        a_unit = whole ** (1 / 27)
        assert least < a_unit < most, token
        assert doubling(spec) == pytest.approx(a_unit, rel=0.12)


# ---------------------------------------------------------------------------- doors and words


def test_what_can_be_asked(digits: Dataset) -> None:
    with pytest.raises(SpecError, match="depths"):
        asked("vanishing", data=digits, depths=())
    with pytest.raises(Cancelled):
        asked("vanishing", data=digits, cancelled=lambda: True)
    causes = explorer.vanishing_causes(
        digits, depths=(8, 14), seeds=(3,), width=4, n_images=8, order="original", gain=0.5
    )
    rows = causes.records()
    assert len(rows) == 40
    nets = {row["net"] for row in rows if row["depth"] == 8 and not row["batch_norm"]}
    assert "plain_8;batch_norm=false;init_gain=0.5;padding=circular;width=4" in nets
    assert "resnet_v1_8;batch_norm=false;width=4" in nets
    for net in nets:
        spec_of(net)
    again = VanishingCauses.from_json(json.loads(json.dumps(causes.to_json())))
    assert again.to_json() == causes.to_json()
    assert list(causes.to_frame()["seed"].unique()) == [3]
    one = explorer.vanishing_causes(digits, layers="fc", depths=(5,), seeds=(0,), width=5)
    assert one.expected == ()
    assert np.isnan(one.factor_a_layer(BARE, "none")).all()


def said_of(causes: VanishingCauses, of: str = "parameters") -> str:
    lane = Shown(0, "", None, DATASETS["digits"], causes.to_json())
    return " ".join(page_of("vanishing").caption([lane], {"of": of, "layers": causes.layers}))


def test_the_caption_says_what_the_figure_shows(connected: VanishingCauses) -> None:
    said = said_of(connected)
    assert "No shortcuts, no batch norm: it vanishes with sigmoid (× 0.32, derived 0.32)" in said
    assert "stays with nothing changed" in said
    assert "Shortcuts, batch norm: it stays with nothing changed" in said
    assert "2 seeds, slope over 8 to 32 layers; 64 training images" in said
    turned = VanishingCauses.from_json(
        {
            **connected.to_json(),
            "rows": [
                {**row, "first_layer": 1 / row["first_layer"] if row["first_layer"] else 0.0}
                for row in connected.to_json()["rows"]
            ],
        }
    )
    assert "it grows with sigmoid" in said_of(turned)
    assert "vanishes with sigmoid" not in said_of(turned)
    assert "Beyond the figure's edge: sigmoid" in said


def test_the_figure(connected: VanishingCauses) -> None:
    one = instrument("vanishing")
    ask, show = one.asked({"layers": "fc"}), one.show()
    lane = Lane(0, one.page.title, None, DATASETS["digits"], connected)
    for style in (Style(), Style("dark", narrow=True)):
        figure = one.figure([lane], ask, show, style)
        drawn = [trace for trace in figure.data if trace.name != "derived"]
        assert len(drawn) == 4 * len(CAUSES["fc"])
        assert sum(bool(trace.showlegend) for trace in drawn) == len(CAUSES["fc"])
        derived = [trace for trace in figure.data if trace.name == "derived"]
        assert len(derived) == 2 * len(CAUSES["fc"])  # none is derived with shortcuts
    assert not one.figure([], ask, show, Style()).data


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--layers", "fc", "--depths", "4,8", "--seeds", "1", "--width", "8", "--n", "16")
    assert main(["vanishing", *small]) == 0
    out = capsys.readouterr().out
    assert "No shortcuts, no batch norm" in out
    assert "weights × 0.8" in out
    assert main(["vanishing", *small, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 32
    assert main(["vanishing", *small, "--csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 33
    assert main(["vanishing", "--gain", "20", *small]) == 2
    assert "give a number from 0.01 to 10, not '20'" in capsys.readouterr().err
