"""The app under a path and by a proxy's name: everything that a page asks for lies there, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.bench.browser import CHROMIUM_FLAGS, Server, find_chromium, serve
from explorer.errors import SkipscopeError

pytest.importorskip("playwright")
NAME = "lab.example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        find_chromium()
    except SkipscopeError as error:
        if os.environ.get("SKIPSCOPE_REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))
    folder: Path = tmp_path_factory.mktemp("app")
    with serve(folder / "home", log=folder / "log", base="lab/skip", hosts=[NAME]) as running:
        yield running


def test_everything_works_under_a_path_and_another_name(server: Server) -> None:
    from playwright.sync_api import sync_playwright

    flags = [*CHROMIUM_FLAGS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    address = server.url.replace("127.0.0.1", NAME)
    wrong: list[Any] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=flags)
        page = browser.new_page()
        page.on("response", lambda it: wrong.append(it.url) if it.status >= 400 else None)
        page.on("console", lambda it: wrong.append(it.text) if it.type == "error" else None)
        page.set_default_timeout(60_000)
        page.goto(f"{address}/?lanes=plain_8;width=4,resnet_v2_8;width=4&train=one_cycle;steps=20")
        page.locator(".sk-play").click()
        page.wait_for_function(
            "() => document.querySelector('.sk-transport')?.innerText.includes('step 20 of 20')"
        )
        assert all("%" in number for number in page.locator(".sk-big").all_text_contents())
        page.get_by_role("button", name="Look inside", exact=True).click()
        page.wait_for_url(f"{address}/instruments?**")
        page.wait_for_function("() => document.querySelector('.js-plotly-plot .trace, .point')")
        page.get_by_role("link", name="Runs").first.click()
        page.wait_for_url(f"{address}/runs**")
        page.reload()
        page.get_by_role("heading", name="Runs").first.wait_for()
        browser.close()
    assert not wrong
