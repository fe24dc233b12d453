"""Other libraries' nets and a person's weights as jobs: found, loaded, measured, refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

import explorer
from explorer.errors import DataError, SkipscopeError, SpecError, WeightsError
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.lesions.result import LesionCurve
from explorer.nets.adapters import external_blueprint
from explorer.nets.weights import trained_on
from explorer.results import ForwardTiming
from explorer.runs.serve import uploads
from explorer.runs.serve.requests import parse_request
from explorer.runs.serve.service import RunService
from explorer.runs.serve.uploads import keep_upload, upload_path
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.blueprint import blueprint, from_json, to_json
from explorer.structure.library_nets import TORCHVISION, read_token
from explorer.structure.named_nets import is_upload
from explorer.structure.names import NETS, spec_of
from explorer.structure.specs import fit
from explorer.structure.trained_on import TrainedOn

RESNET = {"source": "external", "name": "torchvision_resnet18"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes, two of which ImageNet knows."""
    root = tmp_path_factory.mktemp("photos") / "photos"
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("goldfish", "tench", "unicorn"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, worker_threads: None) -> Iterator[RunService]:
    service = RunService(tmp_path_factory.mktemp("home"), threads=1)
    yield service
    service.close()


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


def folder(photos: Path, **more: Any) -> dict[str, Any]:
    return {"name": "folder", "path": str(photos), **more}


def asked(service: RunService, kind: Any, payload: dict[str, Any]) -> dict[str, Any]:
    """What a worker would be told."""
    seen: list[dict[str, Any]] = []
    before = service._job_queue.submit
    service._job_queue.submit = lambda key, command, **rest: seen.append(command)  # type: ignore[assignment,func-returns-value,return-value,misc]
    try:
        service.submit(kind, payload)
    finally:
        service._job_queue.submit = before  # type: ignore[method-assign]
    told: dict[str, Any] = seen[0]["payload"]
    return told


def answer(service: RunService, shelf: Shelf, kind: Any, payload: dict[str, Any]) -> dict[str, Any]:
    """A job's result, here instead of in a worker."""
    context = Context(shelf, 0, lambda: False, lambda *_: None, lambda _: None)
    return run_job(context, kind, asked(service, kind, payload))


def test_the_service_tells_the_worker_shape_and_classes(service: RunService, photos: Path) -> None:
    told = asked(service, "lesions", {"net": RESNET, "data": folder(photos, image_size=32)})
    assert told["net"] == {
        "source": "external",
        "name": "torchvision_resnet18",
        "weights": None,
        "seed": 7,
        "input_shape": [3, 32, 32],
        "classes": ["goldfish", "tench", "unicorn"],
        "data": "photos",
    }
    # without a size, a folder's images are as large as ImageNet's
    told = asked(service, "lesions", {"net": RESNET, "data": folder(photos)})
    assert told["net"]["input_shape"] == [3, 224, 224]
    assert told["data"]["image_size"] == 224
    assert told["data"]["resize"] == 256
    with pytest.raises(DataError, match="Choose the images on which torchvision_resnet18 is to"):
        service.submit("lesions", {"net": RESNET})
    with pytest.raises(SpecError, match="did you mean 'torchvision_resnet18'"):
        service.submit("gradients", {"net": {**RESNET, "name": "torchvision_resnet19"}})


def test_lesions_and_gradients_are_those_of_a_notebook(
    service: RunService, shelf: Shelf, photos: Path, tmp_path: Path
) -> None:
    data = folder(photos, image_size=32)
    torch.manual_seed(4)
    trained = models.resnet18(num_classes=3)
    torch.save(trained.state_dict(), tmp_path / "mine.pt")
    upload = service.keep_weights("mine.pt", (tmp_path / "mine.pt").read_bytes())
    for weights in (str(tmp_path / "mine.pt"), upload):
        net = {**RESNET, "weights": weights}
        curve = LesionCurve.from_json(
            answer(service, shelf, "lesions", {"net": net, "data": data, "n_images": None})
        )
        own = explorer.load_external(
            "torchvision_resnet18", weights=tmp_path / "mine.pt", input_shape=(3, 32, 32)
        )
        spec = explorer.DataSpec(name="folder", path=str(photos), image_size=32)
        wanted = explorer.lesions(own, spec)
        assert curve.units == wanted.units
        assert curve.net == "torchvision_resnet18"
        np.testing.assert_array_equal(curve.accuracy, wanted.accuracy)
    gradients = LayerGradients.from_json(
        answer(service, shelf, "gradients", {"net": RESNET, "data": data})
    )
    assert gradients.layers[0] == "stem.conv1"
    assert np.isfinite(gradients.parameter_rms).all()


def test_images_are_normalised_and_classes_told_apart_as_the_net_knows_them(
    service: RunService, shelf: Shelf, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the library's weights, here made up instead of downloaded."""
    torch.manual_seed(4)
    state = models.resnet18().state_dict()
    state["bn1.running_mean"] += 0.1  # batch norms that never saw an image would go by the batch's
    entry = models.ResNet18_Weights.DEFAULT.value
    monkeypatch.setattr(
        models.ResNet18_Weights, "get_state_dict", lambda self, **options: dict(state)
    )
    # A worker fetches nothing by itself: the file is there as if somebody had asked for it.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    stored = tmp_path / "torch" / "hub" / "checkpoints" / entry.url.rpartition("/")[2]
    stored.parent.mkdir(parents=True)
    net = {**RESNET, "weights": "default"}
    with pytest.raises(DataError, match="must be downloaded first"):
        answer(service, shelf, "evaluate", {"net": net, "data": folder(photos, image_size=32)})
    stored.touch()
    with pytest.raises(DataError, match="photos has the class 'unicorn', which"):
        answer(service, shelf, "evaluate", {"net": net, "data": folder(photos, image_size=32)})
    known = tmp_path / "known"
    for split in ("train", "test"):
        for name in ("goldfish", "tench"):
            (known / split).mkdir(parents=True, exist_ok=True)
            shutil.copytree(photos / split / name, known / split / name)
    data = folder(known, image_size=32)
    told = answer(service, shelf, "predict", {"nets": [net, RESNET], "data": data, "index": 0})
    assert [len(row["probabilities"]) for row in told["predictions"]] == [2, 2]
    pixels = explorer.load_data(explorer.DataSpec(**data)).test_images[:1] / 255
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (entry.transforms().mean, entry.transforms().std)
    )
    whole = models.resnet18().eval()
    whole.load_state_dict(state)
    with torch.no_grad():
        logits = whole((pixels - mean) / std)[0, [1, 0]]
    np.testing.assert_allclose(
        told["predictions"][0]["probabilities"], logits.softmax(0).numpy(), atol=1e-4
    )


def test_blueprints_travel_as_json(service: RunService, shelf: Shelf) -> None:
    value = answer(service, shelf, "blueprint", {"net": RESNET})
    assert from_json(value["blueprint"]) == external_blueprint("torchvision_resnet18")
    assert value["tensors"] is None


@pytest.mark.parametrize("name", list(NETS)[::7])
def test_blueprints_of_ours_too(name: str) -> None:
    plan = blueprint(spec_of(name))
    assert from_json(to_json(plan)) == plan


def test_a_file_of_weights_is_looked_at(service: RunService, shelf: Shelf, tmp_path: Path) -> None:
    save_file(models.resnet18(num_classes=4).state_dict(), tmp_path / "four.safetensors")
    net = {**RESNET, "weights": str(tmp_path / "four.safetensors")}
    value = answer(service, shelf, "blueprint", {"net": net})
    plan = from_json(value["blueprint"])
    assert (plan.spec.classes, plan.spec.input_shape) == (4, (3, 224, 224))
    assert (value["tensors"], value["values"]) == (122, plan.parameters + 9620)
    own = spec_of("plain_8;width=4")
    explorer.create_net(own, seed=1)
    save_file(dict(explorer.create_net(own, seed=1).state_dict()), tmp_path / "own.safetensors")
    source = {"source": "file", "spec": own.model_dump(mode="json")}
    value = answer(
        service, shelf, "blueprint", {"net": {**source, "path": str(tmp_path / "own.safetensors")}}
    )
    assert from_json(value["blueprint"]) == blueprint(own)
    with pytest.raises(WeightsError, match="is not this net's"):
        answer(service, shelf, "blueprint", {"net": {**RESNET, "weights": source_path(tmp_path)}})
    with pytest.raises(WeightsError, match="There is no weights file"):
        answer(service, shelf, "blueprint", {"net": {**RESNET, "weights": "/no/such.pt"}})


def source_path(folder: Path) -> str:
    return str(folder / "own.safetensors")


def test_another_librarys_forward_is_timed(service: RunService, shelf: Shelf) -> None:
    ask = {"external": "torchvision_resnet18", "images": 1, "steps": 2, "burn_in": 1}
    timing = ForwardTiming.from_json(answer(service, shelf, "timing", {**ask, "fast": True}))
    assert len(timing.seconds) == 2
    assert timing.multiply_adds == external_blueprint("torchvision_resnet18").multiply_adds
    for wrong in ({}, {"external": "x", "spec": spec_of("plain_8").model_dump(mode="json")}):
        with pytest.raises(SkipscopeError, match="Give either the spec of a net or the name"):
            parse_request("timing", wrong)


# -------------------------------------------------------------------------------- uploads


def test_uploads_have_names_of_their_content(tmp_path: Path) -> None:
    tensors = b"PK\x03\x04tensors"  # as torch's archives begin
    name = keep_upload(tmp_path, "My net.PT.tar", tensors)
    assert is_upload(name)
    assert name.endswith(".pt")
    assert keep_upload(tmp_path, "other.pt", tensors) == name
    assert upload_path(tmp_path, name).read_bytes() == tensors
    told = keep_upload(tmp_path, "net.pt", tensors, TrainedOn(mean=(0.5,), std=(0.25,)))
    assert told != name  # what belongs to the weights is part of what the name stands for
    assert trained_on(upload_path(tmp_path, told)) == TrainedOn(mean=(0.5,), std=(0.25,))
    for wrong in ("../secret.pt", "/etc/passwd", "0" * 16 + ".pt", name[:-3] + ".exe", ""):
        with pytest.raises(WeightsError, match="are not stored here: upload the file again"):
            upload_path(tmp_path, wrong)
    with pytest.raises(WeightsError, match=r"'net.pt' is no file of weights: \.safetensors files"):
        keep_upload(tmp_path, "net.pt", b"tensors of something else")
    with pytest.raises(WeightsError, match="is empty"):
        keep_upload(tmp_path, "net.pt", b"")


def test_old_uploads_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BYTES_KEPT", 20)
    names = []
    for i in range(4):
        names.append(keep_upload(tmp_path, "net.pt", b"PK\x03\x04" + bytes([i]) * 4))
        os.utime(upload_path(tmp_path, names[-1]), (i, i))
    kept = {path.name for path in (tmp_path / "weights").iterdir()}
    assert kept == set(names[2:])
    large = keep_upload(tmp_path, "net.pt", b"PK\x03\x04" + b"x" * 46)
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {large}


def test_words_of_links() -> None:
    assert read_token("torchvision_resnet50") == ("torchvision_resnet50", None)
    assert read_token(" timm_resnet50 ; weights=default ") == ("timm_resnet50", "default")
    for wrong in ("weights", "weights=", "width=8", "weights=../a.pt", "weights=C:\\a.pt"):
        with pytest.raises(SpecError, match="torchvision_vgg11;weights=default for its library"):
            read_token(f"torchvision_vgg11;{wrong}")
    with pytest.raises(SpecError, match="did you mean"):
        read_token("torchvision_vgg12")
    assert all(read_token(f"torchvision_{name}") for name in TORCHVISION)


def test_a_timings_words_have_no_exponents() -> None:
    for scale in (1e-4, 0.0995, 1.0, 9.9996, 300.0):
        seconds = scale * np.linspace(0.5, 1.5, 20)
        timing = ForwardTiming(32, 10, seconds, 10**9, "cpu", "float32", "contiguous", 1)
        said = " ".join([timing.summary(), *timing.lines()])
        assert "e+" not in said
        assert "e-" not in said
        assert f"n = {len(seconds)} after 10" in said


def test_images_of_every_kind_give_one_number_at_every_door(
    service: RunService, shelf: Shelf, photos: Path, tmp_path: Path
) -> None:
    """A folder, its archive by path and dropped on a page, and arrays: as a job and in Python."""
    made = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", photos.parent, "photos"))
    kept = service.keep_images("photos.zip", made.read_bytes())
    arrays: dict[str, Any] = {}
    for split in ("train", "test"):
        files = sorted((photos / split).rglob("*.png"))
        arrays[f"x_{split}"] = np.stack([np.asarray(Image.open(file)) for file in files])
        arrays[f"y_{split}"] = np.array([file.parent.name for file in files])
    np.savez(tmp_path / "photos.npz", **arrays)
    spec = fit(spec_of("resnet_v2_8;width=4"), (3, 32, 32), 3)
    fresh = {"source": "fresh", "spec": spec.model_dump(mode="json"), "seed": 3}
    net = explorer.create_net(spec, seed=3).eval()
    seen = []
    for place in (photos, made, kept, tmp_path / "photos.npz"):
        said = answer(service, shelf, "accuracy", {"net": fresh, "data": folder(place)})
        result = explorer.accuracy(net, place)
        assert said["right"] == result.right.tolist()
        seen.append((said["normalised"], said["of_class"], said["right"], said["right_of_five"]))
    assert seen == [seen[0]] * 4
    assert seen[0][1] == [4, 4, 4]
