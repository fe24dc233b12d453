"""``skipscope train``: several seeds, budgets, changes on resuming, TensorBoard's files."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from explorer.cli import main
from explorer.errors import RunError
from explorer.results import Record
from explorer.runs.store import claim
from explorer.structure.cards import read_card
from explorer.training.loop import Session
from explorer.training.tensorboard import EventFile, crc32c

PLAIN = "plain_8;width=2"
RESIDUAL = "resnet_v2_8;width=2"
SHORT = ["--steps", "6", "--batch", "32", "--eval-every", "3", "--train-limit", "100"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["train", *argv])
    done = capsys.readouterr()
    return code, done.out, done.err


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def test_a_band_of_seeds_and_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, PLAIN, RESIDUAL, *SHORT, "--seeds", "3")
    assert code == 0
    assert "seeds 7 to 9" in out
    assert "median of 3 seeds" in out
    assert "The lanes differ in family (plain / residual). All 8 layers start from the same" in out
    assert out.count("–") >= 6  # the ranges
    code, out, _ = run(capsys, PLAIN, *SHORT, "--seeds", "2", "--json")
    result = json.loads(out)
    assert result["seeds"] == 2
    assert len(result["evals"][-1]["by_seed"]["test_error"]) == 2
    assert result["lanes"][0]["test_error"] == result["evals"][-1]["by_seed"]["test_error"][0]


def test_choices_reach_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys, RESIDUAL, *SHORT, "--units-per-batch", "2", "--set", "optimizer=nesterov",
        "--set", "label_smoothing=0.1", "--cutout", "2", "--label-noise", "0.2", "--json",
    )  # fmt: skip
    assert code == 0, err
    spec = json.loads(out)["experiment"]
    training, (lane,) = spec["training"], spec["lanes"]
    assert (training["optimizer"], training["label_smoothing"]) == ("nesterov", 0.1)
    assert (training["units_per_batch"], lane["survival_prob"]) == (2, pytest.approx(2 / 3))
    assert (spec["data"]["cutout"], spec["data"]["label_noise"]) == (2, 0.2)


def test_a_target_and_seconds_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, RESIDUAL, *SHORT, "--target-error", "0.95")
    assert code == 0
    assert "Lane 1 reached its target at step 0" in err
    assert "Every net reached its target error by step 0." in err
    argv = [*SHORT, "--steps", "1000000", "--seconds", "0.3"]
    code, out, err = run(capsys, "fc_plain_3;width=10", *argv, "--json")
    assert code == 0
    assert "when its 0.3 seconds were used up" in err
    assert 1 < json.loads(out)["steps"] < 100_000


def test_going_on_with_a_change(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    code, _, err = run(capsys, RESIDUAL, *SHORT, "--out", folder, "--keep-weights", "0,2,6")
    assert code == 0, err
    kept = sorted(file.name for file in (tmp_path / "run" / "weights").iterdir())
    assert kept == [f"lane-1-step-{step:08d}.safetensors" for step in (0, 2, 6)]
    first, last = (load_file(tmp_path / "run" / "weights" / kept[i]) for i in (0, 2))
    assert not torch.equal(first["head.linear.weight"], last["head.linear.weight"])
    card = read_card(next((tmp_path / "run").glob("lane-1-resnet*.json")))
    assert len(card.mean) == len(card.std) == 1

    changes = ["--duplicate", "1=cut", "--delete", "1=stages.0.units.0"]
    code, _, err = run(capsys, "--resume", folder, *changes)
    assert code == 2
    assert "is over, at step 6: give --steps" in err
    changes += ["--steps", "9", "--lr", "0.003"]
    code, out, err = run(capsys, "--resume", folder, *changes)
    assert code == 0, err
    assert out.startswith("9 steps of 32 images")
    assert "Lane 2 goes on from lane 1 at step 6: all" in err
    assert "Lane 1 passes by stages.0.units.0 from step 6 on." in err
    found = records(tmp_path / "run")
    kinds = [(record["kind"], record["lane"], record["step"]) for record in found]
    assert ("forked", 1, 6) in kinds
    assert ("deleted", 0, 6) in kinds
    steps = [record for record in found if (record["kind"], record["lane"]) == ("step", 1)]
    assert [(record["step"], record["learning_rate"]) for record in steps] == [
        (6, 0.003), (7, 0.003), (8, 0.003)
    ]  # fmt: skip
    assert "Lane 2 went on from another lane's weights." in out
    with claim(tmp_path / "run" / "in-use"):
        code, _, err = run(capsys, "--resume", folder, "--steps", "20")
    assert (code, err.count("Another process trains in the folder")) == (2, 1)
    for wrong, sentence in (
        (["--batch", "8"], "A resumed training keeps what was chosen, so --batch has no place"),
        (["--seed", "7"], "so --seed has no place beside --resume"),
        (["--device", "cuda"], "no cuda device"),
        (["--duplicate", "3=cut"], "a lane from 1 to 2"),
        (["--duplicate", "1=plain_9"], "epth 9 is not possible"),
        (["--delete", "1=nonsense"], "no unit 'nonsense'"),
        (["--steps", "9"], "9 steps are done already"),
    ):
        code, _, err = run(capsys, "--resume", folder, "--steps", "20", *wrong)
        assert code == 2
        assert sentence in err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--set", "optimizer"], "should read FIELD=VALUE"),
        (["--set", "speed=1"], "no field 'speed'"),
        (["--seeds", "99"], "seeds must be at least 1"),
        (["--target-error", "2"], "a share from 0 to less than 1, not '2'"),
        (["--keep-weights", "1;2"], "whole numbers with commas"),
        (["--cutout", "9"], "at most 8"),
        (["--units-per-batch", "9"], "which has 1 that"),
        (["--tensorboard"], "need a folder"),
    ],
)
def test_one_sentence(capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str) -> None:
    code, out, err = run(capsys, PLAIN, *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.strip().count("\n") == 0


# ------------------------------------------------------------------------------ TensorBoard


def events(folder: Path) -> list[tuple[str | None, int, float | bytes]]:
    """(tag, step, value) as the format's own description reads them."""
    (file,) = folder.iterdir()
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        body = content[12 : 12 + length]
        for data, stored in ((content[:8], content[8:12]), (body, content[12 + length :][:4])):
            crc = crc32c(data)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack("<I", stored) == (masked,)
        content = content[16 + length :]
        fields = _message(body)
        if 3 in fields:
            found.append((None, 0, fields[3]))
        else:
            entry = _message(_message(fields[5])[1])
            value = struct.unpack("<f", entry[2])[0]
            found.append((entry[1].decode(), fields.get(2, 0), value))
    return found


def _message(content: bytes) -> dict[int, Any]:
    fields: dict[int, Any] = {}

    def varint() -> int:
        nonlocal content
        value = shift = 0
        while True:
            byte, content = content[0], content[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while content:
        key = varint()
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            fields[key >> 3] = varint()
            continue
        if size is None:
            size = varint()
        fields[key >> 3], content = content[:size], content[size:]
    return fields


def test_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_event_files(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.add(Record("step", 0, 300, {"loss": 0.5, "error": None, "learning_rate": 0.1}), ())
    file.add(Record("layers", 0, 300, {"parameter_rms": [1.0, None]}), ("stem.conv", "head"))
    file.add(Record("responses", 0, 300, {"sd": [1.0]}), ())
    file.flush()
    assert events(tmp_path) == [
        (None, 0, b"brain.Event:2"),
        ("batch/loss", 300, 0.5),
        ("learning_rate", 300, pytest.approx(0.1)),
        ("gradient/stem.conv", 300, 1.0),
    ]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="events cannot be written"):
        EventFile(tmp_path / "file" / "sub")


def test_training_writes_event_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, PLAIN, RESIDUAL, *SHORT, "--out", str(tmp_path), "--tensorboard")
    assert code == 0, err
    folders = sorted((tmp_path / "tensorboard").iterdir())
    assert [f.name for f in folders] == ["lane-1-plain_8_width_2", "lane-2-resnet_v2_8_width_2"]
    kept = [r for r in records(tmp_path) if r["lane"] == 1]
    written = events(folders[1])
    losses = [value for tag, _, value in written if tag == "batch/loss"]
    assert losses == pytest.approx([r["loss"] for r in kept if r["kind"] == "step"])
    errors = [(step, value) for tag, step, value in written if tag == "error/test"]
    assert errors == [
        (r["step"], pytest.approx(r["test_error"])) for r in kept if r["kind"] == "eval"
    ]


# ------------------------------------------------------------------- what was written stays


def go_on(folder: Path, *more: str, killed_at: str = "") -> subprocess.CompletedProcess[str]:
    """``skipscope train --resume``, killed when it first comes to a line of ``system/files.py``.

    Args:
        killed_at: What that line begins with; empty lets it come to its end.
    """
    script = f"""
import inspect, os, signal, sys
from explorer import cli
from explorer.system import files
lines = inspect.getsource(files).splitlines()
where = {{n for n, line in enumerate(lines, 1) if line.strip().startswith({killed_at!r})}}

def trace(frame, event, _):
    if frame.f_code.co_filename != files.__file__:
        return None
    if event == "line" and frame.f_lineno in where:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace

if {killed_at!r}:
    assert where
    sys.settrace(trace)
raise SystemExit(cli.main(["train", "--resume", sys.argv[1], *sys.argv[2:]]))
"""
    command = [sys.executable, "-c", script, str(folder), *more]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty steps are recorded, and the checkpoint is that of step 20."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    argv = ["train", RESIDUAL, "--batch", "32", "--eval-every", "10", "--out", str(folder)]
    assert main([*argv, "--steps", "20", "--seed", "1"]) == 0
    checkpoint = (folder / "checkpoint.safetensors").read_bytes()
    assert main(["train", "--resume", str(folder), "--steps", "40"]) == 0
    (folder / "checkpoint.safetensors").write_bytes(checkpoint)
    return folder


def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.mark.parametrize("killed_at", ["partial.write_bytes", "partial.replace", "left = left"])
def test_a_resume_that_is_killed_while_it_writes_loses_no_line(
    trained: Path, tmp_path: Path, killed_at: str
) -> None:
    folder = copied(trained, tmp_path)
    before = records(folder)
    assert sum(line["kind"] == "step" for line in before) == 40
    assert go_on(folder, "--steps", "40", killed_at=killed_at).returncode == -signal.SIGKILL
    kept = [line for line in records(folder) if line["kind"] == "step"]
    assert [line["step"] for line in kept] == list(range(len(kept)))
    assert len(kept) >= 20  # those past the checkpoint are made again
    done = go_on(folder, "--steps", "40")
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    assert "gap" not in done.stderr

    def key(line: dict[str, object]) -> tuple[str, int]:
        return str(line["kind"]), int(str(line["step"]))

    # Bit for bit; the schedule of 40 steps was that of the first 20, too, from step 20 on.
    assert sorted(records(folder), key=key) == sorted(before, key=key)
    assert not list(folder.glob(".*"))


def test_a_damaged_line_is_told_and_the_rest_kept(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(trained, tmp_path)
    file = folder / "records.jsonl"
    rows = file.read_bytes().split(b"\n")
    assert json.loads(rows[4])["kind"] == "step"
    step = json.loads(rows[4])["step"]
    rows[4] = rows[4].replace(b'"loss"', b'"lo\xffss"')
    file.write_bytes(b"\n".join(rows))
    damaged = file.read_bytes()

    code, _, err = run(capsys, "--resume", str(folder), "--steps", "30")
    assert code == 0
    assert f"Line 5 of {str(file)!r} is damaged and left out; the rest is kept." in err
    assert f"has no record of step {step} before 20: the curve has a gap there." in err
    assert (folder / "damaged-records.jsonl").read_bytes() == damaged
    steps = [line["step"] for line in records(folder) if line["kind"] == "step"]
    assert steps == [n for n in range(30) if n != step]

    capsys.readouterr()
    assert main(["report", str(folder), "--html", str(tmp_path / "r.html")]) == 0
    assert "the curve has a gap there" in capsys.readouterr().err


def test_a_file_of_records_that_is_gone_is_told(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(trained, tmp_path)
    (folder / "records.jsonl").unlink()
    code, _, err = run(capsys, "--resume", str(folder), "--steps", "21")
    assert code == 0
    assert "has no record of 20 steps (0 to 19) before 20" in err
    # Over, and none of its evaluations left: no traceback, and no number that was not measured.
    (folder / "records.jsonl").unlink()
    code, out, err = run(capsys, "--resume", str(folder))
    assert code == 0
    assert "not recorded" in out


def test_a_file_that_holds_no_more_than_the_checkpoint_is_left_alone(
    trained: Path, tmp_path: Path
) -> None:
    folder = copied(trained, tmp_path)
    file = folder / "records.jsonl"
    text = "".join(
        f"{json.dumps(line)}\n"
        for line in records(folder)
        if line["step"] < 20 or (line["step"] == 20 and line["kind"] == "eval")
    )
    file.write_text(text)
    before = file.stat()
    assert go_on(folder, "--steps", "25").returncode == 0
    assert file.stat().st_ino == before.st_ino
    assert file.read_text().startswith(text)


def test_a_checkpoint_between_two_records_of_a_step_leaves_no_gap(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was not handed on yet is in the checkpoint: no curve lacks it."""
    folder = copied(trained, tmp_path)
    session = Session.resume(folder / "checkpoint.safetensors")
    session.extend(40)
    coming = session.records()
    while session.step < 31:
        next(coming)  # an evaluation; the record of step 30 is to follow
    session.save(folder / "checkpoint.safetensors")
    before = [line for line in records(folder) if line["step"] < 30]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in before))
    assert main(["report", str(folder), "--html", str(tmp_path / "r.html")]) == 0
    assert "gap" not in capsys.readouterr().err
    code, _, err = run(capsys, "--resume", str(folder))
    assert (code, "gap" in err) == (0, False)
    steps = [line["step"] for line in records(folder) if line["kind"] == "step"]
    assert steps == list(range(40))
