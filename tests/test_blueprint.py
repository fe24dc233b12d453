"""Blueprints against the papers' numbers; tests/test_nets.py holds them against the nets."""

from __future__ import annotations

import pytest

from explorer.errors import SpecError
from explorer.structure.blueprint import ORDERS, Blueprint, blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DenseSpec, HighwaySpec, PlainSpec, ResidualSpec, fit


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


@pytest.mark.parametrize(
    ("token", "depth", "millions", "giga_multiply_adds"),
    [
        # torchvision's and timm's own parameter counts; multiply-adds of the convolutions and the
        # classifier at 224×224. He15 Table 1 has 3.6, 3.8 and 11.3 G for 34, 50 and 152 layers.
        ("imagenet_plain_34", 34, 21.623848, 3.64),
        ("imagenet_resnet_v1_18", 18, 11.689512, 1.81),
        ("imagenet_resnet_v1_34", 34, 21.797672, 3.66),
        ("imagenet_resnet_v1_50", 50, 25.557032, 4.09),
        ("imagenet_resnet_v1_50;stride_conv=1x1", 50, 25.557032, 3.86),
        ("imagenet_resnet_v1_101", 101, 44.549160, 7.80),
        ("imagenet_resnet_v1_152", 152, 60.192808, 11.51),
        ("imagenet_resnet_v1_152;stride_conv=1x1", 152, 60.192808, 11.28),
        ("imagenet_resnet_v2_50_pytorch;stride_unit=first", 50, 25.549352, 4.09),
        ("imagenet_resnet_v2_50_pytorch", 50, 25.549352, 3.48),
        ("imagenet_resnet_v2_101_pytorch;stride_unit=first", 101, 44.541480, 7.80),
        ("imagenet_resnet_v2_152_pytorch;stride_unit=first", 152, 60.185128, 11.51),
        ("imagenet_densenet_121", 121, 7.978856, 2.83),
        ("imagenet_densenet_161", 161, 28.681000, 7.73),
        ("imagenet_densenet_169", 169, 14.149480, 3.36),
        ("imagenet_densenet_201", 201, 20.013928, 4.29),
    ],
)
def test_imagenet_nets_have_the_sizes_of_torchvisions_and_timms(
    token: str, depth: int, millions: float, giga_multiply_adds: float
) -> None:
    plan = blueprint(spec_of(token))
    assert depth_of(plan) == depth
    assert plan.parameters == round(1e6 * millions)
    assert plan.multiply_adds / 1e9 == pytest.approx(giga_multiply_adds, abs=0.006)
    assert plan.units[0].input_shape[1:] == (56, 56)
    assert plan.units[-1].output_shape[1:] == (7, 7)


def test_where_the_stride_of_a_stage_is() -> None:
    """In the last unit of the first three stages, or in the first of the last three."""
    last = blueprint(spec_of("imagenet_resnet_v2_152")).units
    first = blueprint(spec_of("imagenet_resnet_v2_152;stride_unit=first")).units
    assert [i for i, unit in enumerate(last) if unit.stride == 2] == [2, 10, 46]
    assert [i for i, unit in enumerate(first) if unit.stride == 2] == [3, 11, 47]
    assert {unit.shortcut for unit in last if unit.stride == 2} == {"max_pool"}
    assert [i for i, unit in enumerate(last) if unit.shortcut == "projection"] == [0, 3, 11, 47]
    assert [u.shortcut for u in first if u.stride == 2] == ["projection"] * 3
    strided = [x.detail for x in last[2].layers if "stride" in x.detail]
    assert strided == ["1×1, stride 2", "3×3, stride 2, 64→64"]
    assert [layer.kind for layer in blueprint(spec_of("imagenet_resnet_v2_152")).stem] == [
        "conv",
        "max_pool",
    ]


def test_the_plain_twin_of_bottlenecks_has_the_residual_nets_layers() -> None:
    plain, residual = (blueprint(spec_of(name)) for name in ("plain_1001", "resnet_v1_1001"))
    assert plain.parameters == residual.parameters == 10_285_722
    assert plain.multiply_adds == residual.multiply_adds
    assert depth_of(plain) == depth_of(residual) == 1001
    assert [layer.detail for layer in plain.weight_layers] == [
        layer.detail for layer in residual.weight_layers
    ]


@pytest.mark.parametrize("family", ["plain", "residual", "highway", "dense"])
def test_reference_nets_count_their_units(family: str) -> None:
    plan = blueprint(spec_of(f"reference_{family}_25"))
    transitions = [unit for unit in plan.units if unit.kind == "transition"]
    assert sum(unit.kind == family for unit in plan.units) == 25
    assert [unit.output_shape[1] for unit in transitions] == [16, 8, 4, 2, 1]
    assert {unit.output_shape[0] for unit in transitions} == {64}
    assert all(unit.deletable for unit in plan.units if unit.kind != "transition")
    assert plan.head[0].output_shape == (10, 1, 1)
    layers = {"plain": 32, "residual": 57, "highway": 32, "dense": 37}[family]
    assert depth_of(plan) == layers


@pytest.mark.parametrize(
    ("depth", "parameters", "printed"),
    [(11, 236_328, 236e3), (19, 2_277_688, 2.3e6), (32, 1_254_872, 1.25e6)],
)
def test_the_highway_nets_of_table_2(depth: int, parameters: int, printed: float) -> None:
    """SGS15 prints about 236K, 2.3M and 1.25M parameters; Romero et al. 30 M multiplications for
    FitNet 1, on which the net of 11 layers is based."""
    plan = blueprint(spec_of(f"highway_fitnet_{depth}"))
    assert depth_of(plan) == depth
    assert plan.parameters == parameters
    assert plan.parameters == pytest.approx(printed, rel=0.01)
    maps = {11: (16, 32, 64), 19: (32, 80, 128), 32: (32, 64, 96)}[depth]
    gated = [unit for unit in plan.units if unit.kind == "highway"]
    assert [unit.output_shape for unit in plan.units if unit.kind == "transition"] == [
        (maps[1], 16, 16),
        (maps[2], 8, 8),
    ]
    assert [sum(unit.stage == stage for unit in gated) for stage in range(3)] == {
        11: [2, 2, 2],
        19: [4, 5, 5],
        32: [9, 9, 9],
    }[depth]
    kernels = [
        [layer.detail[:3] for layer in unit.layers if layer.kind == "conv"] for unit in gated
    ]
    turns = ["1×1", "3×3"] if depth == 32 else ["3×3", "3×3"]
    places = [int(unit.name.rpartition(".")[2]) for unit in gated]
    assert kernels == [[turns[j % 2]] * 2 for j in places]  # H and T alike
    if depth == 11:
        assert plan.multiply_adds == pytest.approx(30e6, rel=0.05)


def test_images_too_small_for_imagenets_dense_nets_are_refused() -> None:
    spec = spec_of("imagenet_densenet_121")
    assert blueprint(fit(spec, (3, 29, 32), 10)).units[-1].output_shape == (1024, 1, 1)
    with pytest.raises(SpecError, match="these must be at least 29×29, not 28×28: choose layout"):
        fit(spec, (1, 28, 28), 10)
    # residual nets round up, so any image will do
    assert blueprint(fit(spec_of("imagenet_resnet_v2_50"), (1, 8, 8), 10)).units[-1].output_shape


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


@pytest.mark.parametrize(
    ("token", "kind", "gated", "all_units"),
    [
        ("fc_highway_5", "transform", 4, 4),
        ("highway_25", "transform", 21, 23),  # units between stages have none
        ("reference_highway_25", "transform", 25, None),
        ("resnet_v1_20;shortcut=exclusive_gating", "shortcut", 7, 9),  # two change the shape
        ("resnet_v2_14;shortcut=shortcut_only_gating", "shortcut", 4, 6),
        ("resnet_v1_20", None, 0, 9),
        ("resnet_v2_14;shortcut=constant_scaling", None, 0, 6),
        ("plain_20", None, 0, None),
        ("densenet_10_k4", None, 0, None),
    ],
)
def test_which_units_have_a_gate(
    token: str, kind: str | None, gated: int, all_units: int | None
) -> None:
    plan = blueprint(spec_of(token))
    assert plan.gate_kind == kind
    assert len(plan.gated_units) == gated
    assert all_units in (None, len(plan.units))
    assert {unit.gate for unit in plan.gated_units} == {
        f"{unit.name}.{kind}_gate" for unit in plan.gated_units
    }
    for unit in plan.units:
        assert (unit.gate is None) == (not any(layer.in_gate for layer in unit.layers))


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


def test_the_deepest_nets_have_blueprints() -> None:
    plan = blueprint(ResidualSpec(depth=1202, order="original"))
    assert plan.multiply_adds > 2e9
    plan = blueprint(spec_of("resnet_v2_1001"))
    assert len(plan.units) == 333
