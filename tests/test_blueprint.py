"""Blueprints against the papers' numbers; tests/test_nets.py holds them against the nets."""

from __future__ import annotations

import time

import pytest

from explorer.blueprint import ORDERS, Blueprint, blueprint
from explorer.specs import DenseSpec, HighwaySpec, PlainSpec, ResidualSpec, fit


def depth_of(plan: Blueprint) -> int:
    """The highest depth index; the indices must be 1, 2, 3, … in forward order."""
    indices = [layer.depth_index for layer in plan.layers if layer.depth_index is not None]
    assert indices == list(range(1, len(indices) + 1))
    return len(indices)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [
        (20, 269_722),
        (32, 464_154),
        (44, 658_586),
        (56, 853_018),
        (110, 1_727_962),
        (1202, 19_421_274),
    ],
)
def test_residual_nets_have_the_papers_parameters_and_so_do_their_plain_twins(
    depth: int, parameters: int
) -> None:
    residual = blueprint(ResidualSpec(depth=depth, order="original"))
    plain = blueprint(PlainSpec(depth=depth))
    assert residual.parameters == plain.parameters == parameters
    assert residual.multiply_adds == plain.multiply_adds
    assert depth_of(residual) == depth_of(plain) == depth
    assert len(residual.units) == len(plain.units) == (depth - 2) // 2


@pytest.mark.parametrize(
    ("depth", "growth_rate", "bc", "parameters"),
    [
        (40, 12, False, 1_019_722),
        (100, 12, False, 6_979_642),
        (100, 12, True, 769_162),
        (250, 24, True, 15_324_406),
        (190, 40, True, 25_624_430),
    ],
)
def test_dense_nets_have_the_papers_parameters(
    depth: int, growth_rate: int, bc: bool, parameters: int
) -> None:
    spec = DenseSpec(
        depth=depth, growth_rate=growth_rate, bottleneck=bc, compression=0.5 if bc else 1
    )
    plan = blueprint(spec)
    assert plan.parameters == parameters
    assert depth_of(plan) == depth


def test_all_five_orders_have_the_same_size() -> None:
    # Full pre-activation normalises inputs instead of outputs; the stem's and the head's batch
    # norm make up for the difference exactly.
    sizes = {blueprint(ResidualSpec(depth=110, order=order)).parameters for order in ORDERS}
    assert sizes == {1_727_962}


def test_stage_shapes_halve_and_double() -> None:
    plan = blueprint(ResidualSpec(depth=20))
    shapes = [unit.output_shape for unit in plan.units]
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3
    assert [unit.stride for unit in plan.units] == [1, 1, 1, 2, 1, 1, 2, 1, 1]
    assert [unit.name for unit in plan.units][:4] == [
        "stages.0.units.0",
        "stages.0.units.1",
        "stages.0.units.2",
        "stages.1.units.0",
    ]


def test_bottlenecks_are_four_times_as_wide_outside() -> None:
    plan = blueprint(ResidualSpec(depth=29, unit="bottleneck"))
    assert [unit.output_shape[0] for unit in plan.units] == [64] * 3 + [128] * 3 + [256] * 3
    assert plan.units[0].shortcut == "zero_pad"
    assert depth_of(plan) == 29
    kernels = [layer.detail for layer in plan.units[3].layers if layer.kind == "conv"]
    assert kernels == ["1×1, stride 2, 64→32", "3×3, 32→32", "1×1, 32→128"]


@pytest.mark.parametrize(
    ("shortcut", "first", "same", "changing"),
    [
        ("A", "identity", "identity", "zero_pad"),
        ("B", "identity", "identity", "projection"),
        ("C", "projection", "projection", "projection"),
        ("conv1x1", "projection", "projection", "projection"),
        ("constant_scaling", "scaled", "scaled", "zero_pad"),
        ("exclusive_gating", "gated", "gated", "zero_pad"),
        ("shortcut_only_gating", "gated", "gated", "zero_pad"),
        ("dropout", "dropout", "dropout", "zero_pad"),
    ],
)
def test_where_each_shortcut_stands(shortcut: str, first: str, same: str, changing: str) -> None:
    plan = blueprint(ResidualSpec(depth=14, shortcut=shortcut))
    assert [unit.shortcut for unit in plan.units] == [first, same, changing, same, changing, same]


def test_pre_activation_stands_before_the_first_split_and_after_the_last_addition() -> None:
    plan = blueprint(ResidualSpec(depth=14, order="full_preact", shortcut="B"))
    assert [layer.kind for layer in plan.stem] == ["conv", "batch_norm", "activation"]
    assert [layer.kind for layer in plan.head][:2] == ["batch_norm", "activation"]
    opening = [[layer.kind for layer in unit.layers][:2] for unit in plan.units]
    assert opening[0] == ["identity", "conv"]  # its activation is the stem's
    assert opening[1] == ["identity", "batch_norm"]
    assert opening[2] == ["batch_norm", "activation"]  # shared by projection and F
    shared = plan.units[2].layers
    assert [layer.branch for layer in shared][:3] == ["main", "main", "shortcut"]


def test_highway_depth_counts_h_alone() -> None:
    plan = blueprint(HighwaySpec(depth=25))
    assert depth_of(plan) == 25
    assert [u.name for u in plan.units if u.kind == "transition"] == [
        "stages.0.transition",
        "stages.1.transition",
    ]
    assert sum(unit.kind == "highway" for unit in plan.units) == 21
    gates = [x for x in plan.weight_layers if x.branch == "transform_gate"]
    assert len(gates) == 21
    assert all(gate.depth_index is None for gate in gates)


def test_fully_connected_nets_count_depth_as_the_paper_does() -> None:
    highway = blueprint(HighwaySpec(depth=50, layout="fc", width=50, batch_norm=False))
    plain = blueprint(PlainSpec(depth=50, layout="fc", width=71, batch_norm=False))
    assert len(highway.units) == len(plain.units) == 49
    assert depth_of(highway) == depth_of(plain) == 50
    # SGS15 §3.1: about 5,000 parameters a layer
    assert highway.units[0].parameters == 2 * (50 * 50 + 50) == 5100
    assert plain.units[0].parameters == 71 * 71 + 71 == 5112


@pytest.mark.parametrize("side", [4, 5, 7, 8, 9, 28, 30, 33])
def test_odd_sizes_are_halved_properly(side: int) -> None:
    half = (side + 1) // 2
    quarter = (half + 1) // 2
    plan = blueprint(fit(ResidualSpec(depth=8), (1, side, side + 1), 10))
    assert [unit.output_shape[1] for unit in plan.units] == [side, half, quarter]
    dense = blueprint(fit(DenseSpec(depth=7), (1, side, side + 1), 10))
    assert [u.output_shape[1] for u in dense.units if u.kind == "dense"] == [
        side,
        side // 2,
        side // 2 // 2,
    ]


def test_what_can_be_deleted_and_swapped() -> None:
    plain = blueprint(PlainSpec(depth=20))
    assert [u.deletable for u in plain.units] == [True] * 3 + [False, True, True] * 2
    residual = blueprint(ResidualSpec(depth=20))
    assert all(unit.deletable for unit in residual.units)
    for plan in (plain, residual):
        for unit in plan.units:
            assert (unit.swap_group is not None) == (unit.input_shape == unit.output_shape)
    groups = [unit.swap_group for unit in residual.units]
    assert groups[0] == groups[2] != groups[4] == groups[5] != groups[8]
    dense = blueprint(DenseSpec(depth=10))
    assert [u.deletable for u in dense.units] == [u.kind == "dense" for u in dense.units]
    assert {unit.swap_group for unit in dense.units} == {None}


def test_dense_compression_and_stem() -> None:
    plan = blueprint(DenseSpec(depth=22, growth_rate=12, bottleneck=True, compression=0.5))
    assert plan.stem[0].output_shape == (24, 32, 32)
    assert plan.units[3].name == "stages.0.transition"
    assert plan.units[3].input_shape == (60, 32, 32)
    assert plan.units[3].output_shape == (30, 16, 16)
    assert blueprint(DenseSpec(depth=10)).stem[0].output_shape[0] == 16


def test_survival_falls_linearly_to_its_last_value() -> None:
    units = blueprint(ResidualSpec(depth=110, survival_prob=0.5)).units
    assert units[-1].survival_prob == pytest.approx(0.5)
    # SD16: with L = 54 and p_L = 0.5, 40.25 blocks are kept on average
    assert sum(unit.survival_prob for unit in units) == pytest.approx(40.25)
    uniform = blueprint(ResidualSpec(depth=20, survival_prob=0.5, survival_decay="uniform"))
    assert {unit.survival_prob for unit in uniform.units} == {0.5}


def test_without_batch_norm_convolutions_have_biases() -> None:
    normed = blueprint(ResidualSpec(depth=8, shortcut="B"))
    bare = blueprint(ResidualSpec(depth=8, shortcut="B", batch_norm=False))
    assert not any(layer.kind == "batch_norm" for layer in bare.layers)
    for a, b in zip(normed.weight_layers[:-1], bare.weight_layers[:-1], strict=True):
        assert b.parameters - a.parameters == b.output_shape[0]


def test_the_deepest_net_takes_no_time() -> None:
    blueprint.cache_clear()
    start = time.perf_counter()
    plan = blueprint(ResidualSpec(depth=1202, order="original"))
    assert plan.multiply_adds > 2e9
    assert time.perf_counter() - start < 0.5
