"""Reuse, propagation, shattering, sensitivity, surfaces as jobs: asked, streamed, kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explorer.errors import Cancelled, NotApplicableError, SkipscopeError
from explorer.instruments import instrument
from explorer.instruments.doors import kept as kept_surfaces
from explorer.instruments.reuse.result import FeatureReuse
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.instruments.surface.result import LossSurface
from explorer.runs.serve.requests import kinds, parse_request
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, fit_to_data

DATA = DataSpec().model_dump(mode="json")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


def fresh(name: str, seed: int = 1) -> dict[str, Any]:
    spec = fit_to_data(spec_of(name), DataSpec()).model_dump(mode="json")
    return {"source": "fresh", "spec": spec, "seed": seed}


def run(
    shelf: Shelf,
    kind: str,
    payload: dict[str, Any],
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The job's result and its partial ones, as a worker would carry it out."""
    asked = parse_request(kind, payload).model_dump(mode="json")
    asked["data"] = DATA
    parts: list[dict[str, Any]] = []
    shares: list[float] = []
    context = Context(
        shelf,
        0,
        cancelled,
        lambda share, text: shares.append(share),
        lambda value: parts.append(json.loads(json.dumps(value))),
    )
    result = run_job(context, kind, asked)
    assert all(0 <= share <= 1 for share in shares)
    return json.loads(json.dumps(result, allow_nan=False)), parts


def test_every_kind_is_one() -> None:
    assert {"reuse", "propagation", "sensitivity", "surface", "shattering"} <= set(kinds())


def test_reuse_and_sensitivity_answer_at_once(shelf: Shelf) -> None:
    result, parts = run(shelf, "reuse", {"net": fresh("densenet_7_k4"), "scaled": True})
    reuse = FeatureReuse.from_json(result)
    assert reuse.scaled
    assert len(reuse.blocks) == 3
    result, parts = run(shelf, "sensitivity", {"net": fresh("resnet_v2_8"), "n_images": 20})
    assert not parts
    assert Sensitivity.from_json(result).n_images == 20
    with pytest.raises(NotApplicableError, match="densenet_40_k12"):
        run(shelf, "reuse", {"net": fresh("plain_8")})


def test_propagation_streams_net_by_net(shelf: Shelf) -> None:
    payload = {"net": fresh("plain_8"), "n_images": 20, "seeds": 2}
    result, parts = run(shelf, "propagation", payload)
    assert [instrument("propagation").result.from_json(part).seeds for part in parts] == [1, 2]
    assert instrument("propagation").result.from_json(result).fresh
    own, _ = run(shelf, "propagation", {**payload, "seeds": None})
    assert not instrument("propagation").result.from_json(own).fresh


def test_shattering_streams_family_by_family(shelf: Shelf) -> None:
    payload = {"families": ["plain", "highway"], "depths": [2], "width": 8, "seeds": 2}
    result, parts = run(shelf, "shattering", payload)
    assert [len(part["families"]) for part in parts][::2] == [1]  # of quick parts some are left out
    families = instrument("shattering").result.from_json(result).families
    assert [one.family for one in families] == ["plain", "highway"]
    assert families[1].transform_bias == -2


def test_a_surface_is_never_measured_twice(shelf: Shelf) -> None:
    payload = {"net": fresh("resnet_v2_8;width=4"), "n_images": 20, "resolution": 5}
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    with pytest.raises(Cancelled):
        run(shelf, "surface", payload, stop)
    counted: list[int] = []
    count = lambda: bool(counted.append(1))  # noqa: E731
    result, parts = run(shelf, "surface", payload, count)
    left = len(counted)
    assert left <= 25 - 9  # the first level was told of, and so kept
    assert [LossSurface.from_json(part).complete for part in parts][-1]
    surface = LossSurface.from_json(result)

    counted.clear()
    again, _ = run(shelf, "surface", payload, count)
    assert again == result
    assert not counted
    fine, _ = run(shelf, "surface", {**payload, "resolution": 9}, count)
    assert len(counted) == 81 - 25
    np.testing.assert_array_equal(LossSurface.from_json(fine).loss[::2, ::2], surface.loss)
    counted.clear()
    coarse, _ = run(shelf, "surface", {**payload, "resolution": 3}, count)
    assert not counted
    np.testing.assert_array_equal(LossSurface.from_json(coarse).loss, surface.loss[::2, ::2])
    run(shelf, "surface", {**payload, "direction": 1, "resolution": 3}, count)
    run(shelf, "surface", {**payload, "norm": "batch", "resolution": 3}, count)
    assert len(counted) == 18


def test_surfaces_outlive_their_worker(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path))
    payload = {"net": fresh("resnet_v2_8;width=4"), "n_images": 20, "resolution": 3}
    counted: list[int] = []
    count = lambda: bool(counted.append(1))  # noqa: E731
    result, _ = run(shelf, "surface", payload, count)
    assert len(counted) == 9
    again, _ = run(Shelf(), "surface", payload, count)  # as a worker of another start does
    assert again == result
    assert len(counted) == 9
    scaled = fresh("resnet_v2_8;width=4;shortcut=constant_scaling")  # the very same values
    other, _ = run(shelf, "surface", {**payload, "net": scaled}, count)
    assert len(counted) == 18
    assert other["points"] != result["points"]
    (first, *_) = sorted((tmp_path / "surfaces").iterdir(), key=lambda file: file.stat().st_mtime)
    first.write_text("cut sho")
    assert run(shelf, "surface", payload, count)[0] == result
    assert len(counted) == 27
    monkeypatch.setattr(kept_surfaces, "KEPT", 1)
    run(shelf, "surface", {**payload, "direction": 1}, count)
    assert len(list((tmp_path / "surfaces").iterdir())) == 1
    file = tmp_path / "no folder"
    file.touch()
    monkeypatch.setenv("SKIPSCOPE_HOME", str(file))  # nothing can be kept there
    assert run(shelf, "surface", payload, count)[0] == result


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("surface", {"resolution": 2}, "resolution"),
        ("surface", {"span": 0}, "span"),
        ("surface", {"norm": "layer"}, "norm"),
        ("propagation", {"seeds": 0}, "seeds"),
        ("sensitivity", {"nudge": 2}, "nudge"),
        ("reuse", {"scaled": "perhaps"}, "scaled"),
    ],
)
def test_wrong_requests_are_one_sentence(kind: str, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SkipscopeError, match=sentence):
        parse_request(kind, {"net": fresh("plain_8"), **change})
    with pytest.raises(SkipscopeError, match="Families"):
        parse_request("shattering", {"families": ["dense"]})
