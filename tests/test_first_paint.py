"""The first screen before Streamlit's script: what the link says, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.pages.compare.first_paint import index_page
from explorer.pages.shared.state import DEFAULT_LANES
from explorer.pages.shared.words import PAGES
from explorer.runs.serve.service import RunService
from explorer.structure.cards import shipped


@pytest.fixture
def service(tmp_path: Path, worker_threads: None) -> Iterator[RunService]:
    opened = RunService(tmp_path)
    yield opened
    opened.close()


def cover_data(page: str) -> Any:
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_default_cover_shows_three_trained_nets(service: RunService) -> None:
    page = index_page(service, {})
    errors = [1 - shipped()[f"digits_{net}"].accuracy for net in DEFAULT_LANES]
    assert [lane["first"]["headline"] for lane in cover_data(page)["lanes"]] == [
        f"{100 * error:.1f} %" for error in errors
    ]
    assert page.count("data-unit=") > 100
    assert page.index('id="sk-cover"') < page.index('<div id="root">')
    for name, title in PAGES.items():
        assert f'href="./{"" if name == "compare" else name}"' in page
        assert f">{title}</a>" in page


def test_the_cover_follows_the_link(service: RunService) -> None:
    link = {"lanes": "plain_20,densenet_22_k12", "cut": "0:2", "colour": "lesion", "seed": "9"}
    page = index_page(service, link)
    first, second = cover_data(page)["lanes"]
    assert (first["cut"], second["cut"]) == ([2], [])
    assert first["colour"] == "lesion"
    assert first["first"] is None  # not trained: the page will say so, the cover claims nothing
    assert cover_data(page)["transport"]["conditions"][0].endswith("seed 9")
    assert cover_data(page)["transport"]["conditions"][1].startswith("The lanes differ in ")
    assert "your own nets" in page


def test_a_lessons_link_leaves_controls_out_of_the_cover_too(service: RunService) -> None:
    page = index_page(service, {"hide": "start.nets.play.colour"})
    assert ">Data<" in page
    for left_out in ("Start from", "Add a net", ">Change<", 'sk-transport"', "Colour", "Share"):
        assert left_out not in page.split('id="sk-cover"')[1], left_out
    assert cover_data(page)["transport"] is None


@pytest.mark.parametrize(
    "link",
    [
        {"lanes": "plain_57"},
        {"lanes": "<script>alert(1)</script>"},
        {"run": "nowhere"},
        {"seed": "-1"},
        {"embed": "true"},
    ],
)
def test_where_the_page_must_speak_there_is_no_cover(
    service: RunService, link: dict[str, str]
) -> None:
    page = index_page(service, link)
    assert "sk-cover" not in page
    assert "assets/page.css?v=" in page
    assert '<div id="root">' in page
    assert "alert(1)" not in page
