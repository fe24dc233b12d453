"""The same weights and images give the same number at every door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import explorer
from explorer.cli import main
from explorer.data.load import load_data
from explorer.errors import DataError, SkipscopeError
from explorer.measuring.match import matched
from explorer.nets import create_net, load_weights
from explorer.nets.weights import net_with_weights, trained_on
from explorer.runs.serve.requests import parse_request
from explorer.runs.serve.service import RunService
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.specs import DataSpec
from explorer.structure.trained_on import TrainedOn, told

SIDE = 16


def pictures(root: Path, classes: dict[str, int], train: int, test: int, dark: int = 1) -> Path:
    """Noise about a class's mean, the same pictures at a share of their brightness."""
    draw = np.random.default_rng(0)
    for split, n in (("train", train), ("test", test)):
        for name, mean in classes.items():
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(draw.normal(mean, 20, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels // dark).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def day_and_night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("folders")
    classes = {"dim": 90, "lit": 160}
    return (
        pictures(root / "day", classes, 60, 24),
        pictures(root / "night", classes, 60, 24, dark=2),
    )


@pytest.fixture(scope="module")
def weights(day_and_night: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a net trained on the day's pictures, with its card beside."""
    out = tmp_path_factory.mktemp("out")
    words = f"train resnet_v2_8;width=4 --image-size {SIDE} --steps 60 --batch 16"
    main([*words.split(), "--data", str(day_and_night[0]), "--out", str(out)])
    return next(out.glob("lane-1-*.safetensors"))


def by_shell(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def by_job(service: RunService, net: dict[str, Any], folder: Path) -> dict[str, Any]:
    """As the page asks it."""
    context = Context(Shelf(), 0, lambda: False, lambda *_: None, lambda _: None)
    data = {"name": "folder", "path": str(folder), "image_size": SIDE}
    request = {"net": net, "data": data}
    asked = service._resolver.question("lesions", parse_request("lesions", request))
    return run_job(context, "lesions", asked.message["payload"])


def test_one_number_at_every_door(
    day_and_night: tuple[Path, Path],
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, night = day_and_night
    name = "resnet_v2_8;width=4"
    found = {
        "by its card": by_shell(capsys, "lesions", weights, "--data", night),
        "by its net": by_shell(capsys, "lesions", name, "--weights", weights, "--data", night),
    }
    service = RunService(tmp_path, threads=1)
    try:
        spec = json.loads(weights.with_suffix(".json").read_text())["spec"]
        upload = service.keep_weights(weights.name, weights.read_bytes())  # without its card
        for door, path in (("by its path", str(weights)), ("uploaded", upload)):
            found[door] = by_job(service, {"source": "file", "spec": spec, "path": path}, night)
    finally:
        service.close()
    net = create_net(name, input_shape=(3, SIDE, SIDE), classes=2)
    load_weights(net, weights)
    python = explorer.lesions(net.eval(), night)
    found["in Python"] = python.to_json()
    accuracy = {door: one["baseline_accuracy"] for door, one in found.items()}
    assert len(set(accuracy.values())) == 1, accuracy
    assert len({json.dumps(one["units"]) for one in found.values()}) == 1
    # By the night's own mean it would see the day again: another number, which nobody is told.
    fresh = create_net(name, input_shape=(3, SIDE, SIDE), classes=2)
    fresh.load_state_dict(net.state_dict())
    assert explorer.lesions(fresh.eval(), night).baseline_accuracy != python.baseline_accuracy
    for door in ("by its card", "by its net", "by its path", "uploaded"):
        assert found[door]["normalised"].startswith("normalised by the weights' mean (0.4"), door


def test_a_run_is_measured_as_its_weights_file(
    day_and_night: tuple[Path, Path], tmp_path: Path
) -> None:
    from explorer.structure.names import spec_of
    from explorer.structure.specs import ExperimentSpec, TrainSpec, fit
    from explorer.training.loop import Session

    day, night = day_and_night
    data = DataSpec(name="folder", path=str(day), image_size=SIDE)
    lane = fit(spec_of("resnet_v2_8;width=4"), (3, SIDE, SIDE), 2)
    experiment = ExperimentSpec(
        lanes=(lane,), data=data, training=TrainSpec(steps=20, batch_size=16)
    )
    session = Session(experiment, load_data(data))
    list(session.records())
    session.snapshot(0, tmp_path / "lane-0.safetensors")
    again = net_with_weights(lane, tmp_path / "lane-0.safetensors").eval()
    assert again.trained_on == session.nets[0].trained_on
    assert again.trained_on is not None
    assert again.trained_on.classes == ("dim", "lit")
    assert again.trained_on.data == "day"
    of_session = explorer.lesions(session.nets[0].eval(), night)
    assert explorer.lesions(again, night).baseline_accuracy == of_session.baseline_accuracy


def test_what_a_person_says_goes_before_what_the_file_says(
    day_and_night: tuple[Path, Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day, night = day_and_night
    own = load_data(DataSpec(name="folder", path=str(night), image_size=SIDE))
    mean, std = (",".join(f"{v:.6f}" for v in values.tolist()) for values in (own.mean, own.std))
    said = by_shell(capsys, "lesions", weights, "--data", night, f"--mean={mean}", f"--std={std}")
    of_day = by_shell(capsys, "lesions", weights, "--data", day)
    assert said["baseline_accuracy"] == of_day["baseline_accuracy"] == 1.0
    other = by_shell(capsys, "lesions", weights, "--data", day, "--classes", "lit,dim")
    assert other["baseline_accuracy"] == 0.0  # each answer is called by the other's name
    for words, sentence in (
        (["--mean", "0.5"], "Mean has 1 values and std 0"),
        (["--mean", "0.5", "--std", "0.5"], "--mean and --std have 1 values"),
        (["--classes", "a,b,c"], "--classes are 3 names, and the net tells 2 classes apart"),
        (["--mean", "2,2,2", "--std", "1,1,1"], "give a number from 0 to 1"),
    ):
        assert main(["lesions", str(weights), "--data", str(day), *words]) != 0
        assert sentence in capsys.readouterr().err


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    """In another order, or only some of them, the answers are the data's."""
    folder = pictures(tmp_path / "three", {"b": 90, "c": 120, "a": 200}, 4, 4)
    data = load_data(DataSpec(name="folder", path=str(folder), image_size=SIDE))
    net = create_net("resnet_v2_8;width=4", input_shape=(3, SIDE, SIDE), classes=4, seed=1).eval()
    x = data.normalise(data.test_images)
    net.trained_on = TrainedOn(classes=("c", "other", "a", "b"))
    few, _ = matched(net, data)
    assert data.info.classes == ("a", "b", "c")
    torch.testing.assert_close(few(x), net(x)[:, [2, 3, 0]])
    assert few.spec.classes == 3
    net.trained_on = TrainedOn(classes=("1", "2", "3", "4"))
    with pytest.raises(DataError, match="has the class 'a', which resnet_v2_8;width=4 does not"):
        matched(net, data)
    same = create_net("resnet_v2_8;width=4", input_shape=(3, SIDE, SIDE), classes=3, seed=1).eval()
    same.trained_on = TrainedOn(classes=("x", "y", "z"))  # as many, called otherwise: by place
    assert matched(same, data)[0] is same


def test_what_belongs_to_weights_is_found(tmp_path: Path, weights: Path) -> None:
    known = trained_on(weights)
    assert known is not None
    assert known.classes == ("dim", "lit")
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(weights), bare)
    assert trained_on(bare) is None
    (tmp_path / "bare.json").write_text('{"some": "other file"}')
    assert trained_on(bare) is None
    (tmp_path / "bare.json").write_text(weights.with_suffix(".json").read_text())  # its card
    assert trained_on(bare) == known
    assert told(classes=("cifar10",)).classes[1] == "automobile"
    with pytest.raises(SkipscopeError, match="give one of each for every channel"):
        told(mean=(0.5, 0.5), std=(1,))


def test_the_page_is_told_which_nets_a_file_fits(
    day_and_night: tuple[Path, Path], weights: Path, tmp_path: Path
) -> None:
    """As its upload form asks: told from the file, from shapes, or by trying it on images."""
    day, _ = day_and_night
    service = RunService(tmp_path / "home", threads=1)

    def fits(path: Path, data: Path | None) -> dict[str, Any]:
        upload = service.keep_weights(path.name, path.read_bytes())
        values = data and {"name": "folder", "path": str(data), "image_size": SIDE}
        request = parse_request("fits", {"path": upload, "data": values})
        payload = service._resolver.question("fits", request).message["payload"]
        context = Context(Shelf(), 0, lambda: False, lambda *_: None, lambda _: None)
        return run_job(context, "fits", payload)

    try:
        known = fits(weights, None)  # its header says it
        assert known == {
            "nets": ["resnet_v2_8;width=4"],
            "taken": "resnet_v2_8;width=4",
            "said": [],
        }
        bare = tmp_path / "theirs.pt"
        state = {f"module.{name}": value for name, value in load_file(weights).items()}
        torch.save({"net": state, "net_ema": {k: 0 * v for k, v in state.items()}}, bare)
        open_to = fits(bare, None)
        assert open_to["taken"] is None
        assert open_to["nets"] == ["resnet_v2_8;width=4", "resnet_v2_8;width=4;shortcut_pad=both"]
        assert "'net' was taken, not 'net_ema'" in open_to["said"][0]
        tried = fits(bare, day)
        assert len(tried["said"]) == 2
        assert "right of 48 test images of day" in tried["said"][1]
        torch.save({"a": torch.zeros(2, 2)}, bare)
        with pytest.raises(SkipscopeError, match="no units of convolutions"):
            fits(bare, None)
    finally:
        service.close()
