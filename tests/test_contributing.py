"""CONTRIBUTING.md's worked example, followed letter by letter: it appears at every door."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from explorer.instruments.contract import Group

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
FILES = re.findall(r"^`(explorer/\S+\.py)`\n\n```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the example's files written into it, and nothing else done."""
    root = tmp_path_factory.mktemp("contributing")
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("explorer", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for name in ("pretrained", "pyproject.toml", "README.md", "CONTRIBUTING.md"):
        (root / name).symlink_to(ROOT / name)
    for name, text in FILES:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def run(copy: Path, *argv: str) -> str:
    """What a command of the copy prints; it has to succeed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "SKIPSCOPE_HOME": str(copy / "home")}
    done = subprocess.run(
        [sys.executable, *argv], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_words_for_groups_are_those_there_are() -> None:
    (listed,) = re.findall(r"`group` is where the\npage lists it, one of ([^.]*)\.", TEXT)
    assert tuple(re.findall(r"`(\w+)`", listed)) == get_args(Group)


def test_the_example_is_whole() -> None:
    assert [Path(name).name for name, _ in FILES] == [
        *("__init__.py", "ask.py", "result.py", "measure.py", "figure.py", "page.py")
    ]
    commands = re.findall(r"^\.venv/bin/\S+.*|^\.ci/\S+", TEXT, re.MULTILINE)
    assert commands == [".ci/check", ".venv/bin/python -m explorer.instruments.doors.python"]
    assert (ROOT / ".ci" / "check").stat().st_mode & 0o111


def test_the_example_passes_the_lint(copy: Path) -> None:
    config = f"--config={ROOT / 'pyproject.toml'}"
    for command in (("check",), ("format", "--check", "--diff")):
        run(copy, "-m", "ruff", *command, config, "--no-cache", "explorer/instruments/weight_sizes")


def test_the_shell_has_it(copy: Path) -> None:
    command = ("-m", "explorer.cli", "weight_sizes")
    assert "number of layers, the largest first (1 to 1000; default 100)" in " ".join(
        run(copy, *command, "--help").split()
    )
    out = run(copy, *command, "digits_resnet_v2_56", "--largest", "5")
    assert "He's rule" in out
    assert "digits_resnet_v2_56: from" in out  # its caption
    value = json.loads(run(copy, *command, "plain_8", "--largest", "2", "--json"))
    assert len(value["layers"]) == len(value["rms"]) == 2
    page = copy / "sizes.html"
    run(copy, *command, "plain_8", "--ratio", "--html", str(page))
    assert "plotly" in page.read_text("utf-8")


def test_python_jobs_pages_and_links_have_it(copy: Path) -> None:
    run(copy, "-m", "explorer.instruments.doors.python")
    assert "def weight_sizes(" in (copy / "explorer/instruments/functions.pyi").read_text("utf-8")
    out = run(
        copy,
        "-c",
        """
import explorer, json
from explorer.instruments import instrument
from explorer.runs.worker.jobs import run
from explorer.runs.worker.warm import Context, Shelf
from explorer.runs.serve.requests import parse_request
from explorer.pages.instruments import instrument as page_of
from explorer.pages.instruments.links import from_query
from explorer.structure.specs import DATASETS

net = explorer.create_net("plain_8", input_shape=(1, 8, 8), seed=1)
sizes = explorer.weight_sizes(net, largest=3)
assert list(sizes.to_frame().columns) == ["layer", "rms", "he"]
request = parse_request("weight_sizes", {
    "net": {"source": "fresh", "spec": net.spec.model_dump(mode="json"), "seed": 1}, "largest": 3,
})
context = Context(Shelf(), 0, lambda: False, lambda *_: None, lambda _: None)
result = run(context, "weight_sizes", request.model_dump(mode="json"))
assert result["layers"] == list(sizes.layers)
page = page_of("weight_sizes")
look, problems = from_query({"instrument": "weight_sizes;ratio=yes"})
assert (look.chosen, problems) == ({"ratio": "yes"}, [])
lane = page.lane(0, "A net", net.blueprint, DATASETS["digits"], result)
options = {"largest": 3, "ratio": True}
assert page.figure([lane], options, "dark").data[0].name == "A net"
assert page.table(lane.result)[0]["layer"] == sizes.layers[0]
assert page.caption([lane], options)[0].startswith("A net: from")
print(instrument("weight_sizes").page.title)
""",
    )
    assert out.split() == ["Weights"]


# Files with a test of each instrument, and words of single tests that compare all of them at once.
OF_EACH = (
    *("test_pages_instrument_feed.py", "test_pages_instruments.py", "test_instrument_doors.py"),
    *("test_claims.py", "test_drawing_room.py"),
)
OF_ALL = (
    *("instruments_that_there_are", "share_a_title", "reads_what_it_writes", "stub_says"),
    *("help_teaches", "choices_are_in_the_address", "every_command_of_the_readme"),
)


def test_the_tests_of_all_instruments_hold_for_it(copy: Path) -> None:
    """Without being told of it."""
    run(copy, "-m", "explorer.instruments.doors.python")
    files = (*OF_EACH, "test_measuring_statistics.py", "test_cli.py", "test_readme.py")
    out = run(
        *(copy, "-m", "pytest", "-rA", "-p", "no:cacheprovider"),
        *("-m", "not claims and not kills and not fuzz"),  # its case of a grid, too
        *("-k", " or ".join(("weight_sizes", *OF_ALL))),
        *(f"tests/{name}" for name in files),
    )
    passed = re.findall(r"^PASSED tests/(\w+\.py)::(\w+)(.*)$", out, re.MULTILINE)
    assert {file for file, _, case in passed if "weight_sizes" in case} == set(OF_EACH)
    assert all(any(words in test for _, test, _ in passed) for words in OF_ALL)


def test_the_grids_that_run_in_part_are_there() -> None:
    from conftest import _GRIDS

    for name, few in _GRIDS.items():
        file, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text("utf-8"), name
        assert few >= 0
