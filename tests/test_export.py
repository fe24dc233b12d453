"""Export as code: the written file is the same net, on its own, well laid out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.cli import main
from explorer.errors import SpecError
from explorer.nets import Net, create_net, save_weights
from explorer.nets.export import export_code
from explorer.structure.cards import Card
from explorer.structure.names import NETS, spec_of, token_of
from explorer.structure.specs import (
    DataSpec,
    DenseSpec,
    HighwaySpec,
    NetSpec,
    Order,
    PlainSpec,
    ResidualSpec,
    Shortcut,
    TrainSpec,
    fit,
)

ROOT = Path(__file__).parent.parent
IMAGES: dict[str, Any] = {"input_shape": (2, 9, 8), "classes": 5}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def residual(**fields: Any) -> ResidualSpec:
    return ResidualSpec(**{"depth": 14, "width": 4, **IMAGES, **fields})


def every_choice() -> list[NetSpec]:
    """Nets that use every field of every family."""
    specs: list[NetSpec] = []
    for order in get_args(Order):
        for shortcut in get_args(Shortcut):
            specs.append(residual(order=order, shortcut=shortcut))
            specs.append(residual(order=order, shortcut=shortcut, unit="bottleneck", depth=20))
            if order != "bn_after_addition" and shortcut in ("B", "exclusive_gating"):
                specs.append(residual(order=order, shortcut=shortcut, batch_norm=False, depth=8))
    specs += [
        residual(survival_prob=0.5, shortcut="constant_scaling"),
        residual(survival_prob=0.6, shortcut="exclusive_gating", depth=26),
        residual(activation="tanh", survival_prob=0.5, survival_decay="uniform"),
        residual(activation="sigmoid", padding="reflect", init_gain=0.5),
        residual(order="original", init="zero_last_scale"),
        residual(init="zero_last_scale", batch_norm=False),
        residual(init="branch_scaled", batch_norm=False),
        residual(unit="bottleneck", depth=11, shortcut="exclusive_gating", survival_prob=1 / 3),
    ]
    tiny: dict[str, Any] = {"input_shape": (3, 32, 32), "classes": 5}
    specs += [
        ResidualSpec(layout="imagenet", depth=18, width=4, order="original", **tiny),
        ResidualSpec(layout="imagenet", depth=50, width=4, norm_decay=0.99, **tiny),
        ResidualSpec(layout="imagenet", depth=50, width=4, stride_unit="last", **tiny),
        PlainSpec(layout="imagenet", depth=18, width=4, **tiny),
        PlainSpec(depth=20, unit="bottleneck", width=4, **tiny),
        DenseSpec(layout="imagenet", depth=121, growth_rate=4, **tiny),
        ResidualSpec(layout="reference", depth=5, width=4, **tiny),
        HighwaySpec(layout="reference", depth=10, width=4, **tiny),
        DenseSpec(layout="reference", depth=10, growth_rate=4, **tiny),
        HighwaySpec(layout="fitnet", depth=11, width=3, batch_norm=False, **tiny),
        HighwaySpec(layout="fitnet", depth=32, width=4, **tiny),
        HighwaySpec(layout="fitnet", depth=32, width=4, padding="circular", **tiny),
        ResidualSpec(layout="imagenet", depth=50, width=4, padding="circular", **tiny),
        DenseSpec(depth=19, growth_rate=3, padding="reflect", init_gain=2, **tiny),
        PlainSpec(layout="reference", depth=5, width=4, **tiny),
        residual(layout="small", depth=6, shortcut="B"),
    ]
    for norm in (True, False):
        fc: dict[str, Any] = {"layout": "fc", "depth": 5, "width": 6, "batch_norm": norm, **IMAGES}
        specs += [
            PlainSpec(depth=20, width=4, batch_norm=norm, **IMAGES),
            PlainSpec(activation="tanh", init="xavier", **fc),
            ResidualSpec(**fc),
            ResidualSpec(survival_prob=0.7, init="branch_scaled", **fc),
            HighwaySpec(depth=10, width=4, batch_norm=norm, **IMAGES),
            HighwaySpec(activation="tanh", **fc),
            DenseSpec(depth=19, growth_rate=3, batch_norm=norm, **IMAGES),
            DenseSpec(
                depth=28, growth_rate=3, bottleneck=True, compression=0.4, batch_norm=norm, **IMAGES
            ),
        ]
    return specs


def built(spec: NetSpec, device: str = "cpu") -> nn.Module:
    """The net of the exported file, executed in a namespace of its own."""
    namespace: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_code(spec, class_name="Exported"), "exported.py", "exec"), namespace)
    with torch.device(device):
        net = namespace["Exported"]()
    assert isinstance(net, nn.Module)
    return net


def images_for(spec: NetSpec, n: int = 4) -> Tensor:
    return torch.randn(n, *spec.input_shape, generator=torch.Generator().manual_seed(0))


def stirred(net: Net) -> Net:
    """Batch norms and biases that do something, so that a forgotten one is noticed."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.dim() == 1:
                low = 0.5 if "var" in name or "bn" in name else -0.5
                value.copy_(torch.rand(value.shape, generator=generator) + low)
    return net


def training_step(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What a step of SGD leaves behind, with the same random numbers for every net."""
    torch.manual_seed(3)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    F.cross_entropy(net(x), torch.arange(len(x)) % 5).backward()
    optimizer.step()
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("spec", every_choice(), ids=token_of)
def test_the_exported_net_is_ours(spec: NetSpec) -> None:
    ours = stirred(create_net(spec, seed=1))
    theirs = built(spec)
    theirs.load_state_dict(ours.state_dict(), strict=True)

    # names: every module of the file is one of ours, in the same order
    names = [name for name, _ in ours.named_modules()]
    exported = [name for name, _ in theirs.named_modules()]
    assert set(exported) <= set(names)
    assert [name for name in names if name in set(exported)] == exported

    x = images_for(spec)
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(x), ours.eval()(x), atol=1e-6, rtol=1e-6)
    left = training_step(theirs, x)
    for name, value in training_step(ours, x).items():
        torch.testing.assert_close(left[name], value, atol=1e-6, rtol=1e-6, msg=name)


def of_every_kind() -> list[str]:
    """The shallowest net of each structure in the registry, and the deepest of all."""
    structure = ("family", "layout", "unit", "shortcut", "order", "bottleneck")
    found: dict[tuple[Any, ...], str] = {}
    rows = sorted(NETS.values(), key=lambda row: row.spec.depth)
    for row in rows:
        found.setdefault(tuple(getattr(row.spec, field, None) for field in structure), row.name)
    return sorted({*found.values(), rows[-1].name})


@pytest.mark.parametrize("name", of_every_kind())
def test_every_net_of_the_registry_exports(name: str) -> None:
    spec = NETS[name].spec
    with torch.device("meta"):
        ours = create_net_structure(spec)
    theirs = built(spec, "meta")
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert shapes == {key: value.shape for key, value in ours.state_dict().items()}


def create_net_structure(spec: NetSpec) -> Net:
    from explorer.structure.blueprint import blueprint

    return Net(blueprint(spec))


@pytest.mark.parametrize("part", range(8))
def test_the_files_are_laid_out_and_checked(part: int, tmp_path: Path) -> None:
    """At ruff's own line length and rules, and at ours."""
    specs = [*every_choice(), *(NETS[name].spec for name in of_every_kind())]
    for i, spec in enumerate(specs[part::8]):
        text = export_code(spec)
        assert "explorer" not in text.lower()
        assert max(map(len, text.splitlines())) <= 88, token_of(spec)
        (tmp_path / f"net_{i}.py").write_text(text, "utf-8")
    for config in ("--isolated", f"--config={ROOT / 'pyproject.toml'}"):
        for command in (["format", "--check", "--diff"], ["check"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, config, "--no-cache", str(tmp_path)],
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout[:3000] + done.stderr[:3000]


def test_a_net_starts_as_ours_do() -> None:
    """The same spread of weights layer by layer, the same gate biases and scaled branches."""
    for spec in (
        fit(spec_of("resnet_v2_20;init=zero_last_scale"), (3, 8, 8), 10),
        fit(spec_of("fc_highway_10;transform_bias=-3"), (1, 8, 8), 10),
        fit(spec_of("fc_residual_10"), (1, 8, 8), 10),
        fit(spec_of("plain_20;init=xavier"), (3, 8, 8), 10),
        fit(spec_of("resnet_v1_20;shortcut=shortcut_only_gating"), (3, 8, 8), 10),
    ):
        ours = create_net(spec, seed=0)
        torch.manual_seed(0)
        theirs = built(spec).state_dict()
        for name, value in ours.state_dict().items():
            if value.dim() < 2:
                assert torch.equal(theirs[name], value), name
            elif value.numel() > 200:
                torch.testing.assert_close(theirs[name].std(), value.std(), rtol=0.25, atol=0)


def test_the_file_needs_torch_alone(tmp_path: Path) -> None:
    """In a process of its own, where this package cannot be imported."""
    spec = residual(order="original", shortcut="B")
    net = stirred(create_net(spec, seed=1)).eval()
    weights = save_weights(net, tmp_path / "weights.safetensors", card_of(net))
    x = images_for(spec)
    torch.save(x, tmp_path / "x.pt")
    (tmp_path / "net.py").write_text(export_code(spec, class_name="MyNet"), "utf-8")
    script = """
import sys, torch
sys.path = [p for p in sys.path if "site-packages" in p or "lib" in p]
sys.modules["explorer"] = None
sys.path.insert(0, ".")
from safetensors.torch import load_file
from net import MyNet
net = MyNet()
net.load_state_dict(load_file("weights.safetensors"))
with torch.no_grad():
    torch.save(net.eval()(torch.load("x.pt")), "y.pt")
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    with torch.no_grad():
        torch.testing.assert_close(torch.load(tmp_path / "y.pt"), net(x), atol=1e-6, rtol=1e-6)
    assert weights.is_file()


def test_only_what_was_chosen_is_there() -> None:
    text = export_code(spec_of("resnet_v1_20"))
    for word in (
        "gate",
        "Survival",
        "Scale",
        "split",
        "Transition",
        "Dropout",
        "import torch\n",
        "first",
    ):
        assert word not in text, word
    assert "class ResNetV1_20(nn.Module):" in text
    assert "[ResidualUnit(64, 64) for _ in range(17)]" in export_code(spec_of("resnet_v1_110"))
    assert "[DenseUnit(24 + 12 * i, 12) for i in range(16)]" in export_code(
        spec_of("densenet_bc_100_k12")
    )
    assert len(export_code(spec_of("resnet_v1_1202")).splitlines()) < 150


def test_the_class_may_be_named() -> None:
    assert "class Net7(nn.Module):" in export_code(spec_of("plain_20"), class_name="Net7")
    for bad in ("class", "7", "a b", "", "Stage", "PlainUnit"):
        with pytest.raises(SpecError, match="cannot be the class of the net: give a Python name"):
            export_code(spec_of("plain_20"), class_name=bad)


def card_of(net: Net) -> Card:
    return Card(
        name="a_net",
        spec=net.spec,
        data=DataSpec(),
        recipe=TrainSpec(),
        seed=0,
        accuracy=0.5,
        n_images=10,
    )


# ------------------------------------------------------------------------------ command line


def test_export_from_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "plain_20;width=4"]) == 0
    assert capsys.readouterr().out == export_code(spec_of("plain_20;width=4"))

    out = tmp_path / "mine.py"
    assert main(["export", "plain_20", "--out", str(out)]) == 0
    assert out.read_text("utf-8") == export_code(spec_of("plain_20"))
    assert str(out) in capsys.readouterr().err

    # with weights: checked, and laid beside the file
    net = create_net("resnet_v2_8", input_shape=(1, 8, 8), seed=2)
    weights = save_weights(net, tmp_path / "some.safetensors", card_of(net))
    out = tmp_path / "resnet.py"
    assert main(["export", str(weights), "--out", str(out)]) == 0
    assert 'load_file("resnet.safetensors")' in out.read_text("utf-8")
    stored = load_file(tmp_path / "resnet.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in net.state_dict().items())
    capsys.readouterr()

    assert main(["export", "plain_20", "--weights", str(weights), "--out", str(out)]) == 2
    assert "some.safetensors is not this net's" in capsys.readouterr().err
    assert main(["export", "resnet_v2_8", "--weights", str(weights)]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["export", "plain_20", "--out", str(tmp_path / "no" / "a.py")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["export", "plain_20", "--out", str(tmp_path / "mine.txt")]) == 2
    assert ".py" in capsys.readouterr().err
