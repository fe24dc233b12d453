"""The Runs page in a real Chromium: its report opens with no network; deleting is undone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_pages_runs import fill

from explorer.bench.browser import Server, chromium, find_chromium, serve
from explorer.errors import SkipscopeError

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app") / "home"


@pytest.fixture(scope="module")
def runs(home: Path) -> list[str]:
    return fill(home)


@pytest.fixture(scope="module")
def server(runs: list[str], home: Path) -> Iterator[Server]:
    try:
        find_chromium()
    except SkipscopeError as error:
        if os.environ.get("SKIPSCOPE_REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))
    with serve(home, log=home.parent / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Any]:
    with chromium() as started:
        yield started


def test_a_report_is_saved_and_opens_without_a_network(
    browser: Any, server: Server, runs: list[str], tmp_path: Path
) -> None:
    errors: list[str] = []
    page = browser.new_page()
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(f"{server.url}/runs?run={runs[0]},{runs[1]}")
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Report, one HTML file").click()
    report = tmp_path / download.value.suggested_filename
    download.value.save_as(report)
    assert report.name == "a-pair-another-pair.html"
    page.close()

    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.url)
        route.abort()

    context.route("http*://**", refuse)
    page = context.new_page()
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_function(
        "(n) => document.querySelectorAll('.js-plotly-plot .subplot').length >= n", arg=9
    )
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    summary = page.locator("details summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details table").first.is_visible()
    with page.expect_download() as picture:
        page.locator("[data-as=svg]").first.click()
    assert picture.value.suggested_filename == "a-pair-another-pair-error.svg"
    context.close()
    assert asked == []
    assert errors == []


def test_a_run_is_deleted_and_brought_back(browser: Any, server: Server, runs: list[str]) -> None:
    page = browser.new_page()
    page.goto(f"{server.url}/runs?run={runs[0]}")
    page.get_by_label("Note").fill("seen <b>nothing</b>")
    page.get_by_label("Note").blur()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("Deleted “a pair”.").wait_for()
    assert "run=" not in page.url
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(f"**run={runs[0]}**")
    page.wait_for_function(
        "(note) => document.querySelector('textarea')?.value === note", arg="seen <b>nothing</b>"
    )
    page.close()


def test_words_typed_while_the_server_is_away_are_stored_later(
    browser: Any, server: Server, runs: list[str]
) -> None:
    page = browser.new_page()
    away = False

    def between(socket: Any) -> None:
        there = socket.connect_to_server()
        socket.on_message(lambda message: None if away else there.send(message))

    page.route_web_socket("**/_stcore/stream", between)
    page.goto(f"{server.url}/runs?run={runs[1]}")
    said = page.locator(".sk-text:has(textarea) + .sk-status")
    page.get_by_label("Name").fill("")
    page.get_by_label("Name").blur()
    page.get_by_text("name cannot be empty").wait_for()
    page.get_by_label("Name").fill("one\u2009of two")
    page.get_by_label("Name").press("Enter")
    page.get_by_role("heading", name="one of two").wait_for()
    away = True
    page.get_by_label("Note").fill("not to be lost")
    page.get_by_label("Note").blur()
    page.get_by_text("Not stored yet").wait_for()
    page.unroute_all()
    away = False
    page.reload()
    said.get_by_text("Stored.").wait_for()
    assert page.get_by_label("Note").input_value() == "not to be lost"
    page.reload()
    page.wait_for_function("() => document.querySelector('textarea')?.value === 'not to be lost'")
    assert not page.evaluate("() => Object.keys(localStorage).some((k) => /text/.test(k))")
    for words in ("one", "one two", ""):  # faster than the answers
        page.get_by_label("Note").fill(words)
        page.get_by_label("Note").press("Control+Enter")
    said.get_by_text("Stored.").wait_for()
    assert page.get_by_label("Note").input_value() == ""
    page.get_by_label("Name").fill("another pair")
    page.get_by_label("Name").press("Enter")
    page.get_by_role("heading", name="another pair").wait_for()
    page.close()


def test_what_streamlits_own_elements_say_is_mended(browser: Any, server: Server) -> None:
    page = browser.new_page()
    page.goto(f"{server.url}/instruments")
    page.get_by_role("button", name="Add a net").click()
    box = page.get_by_test_id("stFileUploaderDropzone")
    box.wait_for()
    assert box.get_attribute("role") == "group"
    words = "Streamlit server is not responding. Are you connected to the internet?"
    page.evaluate(
        """(words) => {
          const window = document.body.appendChild(document.createElement("div"));
          window.innerHTML = `<section role="dialog"><h2>Connection error</h2>${words}</section>`;
        }""",
        words,
    )
    page.get_by_role("heading", name="The server does not answer").wait_for()
    assert "goes on by itself" in page.locator("section[role=dialog]").text_content()
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(
    browser: Any, server: Server, runs: list[str], theme: str, tmp_path: Path
) -> None:
    """axe-core's rules, with runs chosen and the drawer of files open; and in a report."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = browser.new_page(viewport={"width": 1280, "height": 1600}, color_scheme=theme)
    page.goto(f"{server.url}/runs?run={runs[0]},{runs[1]}")
    page.wait_for_selector(".js-plotly-plot .subplot", timeout=60_000)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Numbers, CSV").wait_for()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    report = tmp_path / "report.html"
    address = f"{server.url}/skipscope/run/file?as=html&lanes={runs[0]}.0,{runs[0]}.1"
    report.write_bytes(page.request.get(address, headers={"X-Skipscope": "1"}).body())
    page.goto(report.as_uri())
    page.wait_for_selector(".js-plotly-plot .subplot")
    found = axe.Axe().run(page)
    page.close()
    assert found.violations_count == 0, found.generate_report()
