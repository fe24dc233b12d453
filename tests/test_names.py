"""Names, tokens and titles."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from pydantic import ValidationError

from explorer.errors import SpecError
from explorer.structure import named_nets
from explorer.structure.blueprint import blueprint
from explorer.structure.names import (
    NETS,
    PAPERS,
    NetRow,
    printed,
    register,
    spec_of,
    title_of,
    token_of,
)
from explorer.structure.specs import (
    DenseSpec,
    HighwaySpec,
    NetSpec,
    PlainSpec,
    ResidualSpec,
    fit,
    parse_net,
)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("plain_56", PlainSpec(depth=56)),
        ("plain_1001", PlainSpec(depth=1001, unit="bottleneck")),
        ("resnet_v1_56", ResidualSpec(depth=56, order="original")),
        ("resnet_v2_56", ResidualSpec(depth=56, order="full_preact")),
        ("highway_25", HighwaySpec(depth=25)),
        ("densenet_40_k12", DenseSpec(depth=40, growth_rate=12)),
        (
            "densenet_bc_100_k12",
            DenseSpec(depth=100, growth_rate=12, bottleneck=True, compression=0.5),
        ),
        ("fc_plain_50", PlainSpec(layout="fc", depth=50, width=71, batch_norm=False)),
        (
            "fc_residual_50",
            ResidualSpec(layout="fc", depth=50, width=71, batch_norm=False, init="branch_scaled"),
        ),
        ("fc_highway_50", HighwaySpec(layout="fc", depth=50, width=50, batch_norm=False)),
        (
            "imagenet_resnet_v1_50",
            ResidualSpec(
                layout="imagenet",
                depth=50,
                input_shape=(3, 224, 224),
                classes=1000,
                width=64,
                unit="bottleneck",
                shortcut="B",
                order="original",
                stride_conv="3x3",
            ),
        ),
        (
            "imagenet_resnet_v2_152_pytorch",
            ResidualSpec(layout="imagenet", depth=152, stride_unit="last", norm_decay=0.997),
        ),
        (
            "imagenet_densenet_161",
            DenseSpec(
                layout="imagenet",
                depth=161,
                growth_rate=48,
                bottleneck=True,
                compression=0.5,
                input_shape=(3, 224, 224),
                classes=1000,
            ),
        ),
        (
            "reference_highway_25_pytorch",
            HighwaySpec(layout="reference", depth=25, transform_bias=-1),
        ),
        (
            "highway_fitnet_19",
            HighwaySpec(layout="fitnet", depth=19, width=32, batch_norm=False, init="xavier"),
        ),
        ("reference_dense_10_pytorch", DenseSpec(layout="reference", depth=10, growth_rate=64)),
        (
            "small_resnet_v1_pytorch",
            ResidualSpec(layout="small", depth=6, shortcut="B", order="v1"),
        ),
        ("resnet_v2_1001", ResidualSpec(depth=1001, unit="bottleneck")),
        ("resnet_v2_164", ResidualSpec(depth=164, unit="bottleneck")),
        ("resnet_v2_62", ResidualSpec(depth=62)),
        ("fc_plain_7", PlainSpec(layout="fc", depth=7, width=71, batch_norm=False)),
        (
            "resnet_v2_56;width=8;batch_norm=false",
            ResidualSpec(width=8, batch_norm=False, depth=56),
        ),
        ("resnet_v2_56; order = v1 ", ResidualSpec(depth=56, order="original")),
        ("fc_highway_50;transform_bias=-3", spec_of("fc_highway_50;transform_bias=-3.0")),
    ],
)
def test_names_stand_for_nets(name: str, spec: NetSpec) -> None:
    assert spec_of(name) == spec


@pytest.mark.parametrize("name", NETS)
def test_every_row_is_its_own_token_and_has_a_blueprint(name: str) -> None:
    row = NETS[name]
    assert row.name == name
    assert row.paper in PAPERS
    assert spec_of(name) == row.spec
    assert token_of(row.spec) == name
    assert blueprint(row.spec).parameters > 0
    assert row.summary.startswith(str(row.spec.depth))
    assert title_of(row.spec)


def test_titles_tell_the_rows_apart() -> None:
    titles = [title_of(row.spec) for row in NETS.values()]
    assert len(set(titles)) == len(titles)


def test_a_name_that_is_taken_is_an_error() -> None:
    with pytest.raises(ValueError, match="'plain_56' is registered twice"):
        register(NetRow("plain_56", PlainSpec(depth=56), "He15", "56 layers"))


CHOICES: dict[str, list[Any]] = {
    "layout": ["cifar", "cifar", "fc", "fitnet", "imagenet", "reference", "small"],
    "depth": [
        *(2, 6, 7, 8, 10, 11, 18, 19, 20, 25, 29, 34, 40, 50, 56),
        *(110, 121, 152, 161, 164, 1001),
    ],
    "batch_norm": [True, False],
    "norm_decay": [0.9, 0.997, 0.5],
    "norm_scale": [True, False],
    "norm_eps": [1e-5, 1e-3, 0.01],
    "conv_bias": ["usual", "unnormalised", "units", "all"],
    "asymmetric_padding": ["none", "pools", "all"],
    "bare_frame": [True, False],
    "init": ["he", "xavier", "xavier_uniform", "zero_last_scale", "branch_scaled"],
    "width": [1, 8, 16, 50, 71],
    "activation": ["relu", "tanh", "sigmoid"],
    "init_gain": [1, 0.5, 1.25],
    "padding": ["zeros", "circular", "reflect"],
    "unit": ["basic", "bottleneck"],
    "shortcut": [
        "A",
        "B",
        "C",
        "constant_scaling",
        "exclusive_gating",
        "shortcut_only_gating",
        "conv1x1",
        "dropout",
    ],
    "shortcut_pad": ["end", "both"],
    "stem": ["7x7", "3x3"],
    "widen": [1, 2],
    "order": [
        "original",
        "bn_after_addition",
        "relu_before_addition",
        "relu_only_preact",
        "full_preact",
    ],
    "stride_unit": ["first", "last"],
    "stride_conv": ["1x1", "3x3"],
    "shortcut_scale": [0.5, 1, 0.9, 1e-5],
    "residual_scale": [0.5, 0, 1 / 3],
    "gate_bias": [-6, 0, 2.5],
    "shortcut_dropout": [0.5, 0.25],
    "survival_prob": [1, 0.5, 0.8],
    "survival_decay": ["linear", "uniform"],
    "transform_bias": [-2, -3, 0.125],
    "growth_rate": [12, 24, 1],
    "bottleneck": [True, False],
    "compression": [1, 0.5, 0.3],
}


def random_spec(rng: random.Random) -> NetSpec:
    """A possible net, by trial."""
    kinds: dict[str, type[PlainSpec | ResidualSpec | HighwaySpec | DenseSpec]] = {
        "plain": PlainSpec,
        "residual": ResidualSpec,
        "highway": HighwaySpec,
        "dense": DenseSpec,
    }
    while True:
        family = rng.choice(sorted(kinds))
        fields = [name for name in kinds[family].model_fields if name in CHOICES]
        given = {n: rng.choice(CHOICES[n]) for n in fields if n == "depth" or rng.random() < 0.35}
        try:
            return kinds[family].model_validate(given)
        except ValidationError:
            continue


def test_tokens_and_json_round_trip() -> None:
    rng = random.Random(7)
    seen = set()
    for _ in range(600):
        spec = random_spec(rng)
        token = token_of(spec)
        seen.add(token)
        assert spec_of(token) == spec, token
        assert parse_net(spec.model_dump_json()) == spec
        assert title_of(spec)
    assert len(seen) > 350


def test_tokens_leave_the_data_out() -> None:
    spec = fit(spec_of("resnet_v2_20;width=8"), (1, 8, 8), 5)
    assert token_of(spec) == "resnet_v2_20;width=8"


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("resnet_v2_57", "Depth 57 is not possible here: it must be 6n + 2"),
        ("plain_9", "try 8 and 14"),
        ("densenet_41_k12", "try 40 and 43"),
        ("highway_1301", "depth must be at least 2 and at most 1300, not 1301."),
        ("densenet_40_k0", "growth_rate must be at least 1 and at most"),
        ("resnet_v2_20;survival_prob=1.5", "survival_prob must be above 0 and at most 1"),
        ("resnet2_56", "There is no net named 'resnet2_56': did you mean 'resnet_v2_56'?"),
        ("ResNet_v2_56", "did you mean 'resnet_v2_56'?"),
        ("imagenet_resnet_v1_50;depth=51", "it must be 50, 101, 152 or 200 with unit 'bottleneck'"),
        ("imagenet_resnet_v2_51", "or 18 or 34 with unit 'basic'"),
        ("imagenet_resnet_50", "did you mean 'imagenet_resnet_v"),
        ("imagenet_plain_51", "it must be 50, 101, 152 or 200 with unit 'bottleneck', or 18 or 34"),
        ("fc_plain_10;unit=bottleneck", "A fully connected plain net has units of one layer"),
        ("imagenet_densenet_120", "it must be 121, 161, 169 or 201"),
        ("imagenet_densenet_121;bottleneck=false", "count bottlenecks"),
        ("reference_plain_26", "it must be 5n (5, 10, 15, …); try 25 and 30"),
        ("reference_residual_25;shortcut=B", "leave unit, shortcut, order"),
        ("reference_dense_25;compression=0.5", "neither bottlenecks nor compression"),
        ("small_resnet_v2;depth=8", "it must be 6"),
        ("small_resnet_v2;unit=bottleneck", "two-layer units without stride"),
        ("highway_25;layout=imagenet", "input should be 'cifar', 'fc', 'fitnet' or 'reference'"),
        ("highway_fitnet_20", "Depth 20 is not possible here: it must be 11, 19 or 32"),
        ("resnet_v2_20;norm_decay=1", "at least 0 and below 1"),
        ("vgg", "names are plain_N, resnet_v1_N"),
        ("", "There is no net named ''"),
        ("plain_56;width", "'width' in 'plain_56;width' is not a change: write field=value"),
        ("plain_56;width=8;width=9", "'width' is given twice"),
        ("plain_56;width=many", "width: input should be a valid integer"),
        ("plain_56;colour=red", "There is no field 'colour' here"),
        ("plain_56;order=v1", "A plain net has no 'order': it is for residual nets; choose one"),
        ("plain_56;gate_bias=-3", "A plain net has no 'gate_bias': it is for residual nets"),
        ("densenet_40_k12;width=8", "it is for plain, residual, highway nets"),
        ("plain_56;classes=3", "it comes from the data"),
        ("plain_56;family=dense", "it comes from the name"),
        ("plain_999999999", "There is no net named"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(token: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(token)
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message
    assert message.endswith((".", "?"))


@pytest.mark.parametrize(
    ("token", "title"),
    [
        ("resnet_v2_56", "ResNet v2 56"),
        ("plain_56", "Plain 56"),
        ("fc_highway_50", "Highway 50, fully connected"),
        ("densenet_40_k12", "DenseNet 40, k = 12"),
        ("densenet_bc_100_k12", "DenseNet-BC 100, k = 12"),
        ("resnet_v2_56;width=8;batch_norm=false", "ResNet v2 56, width 8, no batch norm"),
        ("resnet_v1_20;shortcut=B", "ResNet v1 20, option B"),
        ("resnet_v2_1001", "ResNet v2 1001"),
        ("resnet_v2_164", "ResNet v2 164"),
        ("resnet_v2_164;unit=basic", "ResNet v2 164, two-layer units"),
        ("resnet_v2_20;unit=bottleneck", "ResNet v2 20, bottlenecks"),
        ("resnet_110_bn_after_addition", "ResNet 110, BN after addition"),
        ("fc_highway_50;transform_bias=-3", "Highway 50, fully connected, bias −3"),
        ("imagenet_resnet_v2_152", "ResNet v2 152, ImageNet"),
        (
            "imagenet_resnet_v2_50;stride_unit=first",
            "ResNet v2 50, ImageNet, stride in the first unit",
        ),
        (
            "imagenet_resnet_v1_50;stride_conv=1x1;width=32",
            "ResNet v1 50, ImageNet, stride on the 1×1, width 32",
        ),
        ("imagenet_plain_34", "Plain 34, ImageNet"),
        ("plain_1001", "Plain 1001"),
        ("plain_164;unit=bottleneck", "Plain 164, bottlenecks"),
        ("imagenet_densenet_121", "DenseNet-BC 121, ImageNet, k = 32"),
        ("reference_highway_25", "Highway 25, reference"),
        ("highway_fitnet_11", "Highway 11, FitNet"),
        ("highway_fitnet_32;width=16;batch_norm=true", "Highway 32, FitNet, width 16, batch norm"),
        ("reference_dense_25;growth_rate=8", "DenseNet 25, reference, k = 8"),
        ("small_resnet_v1", "ResNet v1 6, small"),
        ("resnet_v2_20;norm_decay=0.99", "ResNet v2 20, BN decay 0.99"),
        ("resnet_v2_20;init=xavier;survival_prob=0.5", "ResNet v2 20, survival 0.5, Xavier"),
    ],
)
def test_titles(token: str, title: str) -> None:
    assert title_of(spec_of(token)) == title


# What the papers print, each number with how it came about (their tables, read again).
PRINTED: dict[str, list[tuple[float | None, str]]] = {
    "resnet_v1_20": [(8.75, "")],
    "resnet_v1_110": [(6.43, "best of 5"), (6.61, "mean of 5"), (6.61, "median of 5")],
    "resnet_v2_110": [(6.37, "median of 5")],
    "resnet_v2_1001": [(4.92, "median of 5")],
    "resnet_110_scaled_shortcut": [(None, "median of 5")],
    "imagenet_resnet_34_option_a": [(25.03, "10 crops of 224²")],
    "imagenet_resnet_50_stride_1x1": [(22.85, "10 crops of 224²")],
    "imagenet_densenet_121": [(25.02, "1 crop of 224²")],
}


@pytest.mark.parametrize("name", PRINTED)
def test_an_error_stands_beside_its_protocol(name: str) -> None:
    row = NETS[name]
    assert [(error.percent, error.protocol) for error in row.errors] == PRINTED[name]
    assert len(printed(row.spec)) == len(row.errors)
    for line, error in zip(printed(row.spec), row.errors, strict=True):
        assert row.measured_on in line
        assert error.protocol in line
        assert re.match(r"(He15|He16|Huang16) Table", line)


def test_like_for_like_pre_activation_takes_resnet_110_from_6_61_to_6_37() -> None:
    before, after = NETS["resnet_v1_110"].errors, NETS["resnet_v2_110"].errors
    alike = [(a.percent, b.percent) for a in before for b in after if a.protocol == b.protocol]
    assert alike == [(6.61, 6.37)]


@pytest.mark.parametrize(
    "name",
    [
        *("plain_164", "resnet_v2_20", "resnet_v2_56", "fc_residual_50", "highway_25"),
        *("imagenet_resnet_v1_18", "imagenet_resnet_v1_50", "imagenet_resnet_v1_200"),
        *("imagenet_resnet_v2_50", "imagenet_resnet_v2_152", "reference_plain_25"),
    ],
)
def test_no_net_stands_under_a_paper_that_it_is_not_in(name: str) -> None:
    row = NETS[name]
    assert row.paper in ("beside", "programs")
    assert row.errors == ()


def test_of_bottlenecks_the_papers_error_is_of_the_papers_stride() -> None:
    for name, row in NETS.items():
        if row.paper == "He15" and getattr(row.spec, "unit", "") == "bottleneck":
            assert isinstance(row.spec, ResidualSpec)
            assert row.spec.stride_conv == "1x1", name
            assert row.spec.stride_unit == "first", name


def test_what_is_not_the_papers_is_said_and_true() -> None:
    noted = {name: row for name, row in NETS.items() if row.note and row.paper == "SGS15"}
    assert sorted(noted) == ["highway_fitnet_11", "highway_fitnet_19", "highway_fitnet_32"]
    for row in noted.values():
        assert "our choice" in row.note
        assert f"{blueprint(row.spec).parameters:,}" in row.note


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("digits_plain_56", {"source": "shipped", "name": "digits_plain_56"}),
        ("run:ab.1", {"source": "run", "experiment": "ab", "lane": 1}),
        ("run:ab.1@30", {"source": "run", "experiment": "ab", "lane": 1, "step": 30}),
        ("resnet_v2_20;width=8", {"source": "fresh", "seed": 3}),
        ("plain_8;weights=0123456789abcdef.safetensors", {"source": "file"}),
        ("torchvision_resnet50;weights=default", {"source": "external", "weights": "default"}),
    ],
)
def test_a_net_is_found_by_its_words_in_one_place(words: str, source: dict[str, object]) -> None:
    found = named_nets.named(f" {words} ")
    assert found.token == words
    assert found.source(3).items() >= source.items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("digits_plain_65", "did you mean the trained 'digits_plain_56'?"),
        ("digits_plain_20;weights=0123456789abcdef.safetensors", "is a trained net"),
        ("run:ab", "should read run:ID.LANE"),
        ("run:ab.99", "the lane"),
        ("plain_8;weights=/etc/passwd", "is not the name of uploaded weights"),
        ("torchvision_resnet50;weights=mine.pt", "is not the name of uploaded weights"),
        ("torchvision_resnet51", "did you mean 'torchvision_resnet50'?"),
    ],
)
def test_a_wrong_net_is_one_sentence(words: str, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        named_nets.named(words)
