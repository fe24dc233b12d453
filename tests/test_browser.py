"""The real app in a real Chromium: what a person does, and what must never happen meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

import numpy as np
import pytest

from explorer.bench.browser import Server, chromium, find_chromium, serve
from explorer.drawing.palette import ink
from explorer.errors import SkipscopeError
from explorer.instruments.lesions.result import LesionCurve
from explorer.pages.shared.state import DEFAULT_LANES
from explorer.structure.cards import shipped

pytestmark = [pytest.mark.browser, pytest.mark.timeout(200)]

TINY = {"lanes": "plain_8;width=4,resnet_v2_8;width=4", "train": "one_cycle;steps=60"}
FAMILIES = "plain_56,resnet_v2_56,fc_highway_50;transform_bias=-4"  # all charts have something
LONG = {"lanes": "plain_8,resnet_v2_14", "train": "one_cycle;steps=20000"}


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
def browser(server: Server) -> Iterator[Any]:
    with chromium() as started:
        yield started


class Visit:
    """A page that notes what must not happen: foreign requests, console errors."""

    def __init__(self, browser: Any, server: Server, width: int = 1440, height: int = 1000) -> None:
        self.server = server
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request: Any) -> None:
        if urlparse(request.url).hostname not in ("127.0.0.1", None, ""):
            self.foreign.append(request.url)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, **query: str) -> Any:
        link = f"/?{urlencode(query)}" if query else "/"
        self.page.goto(self.server.url + link)
        self.page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
        self.page.wait_for_function(
            "() => document.querySelectorAll('.sk-lane .sk-graph [data-unit]').length > 1"
        )
        self.page.wait_for_function("() => document.querySelector('.sk-status')?.textContent")
        return self.page

    def status(self, status: str, timeout: float = 90_000) -> None:
        self.page.wait_for_function(
            "(s) => document.querySelector('.sk-transport')?.dataset.status === s",
            arg=status,
            timeout=timeout,
        )

    def step(self) -> int:
        words = self.page.locator(".sk-status").text_content().replace(",", "")
        return int(words.split("step ")[1].split()[0]) if "step " in words else 0

    def wait_step(self, least: int) -> None:
        self.page.wait_for_function(
            """(least) => {
              const m = /step ([\\d,]+)/.exec(document.querySelector('.sk-status').textContent);
              return m && Number(m[1].replaceAll(',', '')) >= least;
            }""",
            arg=least,
            timeout=90_000,
        )


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    opened = Visit(browser, server)
    yield opened
    opened.page.close()
    assert opened.foreign == []
    assert opened.errors == []


def answer_of(page: Any, lane: int, *, other_than: str = "") -> str:
    page.wait_for_function(
        """([lane, said]) => {
          const answer = document.querySelectorAll('.sk-lane')[lane].querySelector('.sk-answer');
          return /%/.test(answer.textContent) && answer.textContent !== said;
        }""",
        arg=[lane, other_than],
        timeout=60_000,
    )
    return str(page.locator(".sk-lane").nth(lane).locator(".sk-answer").text_content())


def test_the_first_screen_is_alive_without_a_click(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1440, "height": 1500})  # charts are drawn in sight
    page = visit.open()
    page.wait_for_function(
        """() => {
          const numbers = [...document.querySelectorAll('.sk-lane .sk-big')];
          return numbers.length === 3 && numbers.every((n) => /%/.test(n.textContent));
        }"""
    )
    page.wait_for_function(
        "() => document.querySelectorAll('.sk-chart .js-plotly-plot .trace').length >= 9",
        timeout=60_000,
    )
    captions = page.locator(".sk-caption").all_text_contents()
    assert any("360 test images" in text for text in captions)
    assert any("Plain 110: high on training images too" in text for text in captions)


def test_the_cover_is_the_page_before_streamlit_is_there(browser: Any, server: Server) -> None:
    """Its script never comes: numbers, blocks, and each thing where the page will have it."""
    places = """() => ['h1', '.sk-transport', '.sk-lane', '.sk-big', '.sk-graph svg', '.sk-counts']
      .flatMap((name) => [...document.querySelectorAll(name)].map((element) => {
        const box = element.getBoundingClientRect();
        return [box.x, box.y, box.width, box.height];
      }))"""
    for width in (1280, 390):
        covered = Visit(browser, server, width)
        covered.page.route("**/static/js/index.*", lambda route: route.abort())
        covered.page.goto(server.url)
        covered.page.wait_for_function("() => document.querySelector('.sk-status').textContent")
        shown = covered.page.locator("#sk-cover .sk-big").all_text_contents()
        names = [f"digits_{lane}" for lane in DEFAULT_LANES]
        errors = [1 - shipped()[name].accuracy for name in names]
        assert shown == [f"{error:.1%}".replace("%", " %") for error in errors]
        assert covered.page.locator("#sk-cover [data-unit]").count() > 100
        uncovered = Visit(browser, server, width)
        uncovered.open()
        before, after = (np.asarray(visit.page.evaluate(places)) for visit in (covered, uncovered))
        assert before.shape == after.shape
        assert np.abs(before - after).max() <= 1  # pixels
        covered.page.close()
        uncovered.page.close()


def test_a_click_on_the_cover_is_not_lost(visit: Visit) -> None:
    page = visit.page
    held: list[Any] = []
    page.route("**/static/js/index.*", lambda route: held.append(route))
    page.goto(visit.server.url, wait_until="commit")
    page.wait_for_function("() => document.querySelector('#sk-cover .sk-status')?.textContent")
    page.locator("#sk-cover .sk-lane").nth(1).locator("[data-unit]").nth(5).click()
    for route in held:
        route.continue_()
    page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
    assert "without 1 block" in answer_of(page, 1)
    assert "cut=" in page.url


def test_two_lanes_are_built_trained_and_cut(visit: Visit) -> None:
    page = visit.open(**TINY)
    page.get_by_role("button", name="Change").first.click()
    page.get_by_label("Width", exact=True).fill("8")
    page.get_by_label("Width", exact=True).press("Enter")
    page.wait_for_url("**lanes=plain_8%3Bwidth%3D8**")
    page.keyboard.press("Escape")
    page.locator(".sk-play").click()
    visit.status("finished")
    assert visit.step() == 60
    query = parse_qs(urlparse(page.url).query)
    assert query["run"][0]
    numbers = page.locator(".sk-big").all_text_contents()
    assert len(numbers) == 2
    assert all("%" in number for number in numbers)

    page.locator(".sk-lane").nth(1).locator("[data-unit]").first.click()
    one = answer_of(page, 1)
    assert "without 1 block" in one
    page.wait_for_url("**cut=1%3A0**")
    page.locator(".sk-lane").nth(1).locator("[data-unit]").nth(2).click()
    two = answer_of(page, 1, other_than=one)
    assert "without 2 blocks" in two
    page.get_by_role("button", name="Restore all").click()
    page.wait_for_function("() => !document.querySelector('.sk-graph .deleted')")

    # The link holds all of it: another visitor sees the same run.
    other = Visit(page.context.browser, visit.server)
    other.page.goto(page.url)
    other.status("finished")
    # The cover of the first moments shows the same lanes once more, until the page has them.
    other.page.wait_for_function("() => document.querySelectorAll('.sk-big').length === 2")
    assert other.page.locator(".sk-big").all_text_contents() == numbers
    other.page.close()


def test_blocks_pressed_faster_than_the_page_answers_are_all_deleted(visit: Visit) -> None:
    page = visit.open(**TINY)
    page.wait_for_function("() => document.querySelectorAll('.sk-lane').length === 2")
    page.evaluate(
        """() => {
          const blocks = document.querySelectorAll('.sk-lane')[1].querySelectorAll('[data-unit]');
          [0, 2].forEach((block, turn) => setTimeout(() => blocks[block].dispatchEvent(
            new MouseEvent('click', { bubbles: true })), 30 * turn));
        }"""
    )
    page.wait_for_url("**cut=1%3A0.2**")
    assert "without 2 blocks" in answer_of(page, 1)


def test_zoom_and_legend_survive_new_data_and_a_refresh_attaches_again(visit: Visit) -> None:
    page = visit.open(**LONG)
    page.locator(".sk-play").click()
    visit.status("running")
    visit.wait_step(30)
    page.wait_for_function(
        "() => document.querySelectorAll('.js-plotly-plot')[0]?.data?.length >= 4"
    )
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    plot.locator(".legendtoggle").nth(1).click()
    page.wait_for_timeout(600)  # Plotly waits for a double click
    area = plot.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(area["x"] + 40, area["y"] + 40)
    page.mouse.down()
    page.mouse.move(area["x"] + 200, area["y"] + 120, steps=5)
    page.mouse.up()
    look = """() => {
      const plot = document.querySelectorAll('.js-plotly-plot')[0];
      return [plot.layout.xaxis.range, plot.layout.yaxis.range, plot.data[3].visible, plot.mark];
    }"""
    page.evaluate("() => { document.querySelectorAll('.js-plotly-plot')[0].mark = 'same'; }")
    chosen = page.evaluate(look)
    assert 0 < chosen[0][0] < chosen[0][1] < 20_000
    assert chosen[2:] == ["legendonly", "same"]
    for _ in range(3):
        seen = plot.get_attribute("data-version")
        page.wait_for_function(
            "(seen) => document.querySelector('.js-plotly-plot').dataset.version !== seen",
            arg=seen,
        )
    assert page.evaluate(look) == chosen

    run = parse_qs(urlparse(page.url).query)["run"]
    page.reload()
    page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
    visit.status("running")
    assert parse_qs(urlparse(page.url).query)["run"] == run
    page.locator(".sk-play").click()
    visit.status("paused")
    at = visit.step()
    page.locator(".sk-step").click()
    visit.wait_step(at + 1)
    assert visit.step() == at + 1
    page.locator(".sk-stop").click()
    visit.status("stopped")


def test_a_killed_worker_is_a_failed_run_and_nothing_else(visit: Visit) -> None:
    page = visit.open(**LONG)
    page.locator(".sk-play").click()
    visit.wait_step(5)
    for worker in training_workers(visit.server.pid):
        os.kill(worker, signal.SIGKILL)
    visit.status("failed")
    assert "SIGKILL" in page.locator(".sk-why").text_content()
    page.locator(".sk-lane").nth(1).locator("[data-unit]").first.click()
    assert "without 1 block" in answer_of(page, 1)  # the app goes on


def training_workers(server: int) -> list[int]:
    """The busiest of the server's workers for trainings: the one that trains."""
    import time

    listing = subprocess.run(
        ["ps", "-ww", "--ppid", str(server), "-o", "pid=,args="],  # whole, however narrow COLUMNS
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    workers = [int(line.split(None, 1)[0]) for line in listing if "--role train" in line]
    before = {pid: ticks(pid) for pid in workers}
    time.sleep(1.0)
    grown = {pid: ticks(pid) - before[pid] for pid in workers}
    busiest = max(grown, key=lambda pid: grown[pid])
    assert grown[busiest] > 0
    return [busiest]


def ticks(pid: int) -> int:
    """Processor time of a process, in the kernel's ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_the_graph_is_operated_by_keyboard(visit: Visit) -> None:
    page = visit.open(lanes="resnet_v2_14;width=4")
    first = page.locator("[data-unit][tabindex='0']").first
    first.focus()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("() => document.activeElement.dataset.unit")
    assert focused == "stages.0.units.1"
    page.keyboard.press("Enter")
    assert "without 1 block" in answer_of(page, 0)
    assert page.evaluate("() => document.activeElement.dataset.unit") == focused
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement.dataset.unit") == "stages.1.units.1"


def test_every_chart_follows_the_nets_at_once(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1440, "height": 1500})  # charts are drawn in sight
    page = visit.open()
    for preset, name in (
        ("v1 beside v2, 56 layers", "ResNet v1 56"),
        ("Plain nets, deeper and deeper", "Plain 110"),
        ("Plain, residual, highway", "Highway 50"),
    ):
        page.get_by_role("combobox", name="Start from").click()
        page.get_by_role("option", name=preset, exact=True).click()
        page.wait_for_function(
            """(name) => {
              const plot = document.querySelector('.st-key-card-gradient .js-plotly-plot');
              return plot?.data?.some((trace) => trace.name.startsWith(name));
            }""",
            arg=name,
            timeout=15_000,
        )


def test_a_training_goes_on_slowly_with_a_copy_without_shortcuts_and_without_a_block(
    visit: Visit,
) -> None:
    page = visit.open(lanes="resnet_v2_8;width=4", train="one_cycle;steps=20000")
    page.locator(".sk-slow").click()
    for name in ("forward", "backward", "update"):
        page.wait_for_function(
            """(name) => document.querySelector('.sk-phases [aria-current]')?.textContent === name
              && /ResNet v2 8.* \\d/.test(document.querySelector('.sk-phases span').textContent)""",
            arg=name,
            timeout=60_000,
        )
    page.locator(".sk-lane [data-unit]").nth(1).click()
    page.wait_for_url("**cut=0%3A1**")
    page.get_by_role("button", name="Change").click()
    page.get_by_role("button", name="Train on without the deleted block").click()
    note = page.locator(".sk-note").first
    page.wait_for_function(
        "() => document.querySelector('.sk-note').textContent === 'Trains without block 2.'"
    )
    assert "cut=" not in page.url
    # The drawer is still open, and follows the training.
    page.get_by_role("button", name="All blocks act again").click()
    note.wait_for(state="hidden")
    page.get_by_role("button", name="Copy it, shortcuts cut").click()
    page.wait_for_function("() => document.querySelectorAll('.sk-lane').length === 2")
    copied = page.locator(".sk-note").nth(1)
    copied.wait_for()
    assert "Lane 2 goes on from lane 1 at step" in (copied.text_content() or "")
    page.locator(".sk-stop").click()
    visit.status("stopped")


def test_words_in_a_link_are_never_markup(visit: Visit) -> None:
    page = visit.open(run="![x](http://example.com/x.png)", train="[click](http://example.com)")
    alerts = page.locator("[data-testid='stAlert']")
    said = " ".join(alerts.all_text_contents()).replace("\u200b", "")
    assert "![x](http://example.com/x.png)" in said
    assert "[click](http://example.com)" in said
    assert alerts.locator("a, img").count() == 0


def test_a_block_that_cannot_go_says_why(visit: Visit) -> None:
    page = visit.open(lanes="plain_14;width=4")
    page.locator("[data-unit='stages.1.units.0']").click(force=True)
    answer = page.locator(".sk-answer").first
    answer.wait_for(state="visible")
    assert "cannot compute without it" in answer.text_content()


def test_one_image_goes_through_every_net(visit: Visit) -> None:
    page = visit.open()
    page.get_by_text("True class").wait_for(timeout=60_000)
    said = page.locator(".st-key-card-image .sk-chart .sk-caption").text_content()
    page.get_by_label("Test image", exact=True).fill("7")
    page.get_by_label("Test image", exact=True).press("Enter")
    page.wait_for_function(
        """(said) => said !==
             document.querySelector('.st-key-card-image .sk-chart .sk-caption').textContent""",
        arg=said,
    )
    page.wait_for_url("**image=7**")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"lanes": "plain_55"}, "Depth 55"),
        ({"run": "nosuchrun"}, "not stored here"),
        ({"data": "folder;path=/no/such/folder"}, "/no/such/folder"),
    ],
)
def test_a_wrong_link_is_a_sentence_on_a_working_page(
    visit: Visit, query: dict[str, str], words: str
) -> None:
    page = visit.open(**query)
    assert words in page.locator("[data-testid='stAlert']").first.text_content()


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, server: Server) -> None:
    phone = Visit(browser, server, width=390, height=844)
    page = phone.open(lanes=FAMILIES)
    for chart in range(5):  # a chart is drawn when it is scrolled near
        page.locator(".sk-chart").nth(chart).scroll_into_view_if_needed()
        page.wait_for_function(
            "(n) => document.querySelectorAll('.sk-plot')[n].classList.contains('js-plotly-plot')",
            arg=chart,
        )
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.sk-lane, .sk-chart, .sk-transport')]
             .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"""
    )
    assert wide == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert phone.foreign == []
    assert phone.errors == []
    page.close()


def test_every_run_is_found_on_the_runs_page(visit: Visit) -> None:
    page = visit.open(**TINY)
    page.locator(".sk-play").click()
    visit.status("finished")
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("heading", name="Runs").wait_for()
    page.get_by_test_id("stDataFrame").wait_for()


def test_a_block_under_the_pointer_is_marked_in_every_chart_and_back(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1280, "height": 1700})
    page = visit.open(lanes=FAMILIES)
    page.wait_for_function(
        "() => document.querySelectorAll('.sk-chart .js-plotly-plot .trace').length >= 8",
        timeout=60_000,
    )
    page.locator(".sk-lane").nth(1).locator("[data-unit='stages.0.units.6']").hover()
    told = "() => [...document.querySelectorAll('.hoverlayer text')].map((t) => t.textContent)"
    page.wait_for_function(f"() => ({told})().length >= 2")
    words = page.evaluate(told)
    assert all("ResNet v2 56" in text and "stages.0.units.6" in text for text in words)
    page.mouse.move(2, 2)
    page.wait_for_function(f"() => ({told})().length === 0")
    point = page.locator(".st-key-card-lesion .point").nth(40)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => document.querySelectorAll('.sk-graph .marked').length === 1")


def test_the_slider_of_time_shows_an_earlier_step_and_the_link_keeps_it(visit: Visit) -> None:
    page = visit.open(**TINY)
    page.locator(".sk-play").click()
    visit.status("finished")
    latest = page.locator(".sk-label").all_text_contents()
    assert all("step 60" in words for words in latest)
    slider = page.locator(".sk-at")
    slider.focus()
    page.keyboard.press("Home")
    earlier = """() => [...document.querySelectorAll('.sk-label')]
      .every((label) => / step 0$/.test(label.textContent))"""
    page.wait_for_function(earlier)
    page.wait_for_url("**at=0**")
    page.reload()
    page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
    page.wait_for_function(earlier, timeout=60_000)
    page.locator(".sk-now").click()
    page.wait_for_function(
        "(words) => document.querySelector('.sk-label').textContent === words", arg=latest[0]
    )
    page.wait_for_url(lambda url: "at=" not in url)


def test_a_chart_tells_its_numbers(visit: Visit) -> None:
    page = visit.open(lanes=FAMILIES)
    numbers = page.locator(".st-key-card-lesion .sk-numbers")
    numbers.locator("summary").scroll_into_view_if_needed()
    numbers.locator("summary").click()
    numbers.locator("tbody tr").nth(20).wait_for()
    cells = numbers.locator("tbody tr").nth(1).locator("td").all_text_contents()
    assert cells[0] == "2"
    card = LesionCurve.from_json(shipped()["digits_plain_56"].results["lesions"])
    lost = f"{100 * card.accuracy[1]:.4g}"
    assert re.fullmatch(rf"{re.escape(lost)} \(\d+\.?\d* – \d+\.?\d*\)", cells[2])
    assert page.get_by_role("button", name="Reset axes").count() >= 3
    assert page.get_by_role("button", name="Share chart").count() == 0  # it would upload the figure


@pytest.mark.parametrize(
    "path", ["", "net", "papers?figure=veit16_fig3", "timing", "runs", "sweep"]
)
def test_axe_finds_no_violation(browser: Any, server: Server, path: str) -> None:
    """axe-core's rules for accessible pages, with every live part drawn, in both themes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": 1280, "height": 2400}, color_scheme="light")
    page.goto(f"{server.url}/{path}")
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
    page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
    for theme in ("light", "dark"):  # the page follows where the browser's theme changes
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(
            "(ink) => getComputedStyle(document.body).getPropertyValue('--sk-ink') === ink",
            arg=ink(theme),
            timeout=60_000,
        )
        page.wait_for_timeout(2500 if path == "" else 1200)
        found = axe.run(page)
        assert found.violations_count == 0, f"{theme}: {found.generate_report()}"
    page.close()
