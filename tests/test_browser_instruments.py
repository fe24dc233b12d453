"""The Instruments page in a real Chromium: by a link, with a choice changed, in both themes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

import pytest

from explorer.bench.browser import Server, chromium, find_chromium, serve
from explorer.errors import SkipscopeError

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]
NETS = "resnet_v2_20;width=4,plain_14;width=4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        find_chromium()
    except SkipscopeError as error:
        if os.environ.get("SKIPSCOPE_REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("app")
    with serve(folder / "home", log=folder / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Any]:
    """One page that notes what must not happen: foreign requests, console errors."""
    wrong: list[str] = []

    def heard(message: Any) -> None:
        if message.type == "error":
            wrong.append(message.text)

    def asked(request: Any) -> None:
        if urlparse(request.url).hostname not in ("127.0.0.1", None, ""):
            wrong.append(request.url)

    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1280, "height": 1000})
        opened.on("console", heard)
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", asked)
        yield opened
        opened.close()
    assert wrong == []


def open_link(page: Any, server: Server, **query: str) -> None:
    page.goto(f"{server.url}/instruments?{urlencode(query)}")
    measured(page)


def measured(page: Any, words: str = "") -> None:
    """Waits until everything is measured and drawn, and the sentences hold ``words``."""
    page.wait_for_function(
        """(words) => document.querySelector('.sk-instrument')?.ariaBusy === 'false'
             && document.querySelector('.sk-said').textContent.includes(words)""",
        arg=words,
        timeout=90_000,
    )


def test_a_link_opens_an_instrument_and_its_figure_follows_the_choices(
    page: Any, server: Server
) -> None:
    open_link(page, server, nets=NETS, instrument="gradients", n="40")
    measured(page, "ResNet v2 20, width 4, untrained")
    plot = page.locator(".sk-instrument .js-plotly-plot")
    assert "one batch of 40 training images" in plot.get_attribute("aria-label")
    look = """() => {
      const plot = document.querySelector('.sk-instrument .js-plotly-plot');
      return [plot.data.length, plot.layout.yaxis.title.text, plot.layout.xaxis.autorange];
    }"""
    lines, axis, _ = page.evaluate(look)
    assert (lines, "∂W" in axis) == (2, True)
    version = plot.get_attribute("data-version")
    page.get_by_role("radio", name="block outputs").click()
    page.wait_for_function(
        "(v) => document.querySelector('.sk-plot').dataset.version !== v", arg=version
    )
    measured(page, "three blocks")
    assert "∂y" in page.evaluate(look)[1]
    assert parse_qs(urlparse(page.url).query)["instrument"] == ["gradients;of=outputs"]

    # The table says the same, by keyboard.
    page.locator(".sk-table summary").focus()
    page.keyboard.press("Enter")
    assert page.locator(".sk-tables table").count() == 2
    assert page.locator(".sk-tables th").first.text_content() == "of"


def test_zoom_survives_another_net(page: Any, server: Server) -> None:
    open_link(page, server, nets=NETS, instrument="gradients", n="40")
    area = page.locator(".sk-instrument .nsewdrag").first.bounding_box()
    page.mouse.move(area["x"] + 60, area["y"] + 40)
    page.mouse.down()
    page.mouse.move(area["x"] + 400, area["y"] + 160, steps=5)
    page.mouse.up()
    look = """() => {
      const plot = document.querySelector('.sk-instrument .js-plotly-plot');
      return [plot.layout.xaxis.range, plot.layout.yaxis.range];
    }"""
    zoomed = page.evaluate(look)
    page.get_by_role("button", name="Change").nth(1).click()
    page.get_by_role("button", name="Remove this net").click()
    page.wait_for_function("() => document.querySelector('.sk-plot').data?.length === 1")
    assert page.evaluate(look) == zoomed


def test_nothing_is_wider_than_a_phone(page: Any, server: Server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_link(page, server, nets=NETS, instrument="lesions", n="40")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.locator(".sk-instrument .js-plotly-plot").bounding_box()["width"] <= 390


def test_compare_hands_its_nets_over(page: Any, server: Server) -> None:
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.goto(f"{server.url}/?{urlencode({'lanes': NETS})}")
    page.get_by_test_id("stButton").get_by_role("button", name="Look inside").click()
    page.wait_for_url("**/instruments?**")
    assert parse_qs(urlparse(page.url).query)["nets"] == [NETS]
    page.get_by_role("heading", name="ResNet v2 20, width 4, untrained").wait_for()


def test_a_block_is_deleted_by_click_and_swapped_by_keyboard_and_drag(
    page: Any, server: Server
) -> None:
    open_link(page, server, nets="resnet_v2_20;width=4", instrument="by_hand", n="100")
    measured(page, "intact:")
    block = page.locator(".sk-hand [data-unit='stages.1.units.1']")
    block.click()
    measured(page, "without 1 block (5)")
    assert parse_qs(urlparse(page.url).query)["instrument"] == ["by_hand;hand=0:-4"]
    page.get_by_role("button", name="Undo").click()
    measured(page, "intact:")

    block.focus()
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    measured(page, "2 blocks in another's place")
    assert page.locator(".sk-hand .sk-moved").all_text_contents() == ["6", "5"]
    page.get_by_role("button", name="Restore all").click()
    measured(page, "intact:")

    start = page.locator(".sk-hand [data-unit='stages.2.units.1']").bounding_box()
    end = page.locator(".sk-hand [data-unit='stages.2.units.2']").bounding_box()
    page.mouse.move(start["x"] + 8, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(end["x"] + 8, end["y"] + 8, steps=6)
    page.mouse.up()
    measured(page, "2 blocks in another's place")
    page.wait_for_url("**hand%3D0%3A7_8.8_7**")
