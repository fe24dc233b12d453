"""The table of claims: what pages say has a source, and what was measured still holds."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import Lane
from asking import page_of as instrument
from asking import pages_of_all as instruments

from explorer.claims import HERE, SOURCES, Claim, claims, says
from explorer.claims.check import Verdict, check, measure_of
from explorer.cli import main
from explorer.cli.parser import build
from explorer.instruments.classifier_by_unit.result import ClassifierByUnit
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, fit

ROOT = Path(__file__).parent.parent
MEASURED = [key for key, row in claims().items() if not row.quotes]


def keys_said() -> set[str]:
    """Every literal key that some file of the program hands to ``says``."""
    found: set[str] = set()
    for path in (ROOT / "explorer").rglob("*.py"):
        if "claims" in path.relative_to(ROOT / "explorer").parts[:1]:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name == "says":
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_every_claim_is_said_somewhere() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    said = keys_said()
    orphans = [key for key in claims() if key not in said]
    assert [key for key in orphans if claims()[key].says not in readme] == []


@pytest.mark.parametrize("key", claims())
def test_a_row_is_whole(key: str) -> None:
    row = claims()[key]
    assert row.key == key
    assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", key)
    assert row.says.endswith(".")
    assert row.says == " ".join(row.says.split())
    if row.bears is None:
        assert not row.source.startswith((HERE, "counted"))
    else:
        assert callable(measure_of(row))
        assert row.holds is not None
        assert row.holds[0] <= row.holds[1]
        assert row.unit
        assert row.conditions


def test_rows_that_cannot_be_are_refused() -> None:
    row = Claim(key="a.b", says="It is so.", source="He15 Fig 1")
    for wrong in (
        {"source": "a blog"},
        {"source": HERE},
        {"bears": "paths:number"},
        {"holds": (0.0, 1.0)},
    ):
        with pytest.raises(ValueError, match=r"a\.b"):
            replace(row, **wrong)


def test_two_rows_of_one_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.claims import gates

    claims.cache_clear()
    rows = gates.ROWS
    monkeypatch.setattr(gates, "ROWS", (*rows, rows[0]))
    with pytest.raises(ValueError, match="two claims have the key"):
        claims()
    monkeypatch.setattr(gates, "ROWS", (*rows, replace(rows[0], key="gates.again")))
    with pytest.raises(ValueError, match="says the same as"):
        claims()
    monkeypatch.undo()
    claims.cache_clear()


def test_a_number_outside_its_bounds_does_not_hold() -> None:
    row = claims()["veit16.lengths"]
    assert check(row).holds
    assert not Verdict(row, (98.0, 99.0)).holds
    assert not Verdict(row, (float("nan"),)).holds
    assert not Verdict(row, ()).holds


# What only a claim may say: papers, their figures and data, and what comes out of a measurement.
CHECKABLE = re.compile(
    r"et al|\b(?:19|20)\d\d\b|\bFig\b|\bTable \d|\bsection \d|\bthe papers?\b|"
    r"\bVGG|\bCIFAR|\bMNIST|\bImageNet|\bResNet-\d|\d [×%]|"
    r"[Ll]ook how (?:few|little|many|much|soon)|\bhardly\b"
)
# Of what is drawn, not of what comes out.
DRAWN = re.compile(r"95 % interval|10 to 90 %|middle 80 %|half and 90 %|51, as in the paper")


# Pages whose sentences are still to become rows; take a name out when they are.
NOT_YET: set[str] = set()


def beside_claims(text: str) -> str:
    """What is left of a text without the sentences of claims."""
    for row in claims().values():
        text = text.replace(row.says, "")
    return DRAWN.sub("", text)


@pytest.mark.parametrize("key", sorted(set(instruments()) - NOT_YET))
def test_what_an_instrument_says_of_papers_and_results_is_claims(key: str) -> None:
    one = instruments()[key]
    if not one.figure_of.startswith("None of the papers' figures"):
        assert beside_claims(one.figure_of).strip() == ""
    assert CHECKABLE.findall(beside_claims(one.explains)) == []
    for option in one.options:
        said = f"{option.label}. {getattr(option, 'help', None) or ''}"
        assert CHECKABLE.findall(beside_claims(said)) == [], option.name


RESULTS = re.compile(r"falls to chance|\bhardly\b|degrade|\bdoubles?\b|\bhalves\b|[0-9] %")


@pytest.mark.parametrize("name", sorted(build()[1]))
def test_what_a_command_says_of_results_is_claims(name: str) -> None:
    about = " ".join(str(build()[1][name].description).split())
    assert RESULTS.findall(beside_claims(about)) == []


def test_the_command_lists_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in told] == list(claims())
    assert main(["claims", "veit16.lengths", "--check"]) == 0
    out = capsys.readouterr().out
    assert "source: Veit16 Fig 6a" in out
    assert "measured: 98.02: holds" in out
    assert "claims" in build()[1]


def test_a_claim_that_does_not_hold_fails_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(claims()["veit16.lengths"], holds=(99.0, 100.0))
    monkeypatch.setitem(claims(), "veit16.lengths", wrong)
    assert main(["claims", "veit16.lengths", "paths.toy", "--check"]) == 2
    told = capsys.readouterr()
    assert "DOES NOT HOLD" in told.out
    assert "1 of 2 measured claims do not hold: veit16.lengths." in told.err


def test_an_unknown_key_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "veit16.length"]) == 2
    assert "did you mean 'veit16.lengths'?" in capsys.readouterr().err


def test_sources_are_told_apart() -> None:
    assert says("veit16.lengths").startswith("Veit et al. 2016")
    assert len(set(SOURCES.values())) == len(SOURCES)


@pytest.mark.claims
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("key", MEASURED)
def test_it_still_holds(key: str) -> None:
    """Slow: `pytest -m claims`."""
    verdict = check(claims()[key])
    assert verdict.holds, f"{claims()[key].says} Measured: {verdict.measured}"


def test_within_a_point_from_a_block_on_means_all_after_it() -> None:
    """An accuracy that is met, lost and met again counts from the last time."""
    plan = blueprint(fit(spec_of("resnet_v2_26"), (1, 8, 8), 10))
    last = tuple(unit.name for unit in plan.units if unit.stage == 2)
    accuracy = np.asarray([0.9, 0.5, 0.96, 0.9])[: len(last)]
    found = ClassifierByUnit("a", "digits", 100, "running", last, accuracy, accuracy)
    lane = Lane(0, "A net", plan, DATASETS["digits"], found.to_json())
    told = instrument("classifier").formula([lane], {})
    assert told[-1] == f"A net: within a point of its accuracy from {last[-1]} on"
