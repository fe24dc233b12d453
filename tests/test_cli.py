"""The command line as a person types it: output, sentences, exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from explorer.cli import main
from explorer.cli.parser import build
from explorer.cli.text import bar, progress, table
from explorer.instruments import instruments
from explorer.structure.blueprint import blueprint
from explorer.structure.cards import shipped
from explorer.structure.names import NETS, PAPERS, spec_of
from explorer.structure.specs import DATASETS, PlainSpec, fit

COMMAND = [sys.executable, "-m", "explorer.cli"]
PLAIN = "plain_8;width=2"
RESIDUAL = "resnet_v2_14;width=2"


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    done = capsys.readouterr()
    return code, done.out, done.err


def json_of(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, err = run(capsys, *argv)
    assert code == 0, err
    assert err == ""
    return json.loads(out)


# ----------------------------------------------------------------------------------- help


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    _, commands = build()
    assert set(commands) == {
        *("app", "list", "show", "train", "lesions", "gradients", "gates", "export"),
        *("zoo", "bench", "sweep", "report", "claims", "reproduce", "import"),
        *("propagation", "sensitivity", "surface", "shattering", "vanishing"),
        *("attribution", "conductance", "activations", "endpoints", "paths"),
        *instruments(),
    }
    for argv in (["--help"], *([name, "--help"] for name in commands)):
        with pytest.raises(SystemExit) as done:
            main(argv)
        assert done.value.code == 0
        out = capsys.readouterr().out
        assert ("examples:" if len(argv) > 1 else "start here:") in out
        assert all(len(line) <= 100 for line in out.splitlines()), argv


def test_an_option_before_its_command_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "lesions", "digits_plain_20"]) == 2
    assert (
        capsys.readouterr().err == "Options stand behind the command: skipscope lesions … --json.\n"
    )


def test_a_weights_file_is_refused_before_images_are_decoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.data.load.load_data", lambda *_: pytest.fail("decoded"))
    (tmp_path / "weights.bin").write_bytes(b"no weights")
    assert main(["lesions", "plain_8", "--weights", str(tmp_path / "weights.bin")]) == 2
    assert "weights.bin" in capsys.readouterr().err


def test_examples_in_the_help_are_understood() -> None:
    """Every example parses; those that only show something also name nets that there are."""
    import shlex

    from explorer.cli.parser import parse

    _, commands = build()
    seen = 0
    for parser in commands.values():
        # A long example goes on in the next line, as in a shell.
        for line in (parser.epilog or "").replace("\\\n", " ").splitlines()[1:]:
            typed = re.split(r"\s[|>]\s|\s{3,}", line.strip())[0]
            words = shlex.split(typed)
            assert words[0] == "skipscope"
            args = parse(words[1:])
            assert f"skipscope {args.command}" == parser.prog
            seen += 1
    assert seen > 20


@pytest.mark.parametrize("command", ["--help", "list", "show resnet_v2_56 --json", "lesions -h"])
def test_fast_commands_load_no_torch(command: str) -> None:
    check = (
        "import sys; from explorer.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'streamlit')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check, *command.split()], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


# ------------------------------------------------------------------------------ list and show


def test_list_has_every_net(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json_of(capsys, "list", "--json")
    assert [row["name"] for row in listed["nets"]] == list(NETS)
    assert [row["name"] for row in listed["trained"]] == list(shipped())
    assert [row["name"] for row in listed["data"]] == list(DATASETS)
    by_name = {row["name"]: row for row in listed["nets"]}
    assert by_name["resnet_v1_56"]["parameters"] == 853_018
    assert by_name["imagenet_resnet_v1_152"]["depth"] == 152
    assert by_name["imagenet_resnet_v1_152"]["measured_on"] == "ImageNet"
    assert by_name["imagenet_resnet_v1_152"]["errors"] == []
    best, mean, median = by_name["resnet_v1_110"]["errors"]
    assert (best["percent"], best["of"], best["runs"]) == (6.43, "best", 5)
    assert (mean["percent"], mean["protocol"]) == (6.61, "mean of 5")
    assert (median["percent"], median["source"]) == (6.61, "He16 Table 2")
    crops = by_name["imagenet_densenet_121"]["errors"][0]
    assert (crops["crops"], crops["side"]) == (1, 224)
    plan = blueprint(spec_of("resnet_v2_1001"))
    assert by_name["resnet_v2_1001"]["multiply_adds"] == plan.multiply_adds
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert all(name in out for name in [*NETS, *shipped()])
    # every paper once, its nets below it
    titles = [line for line in out.splitlines() if line.split(":")[0] in PAPERS]
    assert [title.split(":")[0] for title in titles] == list(PAPERS)
    below = out.split(f"He16: {PAPERS['He16']}")[1].split("SGS15:")[0]
    assert "resnet_v2_1001" in below
    assert "resnet_v1_56" not in below
    assert "6.43 (best of 5); 6.61 (mean of 5)" in out
    assert "22.85 (10 crops of 224²)" in out
    code, out, _ = run(capsys, "show", "resnet_v2_110")
    assert "He16 Table 2: CIFAR-10 test error 6.37 % (median of 5)" in out
    assert json_of(capsys, "show", "resnet_v2_110", "--json")["errors"][0]["percent"] == 6.37


@pytest.mark.parametrize("name", ["plain_56", "resnet_v1_20", "highway_25", "densenet_40_k12"])
def test_show_is_the_blueprint(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json_of(capsys, "show", name, "--json")
    plan = blueprint(spec_of(name))
    assert shown["name"] == name
    assert shown["parameters"] == plan.parameters
    assert shown["multiply_adds"] == plan.multiply_adds
    for row, unit in zip(shown["units"], plan.units, strict=True):
        assert row["name"] == unit.name
        assert row["kind"] == unit.kind
        assert row["parameters"] == unit.parameters
        assert row["multiply_adds"] == unit.multiply_adds
        assert row["output_shape"] == list(unit.output_shape)
        assert row["deletable"] is unit.deletable
    parts = [shown["stem"], *shown["units"], shown["head"]]
    assert sum(part["parameters"] for part in parts) == plan.parameters
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    assert f"{plan.parameters:,} parameters" in out


def test_show_fits_the_data_and_takes_spec_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = json_of(capsys, "show", PLAIN, "--data", "digits", "--json")
    assert shown["spec"]["input_shape"] == [1, 8, 8]
    printed, spec = tmp_path / "printed.json", tmp_path / "spec.json"
    printed.write_text(json.dumps(shown))
    spec.write_text(json.dumps(shown["spec"]))
    for file in (printed, spec):
        assert json_of(capsys, "show", str(file), "--json") == shown


def test_show_says_what_differs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "show", "resnet_v1_20", "--against", "resnet_v2_20")
    assert code == 0
    assert "stages.0.units.1 … 2\n  layers: 3×3, BN, ReLU, 3×3, BN / BN, ReLU, 3×3" in out
    assert "0 of 9 pairs of units are alike." in out
    told = json_of(capsys, "show", "plain_8", "--against", "plain_14", "--json")
    assert (told["left"], told["right"], len(told["pairs"])) == ("plain_8", "plain_14", 6)
    assert told["pairs"][0]["differences"] == []
    assert told["pairs"][1] == {
        "left": None,
        "right": "stages.0.units.1",
        "differences": [{"what": "unit", "left": "none", "right": "plain"}],
    }
    _, dot, _ = run(capsys, "show", "plain_8", "--against", "plain_14", "--dot", "--left-right")
    assert "rankdir=LR" in dot
    assert "cluster_right" in dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")
def test_show_writes_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "net.svg"
    argv = ("show", "plain_8", "--open", "stages.1.units.0", "--picture", str(file))
    code, _, err = run(capsys, *argv)
    assert code == 0
    assert str(file) in err
    assert "conv 3×3, stride 2, 16→32" in file.read_text("utf-8")


def test_show_draws(capsys: pytest.CaptureFixture[str]) -> None:
    _, dot, _ = run(capsys, "show", "resnet_v2_20", "--dot")
    assert dot.startswith("digraph")
    assert "stages.0.units.0" in dot
    _, svg, _ = run(capsys, "show", "resnet_v2_20", "--svg")
    assert svg.startswith("<svg")


# ------------------------------------------------------------------------------- instruments


def test_lesions_of_a_fresh_net(capsys: pytest.CaptureFixture[str]) -> None:
    result = json_of(capsys, "lesions", RESIDUAL, "--data", "digits", "--n", "50", "--json")
    plan = blueprint(spec_of(RESIDUAL))
    assert result["net"] == RESIDUAL
    assert result["data"] == "digits"
    assert result["n_images"] == 50
    assert 0 <= result["baseline_accuracy"] <= 1
    assert [row["name"] for row in result["units"]] == [unit.name for unit in plan.units]
    assert all(0 <= row["accuracy"] <= 1 for row in result["units"])
    assert result["weights"] == "untrained, seed 7"
    code, out, err = run(capsys, "lesions", PLAIN, "--n", "50")
    assert (code, err) == (0, "")
    assert "untrained, seed 7" in out
    assert "50 test images" in out
    said = " ".join(out.split())
    assert "Never deleted, because they change the shape: block 2 (stages.1.units.0) and" in said


def test_gradients_and_gates(capsys: pytest.CaptureFixture[str]) -> None:
    result = json_of(capsys, "gradients", RESIDUAL, "--n", "64", "--json")
    assert result["layers"][0]["name"] == "stem.conv"
    assert len(result["layers"]) == 14
    assert all(row["parameter_rms"] > 0 for row in result["layers"])
    gates = json_of(capsys, "gates", "fc_highway_4;width=5;transform_bias=-3", "--json")
    assert len(gates["units"]) == 3
    assert all(0 < row["mean"] < 0.5 for row in gates["units"])
    for argv in (["gradients", RESIDUAL, "--n", "64"], ["gates", "fc_highway_4"]):
        code, out, err = run(capsys, *argv)
        assert (code, err) == (0, "")
        assert "stages.0.units.0" in out


@pytest.mark.parametrize("name", sorted(n for n, c in shipped().items() if c.data.name == "digits"))
def test_shipped_nets_are_measured_as_their_cards_say(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    card = shipped()[name]
    result = json_of(capsys, "lesions", name, "--json")
    assert result["weights"] == f"trained on {card.data.name}"
    assert result["n_images"] == card.n_images
    assert result["baseline_accuracy"] == pytest.approx(card.accuracy, abs=2 / card.n_images)


# ------------------------------------------------------------------------------------- train


def test_train_keeps_what_can_be_measured_and_resumed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = ["--steps", "30", "--batch", "32", "--eval-every", "10", "--train-limit", "200"]
    result = json_of(capsys, "train", PLAIN, RESIDUAL, *options, "--out", str(folder), "--json")
    assert [lane["name"] for lane in result["lanes"]] == [PLAIN, RESIDUAL]
    assert {record["step"] for record in result["evals"]} == {0, 10, 20, 30}
    assert result["experiment"]["training"]["batch_size"] == 32
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert sum(line["kind"] == "step" for line in lines) == 60

    weights = result["lanes"][1]["weights"]
    lesions = json_of(capsys, "lesions", weights, "--json")
    assert lesions["net"] == RESIDUAL
    right = 1 - result["lanes"][1]["test_error"]
    assert lesions["baseline_accuracy"] == pytest.approx(right, abs=2 / 360)
    same = json_of(capsys, "lesions", RESIDUAL, "--weights", weights, "--json")
    assert same["units"] == lesions["units"]

    code, out, err = run(capsys, "train", "--resume", str(folder))
    assert (code, err) == (0, "")
    assert "30 steps of 32 images of digits" in out
    again = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert again == lines
    code, _, err = run(capsys, "train", PLAIN, "--out", str(folder))
    assert code == 2
    assert "already holds a training" in err


def test_ctrl_c_saves_and_the_resumed_curve_is_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--steps", "100", "--batch", "32", "--eval-every", "20", "--train-limit", "200"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    def records(folder: Path) -> list[Any]:
        return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]

    process = subprocess.Popen(
        [*COMMAND, "train", PLAIN, *options, "--out", str(cut)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (cut / "records.jsonl").exists():  # it is made when training begins
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert re.fullmatch(r"Saved at step \d+: `--resume .*` goes on.\nStopped.\n", err)
    assert records(cut)
    assert max(line["step"] for line in records(cut)) < 100, "it was too fast to be interrupted"
    for argv in (["--resume", str(cut)], [PLAIN, *options, "--out", str(whole)]):
        code, _, err = run(capsys, "train", *argv)
        assert (code, err) == (0, "")
    assert records(cut) == records(whole)


# ------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["lesion"], "no command 'lesion': did you mean 'lesions'?"),
        (["fly"], "no command 'fly': there are app, list"),
        (["show"], "required: NAME; see `skipscope show --help`"),
        (["show", "resnet_v2_20", "--jsn"], "no option '--jsn': did you mean '--json'?"),
        (["show", "resnet_v2_20", "plain_8"], "no further argument 'plain_8'"),
        (["show", "resnet_v2_55"], "try 50 and 56"),
        (["show", "resnet_2_56"], "did you mean 'resnet_v2_56'?"),
        (["show", "plain_8;width=0"], "width must be at least 1"),
        (["show", "plain_8", "--json", "--dot"], "not allowed with"),
        (["show", "plain_8", "--open", "stages.0.units.0"], "--open is for a drawing"),
        (["show", "plain_8", "--svg", "--left-right"], "--left-right is for a drawing"),
        (["show", "plain_8", "--dot", "--open", "stages.7"], "no unit 'stages.7' in this net"),
        (["show", "plain_8", "--against", "plain_9"], "try 8 and 14"),
        (["show", "plain_8", "--against", "plain_14", "--svg"], "not with --svg or --open"),
        (["show", "plain_8", "--picture", "net.gif"], "is a .png, .svg or .pdf file"),
        (["show", "none.json"], "spec file 'none.json' cannot be read: No such file"),
        (["show", "plain_8", "--data", "digit"], "did you mean 'digits'"),
        (["lesions", "digits_plain_65"], "did you mean the trained 'digits_plain_56'?"),
        (["lesions", "digits_plain_56", "--data", "cifar10"], "was trained on digits"),
        (["lesions", "plain_8", "--n", "0"], "whole number of at least 1, not '0'"),
        (["lesions", "plain_8", "--weights", "w.pt"], "There is no weights file"),
        (["lesions", "plain_8", "--weights", "w.safetensors"], "no weights file w.safetensors"),
        (["lesions", "none.safetensors"], "There is no weights file none.safetensors"),
        (["lesions", "plain_8", "--device", "gpu"], "choose auto, cpu, cuda or mps, not 'gpu'"),
        (["gates", "plain_8"], "has no gates: look at its gradients"),
        (["train"], "one to four nets"),
        (["train", *["plain_8"] * 5], "At most 4 nets"),
        (["train", "plain_8", "--lr", "nan"], "a number above 0, not 'nan'"),
        (["train", "plain_8", "--lr", "1e9"], "learning_rate must be at least 1e-08"),
        (["train", "plain_8", "--steps", "1.5"], "whole number of at least 1, not '1.5'"),
        (["train", "plain_8", "--recipe", "he17"], "no recipe 'he17'; there are one_cycle"),
        (["train", "plain_8", "--batch", "5000"], "at most 1437"),
        (["train", "plain_8", "--seed", "-1"], "(0 to 2147483647|expected one argument)"),
        (["train", "--resume", "nowhere"], "no checkpoint"),
        (["train", "plain_8", "--resume", "nowhere"], "alone"),
        (["publish", "--only", "digits_plain"], "did you mean 'digits_plain_"),
        (["zoo", "build", "--only", "digits_plain"], "did you mean 'digits_plain_"),
        (["zoo", "verify", "--only", "digits_plain_2"], "did you mean 'digits_plain_20'?"),
        (["zoo", "build", "--only", "cifar10_plain_20"], "give --data cifar10, which downloads"),
        (["zoo", "build", "--from", "nowhere"], "name it with --only"),
        (["zoo", "burn"], "choose from 'build', 'verify'"),
        (["bench", "speed"], "choose forward, lesions, paths, norms, training, .* not 'speed'"),
        (["app", "--port", "99999"], "a port from 1 to 65535"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    argv: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert re.search(sentence, err), err
    assert re.fullmatch(r"[^\n]+[.?]\n", err)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"family": "residual", "depth": 21}', "Depth 21 is not possible .* try 20 and 26"),
        ('{"family": "residual", "depth": 20, "wings": 2}', "no field 'wings'"),
        ('{"family": "recurrent"}', "plain, residual, highway, dense"),
        ("[1, 2]", "Family must be"),
        ('{"family": ', "not JSON"),
        ("", "not JSON"),
        ("\xff\xfe", "not JSON"),
    ],
)
def test_wrong_spec_files(
    content: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "net.json"
    file.write_text(content, "utf-8")
    code, out, err = run(capsys, "show", str(file))
    assert (code, out) == (2, "")
    assert re.search(sentence, err), err
    assert re.fullmatch(r"[^\n]+[.?]\n", err)
    file.write_bytes(b"\xff\xfe\x00")
    code, _, err = run(capsys, "show", str(file))
    assert code == 2
    assert "is not text" in err


def test_weights_of_another_net(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from explorer.nets import create_net

    spec = fit(spec_of(PLAIN), (1, 8, 8), 10)
    assert isinstance(spec, PlainSpec)
    file = tmp_path / "plain.safetensors"
    save_file(create_net(spec, seed=0).state_dict(), file)
    code, _, err = run(capsys, "lesions", RESIDUAL, "--weights", str(file))
    assert code == 2
    assert "is not this net's" in err
    code, _, err = run(capsys, "lesions", PLAIN, "--weights", str(file), "--n", "10", "--json")
    assert (code, err) == (0, "")
    file.write_bytes(file.read_bytes()[:100])
    code, _, err = run(capsys, "lesions", PLAIN, "--weights", str(file))
    assert code == 2
    assert "damaged" in err


def test_a_reader_that_leaves_is_no_error() -> None:
    command = " ".join(f"'{word}'" for word in COMMAND)
    done = subprocess.run(
        f"set -o pipefail; {command} show resnet_v1_1202 --json | head -n 1",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


# ------------------------------------------------------------------------------ bench and app


@pytest.mark.parametrize("what", ["lesions", "norms", "forward", "training"])
def test_bench_rows_carry_their_conditions(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--net", RESIDUAL, "--size", "8", "--images", "4", "--repeats", "2", "--steps", "2"]
    result = json_of(capsys, "bench", what, *options, "--threads", "1", "--json")
    for row in result["rows"]:
        assert row["ratio"] == pytest.approx(row["plain_s"] / row["ours_s"])
        assert row["ours_min_s"] <= row["ours_s"] <= row["ours_max_s"]
        images = 4 * 2 if what == "training" else 4  # in a repeat
        assert (row["n"], row["repeats"], row["threads"]) == (images, 2, 1)
        assert row["device"]
        assert row["dtype"] in ("float32", "bfloat16")
        assert set(row["versions"]) == {"python", "torch", "skipscope"}
        if what == "lesions":
            assert row["agreement"] > 0.9
        if what == "norms":
            assert row["step_s"] > 0
            assert row["share"] > -1
    code, out, err = run(capsys, "bench", what, *options)
    assert (code, err) == (0, "")
    assert "ratio" in out


def test_app_is_the_streamlit_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*COMMAND, "app", "--port", str(port), "--no-browser"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None
            try:
                url = f"http://127.0.0.1:{port}/_stcore/health"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("lesions") as tell:
        tell(0.5, "100 images")
        time.sleep(0.15)  # it is drawn ten times a second at most
        tell(0.75)
    assert ("lesions" in screen.getvalue()) is terminal
    assert ("75 %" in screen.getvalue()) is terminal
    assert (", 100 images" in screen.getvalue()) is terminal


def test_tables_are_aligned() -> None:
    text = table(["unit", "n"], [["a", "10"], ["long", "9"]], " r")
    assert text.splitlines() == ["unit   n", "────  ──", "a     10", "long   9"]
    assert bar(0.5, 4) == "██"
    assert bar(1.5, 4) == "████"
    assert bar(-1, 4) == ""
