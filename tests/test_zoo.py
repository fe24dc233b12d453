"""``skipscope zoo``: nets for images that do not come with the program, made, kept and verified."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from explorer.cli import main
from explorer.cli.folder import read_folder
from explorer.data.catalog import data_home
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import SkipscopeError, WeightsError
from explorer.instruments.doors import trainings
from explorer.nets import create_net
from explorer.nets.weights import load_pretrained, round_weights, save_weights
from explorer.pages.compare import feed as compare_feed
from explorer.pages.compare.presets import offered, preset_of, shipped_elsewhere, start_from
from explorer.pages.instruments import feed
from explorer.pages.shared.measurements import Measurements
from explorer.pages.shared.state import default_state, from_query, to_query, without_stale_step
from explorer.structure import cards
from explorer.structure.cards import (
    Card,
    Kept,
    KeptResult,
    Within,
    kept_path,
    read_card,
    read_kept,
)
from explorer.structure.specs import DATASETS, DataSpec, TrainSpec
from explorer.training import publish as publishing
from explorer.training.loop import Session
from explorer.training.publish import (
    KEEP,
    MOMENTS,
    SHIPPED,
    Recipe,
    apart,
    differences,
    experiment_of,
    moments,
    publish,
    publish_folder,
)

TINY = "cifar10_resnet_v2_8"
TRAINING = TrainSpec(steps=6, batch_size=10, eval_every=2, keep_weights=(0, 4))


def forget() -> None:
    """What is known of shipped nets is read anew."""
    cards.shipped.cache_clear()
    cards.kept.cache_clear()
    trainings.recorded.cache_clear()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    forget()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    recipe = Recipe("resnet_v2_8", TRAINING, seeds=1, data="cifar10", augment=True)
    monkeypatch.setattr(publishing, "SHIPPED", {TINY: recipe})
    monkeypatch.setattr(publishing, "KEEP", {"random_lesions": 10, "responses": None, "gates": 5})
    return recipe


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """50 training and 20 test images in torchvision's files, where it would put its download."""
    from torchvision.datasets import CIFAR10

    folder = data_home() / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(5)
    sums = {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        n = 20 if name == "test_batch" else 10
        content: dict[str, Any] = {
            "data": draws.integers(0, 256, (n, 3072), dtype=np.uint8),
            "labels": [i % 10 for i in range(n)],
        }
        if name == "batches.meta":
            content = {"label_names": list(DATASETS["cifar10"].classes)}
        packed = pickle.dumps(content)
        (folder / name).write_bytes(packed)
        sums[name] = hashlib.md5(packed).hexdigest()
    batches = [[name, sums[name]] for name in sums if name.startswith("data_batch")]
    monkeypatch.setattr(CIFAR10, "train_list", batches)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    yield load_data(DataSpec(name="cifar10", augment=True))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def published(
    recipe: Recipe, data: Dataset, out: Path, monkeypatch: pytest.MonkeyPatch | None = None
) -> Card:
    """The tiny net, made; as one that ships, where it is asked for."""
    card = publish(recipe.key, out, data=data)
    if monkeypatch is not None:
        monkeypatch.setattr(cards, "PRETRAINED", out)
        forget()
    return card


# ------------------------------------------------------------------------------------ float16


def test_matrices_are_stored_as_float16_and_read_as_float32(tmp_path: Path) -> None:
    net = create_net("plain_8", input_shape=(1, 8, 8), seed=3)
    with torch.no_grad():
        net.stages[0].units[0].conv1.weight[0, 0, 0, 0] = (
            1e5  # beyond float16: this kernel stays as it is
        )
    file = tmp_path / "net.safetensors"
    card = Card(
        name="net",
        spec=net.spec,
        data=DataSpec(),
        recipe=TrainSpec(),
        seed=3,
        accuracy=0.1,
        n_images=360,
        precision="float16",
    )
    save_weights(net, file, card)
    kinds = {key: value.dtype for key, value in load_file(file).items()}
    assert kinds["stages.0.units.0.conv1.weight"] == torch.float32
    assert kinds["stages.1.units.0.conv1.weight"] == torch.float16
    assert {kinds[key] for key in kinds if key.endswith(("running_var", "bias"))} == {torch.float32}
    read = create_net(net.spec, seed=4)
    from explorer.nets.weights import load_weights

    load_weights(read, file)
    round_weights(net)
    for key, value in net.state_dict().items():
        assert read.state_dict()[key].dtype == value.dtype
        assert torch.equal(read.state_dict()[key], value)


# ---------------------------------------------------------------------------------- publishing


def test_a_training_that_was_cut_short_is_gone_on_with_and_published(
    tiny: Recipe,
    cifar10: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from explorer.cli.train import train_in
    from explorer.system.home import default_home

    build = ["zoo", "build", "--only", TINY, "--json"]
    folder = default_home() / "zoo" / TINY
    session = Session(experiment_of(tiny), cifar10)
    records = session.records
    with monkeypatch.context() as patch:
        patch.setattr(session, "records", lambda: interrupted_at(3, records()))
        with pytest.raises(KeyboardInterrupt):
            train_in(folder, session)
    session.save(folder / "checkpoint.safetensors")
    assert main([*build, "--out", str(tmp_path / "early")]) == 2
    assert "at step 4: go on with it by --resume" in capsys.readouterr().err
    saved = read_folder(str(folder))[1]
    with pytest.raises(WeightsError, match="is at step 4 of 6: go on"):
        publish_folder(TINY, folder, saved, cifar10, tmp_path / "early")
    assert not (tmp_path / "early").exists()

    assert main([*build, "--resume", "--out", str(tmp_path / "resumed")]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    whole = published(tiny, cifar10, tmp_path / "whole")
    assert said["accuracy"] == whole.accuracy
    files = [tmp_path / way / f"{TINY}.safetensors" for way in ("resumed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    # What is over is published from any folder, and without --resume.
    elsewhere = tmp_path / "elsewhere"
    assert main([*build, "--from", str(folder), "--out", str(elsewhere)]) == 0
    assert (elsewhere / f"{TINY}.safetensors").read_bytes() == files[0].read_bytes()
    card = read_card(elsewhere / f"{TINY}.json")
    assert card.data == DataSpec(name="cifar10", augment=True)
    assert (card.n_train, card.n_images, card.epochs) == (50, 20, 60 / 50)
    assert card.seconds is not None
    assert "cores" in card.hardware
    assert card.records["eval"]["step"] == [0, 2, 4, 6]


def interrupted_at(step: int, records: Any) -> Iterator[Any]:
    """A training's records until Ctrl-C in the middle of it."""
    for record in records:
        if record.step == step:
            raise KeyboardInterrupt
        yield record


def test_a_folder_of_another_training_is_refused(
    tiny: Recipe, cifar10: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    experiment = experiment_of(tiny)
    training = experiment.training.model_copy(update={"learning_rate": 0.5})
    session = Session(experiment.model_copy(update={"training": training, "seed": 8}), cifar10)
    session.save(folder / "checkpoint.safetensors")
    with pytest.raises(WeightsError, match=r"its recipe, seed differs"):
        publish_folder(TINY, folder, (), cifar10)
    for name, expected in (("digits_plain_2", "no recipe"), ("cifar10_resnet_v2_", f"'{TINY}'")):
        with pytest.raises(WeightsError, match=expected):
            publish_folder(name, folder, (), cifar10)


def test_other_images_are_refused(
    tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            place = tmp_path / "pets" / split / name
            place.mkdir(parents=True)
            Image.new("RGB", (8, 8), (9, 99, 199)).save(place / "a.png")
    build = ["zoo", "build", "--only", TINY, "--out", str(tmp_path / "out")]
    assert main([*build, "--data", str(tmp_path / "pets")]) == 2
    said = capsys.readouterr().err
    assert f"{TINY} is made of CIFAR-10 (10 classes: airplane, automobile, bird, …)" in said
    assert "3×32×32 images in 2 classes (cat, dog, …): give --data cifar10, or a folder" in said
    assert main(build) == 2
    assert "needs the images of CIFAR-10: give --data cifar10, which" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_moments_keep_the_ends_and_what_lies_between(tiny: Recipe, cifar10: Dataset) -> None:
    session = Session(experiment_of(tiny), cifar10)
    records = list(session.records())
    kept = moments(records)
    for kind in ("layers", "responses", "lesions"):
        steps = [record.step for record in records if record.kind == kind]
        found = [record.step for record in kept if record.kind == kind]
        assert found[0] == steps[0]
        assert found[-1] == steps[-1]
        assert len(found) == min(len(steps), MOMENTS)
    assert [record.step for record in kept] == sorted(record.step for record in kept)
    many = [records[-1]] * 0 + [r for r in records if r.kind == "layers"] * 40
    assert len(moments(many)) == MOMENTS


# ---------------------------------------------------------------------------------- verifying


def test_what_a_card_says_is_measured_again(
    tiny: Recipe,
    cifar10: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = published(tiny, cifar10, tmp_path, monkeypatch)
    assert card.spec.batch_norm
    assert set(card.within) == {"accuracy", *card.results}
    assert differences(TINY, cifar10, whole=True) == []
    assert main(["zoo", "verify", "--only", TINY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []

    def told(**changes: Any) -> list[str]:
        changed = card.model_copy(update=changes)
        (tmp_path / f"{TINY}.json").write_text(changed.model_dump_json())
        forget()
        return differences(TINY, cifar10)

    off = told(accuracy=card.accuracy + 0.3 if card.accuracy < 0.5 else card.accuracy - 0.3)
    assert len(off) == 1
    assert "accuracy is" in off[0]
    gradients = json.loads(json.dumps(card.results["gradients"]))
    gradients["layers"][2]["parameter_rms"] *= 3
    (off,) = (told(results={**card.results, "gradients": gradients}),)
    assert len(off) == 1
    assert "gradients is" in off[0]
    assert "and the card says" in off[0]
    assert main(["zoo", "verify", "--only", TINY]) == 2
    err = capsys.readouterr().err
    assert "1 measurement differs from what the cards say" in err
    (off,) = told(n_images=10_000)
    assert "give the whole test set" in off
    with pytest.raises(WeightsError, match="There are no shipped weights named 'digits_plain_20'"):
        differences("digits_plain_20", cifar10)


def test_apart_is_by_what_the_card_allows() -> None:
    within = Within(absolute=0.01, relative=0.1)
    assert apart({"a": [1.0, 2.0], "net": "x"}, {"a": [1.09, 2.0], "net": "y"}, within) is None
    assert "at a 2" in str(apart({"a": [1.0, 2.0]}, {"a": [1.0, 2.3]}, within))
    assert apart([0.0], [0.009], within) is None
    assert apart([0.0], [0.011], within) is not None
    assert apart([None], [0.0], within) is not None
    assert apart([1], [1, 2], within) == "has 2 values at, and the card 1"
    assert apart({"a": 1}, {}, within) == "has no a any more"
    assert apart(None, None, within) is None


def test_without_images_nets_are_read_alone(
    tiny: Recipe,
    cifar10: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    published(tiny, cifar10, tmp_path, monkeypatch)
    (data_home() / "cifar-10-batches-py" / "test_batch").rename(tmp_path / "away")
    try:
        assert main(["zoo", "verify"]) == 0
        assert "files alone: no images" in capsys.readouterr().out
        assert load_pretrained(TINY)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
        assert main(["history", TINY]) == 0
        assert "stages.0.units.0" in capsys.readouterr().out
        for file, expected in (
            (f"{TINY}.kept.json", "kept.json is not what is kept of weights"),
            (f"{TINY}.safetensors", "is not a safetensors file, or is damaged"),
        ):
            whole = (tmp_path / file).read_bytes()
            (tmp_path / file).write_bytes(whole[: len(whole) // 2])
            forget()
            assert main(["zoo", "verify"]) == 2
            said = capsys.readouterr().err
            assert expected in said
            assert said.count("\n") == 1
            (tmp_path / file).write_bytes(whole)
    finally:
        (tmp_path / "away").rename(data_home() / "cifar-10-batches-py" / "test_batch")


# --------------------------------------------------------------------------------- on the pages


class Desk:
    """A service that is asked for jobs and never does them."""

    notice = None

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Any]] = []

    def submit(self, kind: str, payload: Any, **more: Any) -> Any:
        self.jobs.append((kind, payload))
        raise SkipscopeError("CIFAR-10 (170 MB) must be downloaded first: press Download.")


def test_what_is_kept_is_shown_where_the_images_are_not(
    tiny: Recipe, cifar10: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tiny, cifar10, tmp_path, monkeypatch)
    kept = read_kept(tmp_path / f"{TINY}.safetensors")
    assert [one.kind for one in kept.results] == ["random_lesions", "responses"]  # it has no gates
    assert [one.result["n_images"] for one in kept.results] == [10, 20]
    desk = Desk()
    monkeypatch.setattr(feed, "get_service", lambda: desk)
    monkeypatch.setattr(feed, "measurements", Measurements())

    def answer(**query: str) -> Any:
        return json.loads(feed.answer({"nets": TINY, **query}))

    (data_home() / "cifar-10-batches-py" / "test_batch").rename(tmp_path / "away")
    try:
        for key, n in (("random_lesions", 10), ("responses", 20), ("lesions", 20)):
            said = answer(instrument=key)
            assert said["lanes"][0]["done"]
            assert said["captions"]
            assert f"{n} test images of CIFAR-10" in said["conditions"][0]
            assert said["conditions"][0].endswith("kept with the weights")
            assert said["lanes"][0]["download"]["what"] == "cifar10"
        assert desk.jobs == []
        assert "must be downloaded" in answer(instrument="branches")["lanes"][0]["error"]
        said = answer(instrument="random_lesions;k=2")  # that was not kept
        assert "must be downloaded" in said["lanes"][0]["error"]
        asked = len(desk.jobs)
    finally:
        (tmp_path / "away").rename(data_home() / "cifar-10-batches-py" / "test_batch")
    # Once they are here it is one click to measure, and another number of images is measured.
    answer(instrument="lesions", again="yes")
    answer(instrument="random_lesions")  # this number of images is not all of them
    answer(instrument="random_lesions", n="10")
    assert [kind for kind, _ in desk.jobs[asked:]] == ["lesions", "random_lesions"]


def test_the_slider_of_time_goes_back_in_a_shipped_training(
    tiny: Recipe, cifar10: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = published(tiny, cifar10, tmp_path, monkeypatch)
    monkeypatch.setattr(compare_feed, "get_service", Desk)
    (name,) = shipped_elsewhere()
    assert name == "CIFAR-10: trained nets"
    assert offered()[-1] == name
    state = start_from(default_state(), name)
    assert preset_of(state) == name
    assert preset_of(start_from(default_state(), "v1 beside v2, 56 layers")) != name
    assert (state.data, state.training) == (card.data, card.recipe)
    shown, problems = from_query(to_query(state))
    assert (shown.lanes, shown.data, shown.training) == (state.lanes, state.data, state.training)
    assert (shown.seed, problems) == (state.seed, [])

    def lane(**more: str) -> tuple[Any, Any]:
        answer = json.loads(compare_feed.answer({**to_query(state), "charts": "error", **more}))
        return answer["transport"], answer["lanes"][0]

    bar, now = lane()
    assert bar["step"] == card.recipe.steps
    assert "trained on CIFAR-10" in bar["text"]
    assert f"{1 - card.accuracy:.1%}".replace("%", " %") == now["headline"]
    bar, earlier = lane(at="3")
    assert bar["step"] == card.recipe.steps
    assert earlier["label"].startswith("test error · step 2 · 20 images")
    error = card.records["eval"]["test_error"][1]
    assert earlier["headline"] == f"{error:.1%}".replace("%", " %")
    assert earlier["quantities"] != now["quantities"]
    assert lane(at="6")[1] == now
    # Another training has other steps; what is deleted or coloured is looked at as it was.
    from dataclasses import replace

    looking = replace(state, at=3)
    assert from_query(to_query(looking))[0].at == 3
    assert without_stale_step(looking, replace(looking, colour="lesion")).at == 3
    assert without_stale_step(looking, replace(looking, run="a")).at is None
    assert without_stale_step(looking, looking.with_lanes(default_state().lanes)).at is None


def test_nothing_kept_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = create_net("plain_8", input_shape=(1, 8, 8), seed=3)
    card = Card(
        name="bare",
        spec=net.spec,
        data=DataSpec(),
        recipe=TrainSpec(),
        seed=3,
        accuracy=0.1,
        n_images=360,
    )
    save_weights(net, tmp_path / "bare.safetensors", card)
    monkeypatch.setattr(cards, "PRETRAINED", tmp_path)
    forget()
    assert read_kept(tmp_path / "bare.safetensors") == Kept(name="bare")
    with pytest.raises(SkipscopeError, match="Of the training of bare nothing is kept"):
        trainings.of_folder("bare")
    beside = Kept(name="bare", records=({"kind": "layers"},))
    kept_path(tmp_path / "bare.safetensors").write_text(beside.model_dump_json())
    forget()
    with pytest.raises(WeightsError, match="the training of bare is damaged"):
        trainings.of_folder("bare")


# ----------------------------------------------------------------------------- what there is


def test_recipes_fit_their_images() -> None:
    for name, recipe in SHIPPED.items():
        assert name == recipe.key
        (lane,) = experiment_of(recipe).lanes
        assert lane.input_shape == DATASETS[recipe.data].input_shape
    result = KeptResult(kind="lesions", ask={"n": 1}, result={})
    assert Kept(name="x", results=(result,)).of("lesions", {"n": 1}) == result
    assert Kept(name="x", results=(result,)).of("lesions", {"n": 2}) is None
    assert Kept(name="x").of("lesions") is None
    assert set(KEEP) & {"random_lesions", "shuffle_lesions", "swap_lesions", "paths"}


@pytest.mark.parametrize("name", sorted(cards.shipped()))
def test_shipped_nets_do_what_their_cards_say(name: str) -> None:
    card = cards.shipped()[name]
    if card.data.name != "digits":
        differences(name, None)  # its images are not here: the files are read
        return
    assert differences(name, load_data(card.data)) == []
