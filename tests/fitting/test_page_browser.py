"""The page in a real browser, as its reader uses it. Skipped where Chromium or Playwright is not installed."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.fitting.reporting.page.build import build_page
from isoflop.fitting.reporting.style import count_text, flops_text

from .page_sample import BREAKOUT, HOSTILE, LINKED, NAMES, PRICE, RATE, sample_law, sample_page, sample_slider

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@dataclass
class Opened:
    """A page in a window of some width, with what went wrong in it and what it asked the network for."""

    page: Any
    troubles: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(build_page(sample_page()), encoding="utf-8")
    return file.as_uri()


def drawn(page: Any) -> list[bool]:
    return page.evaluate("[...document.querySelectorAll('.graph')].map((box) => Boolean(box.data))")


def opened(browser: Any, address: str, **window: Any) -> Opened:
    """With every graph drawn."""
    shown = loaded(browser, address, **window)
    for graph in shown.page.locator(".graph").all():
        graph.scroll_into_view_if_needed()
        graph.locator(".main-svg").first.wait_for()
    shown.page.evaluate("scrollTo(0, 0)")
    return shown


def loaded(browser: Any, address: str, **window: Any) -> Opened:
    context = browser.new_context(**window)
    context.set_default_timeout(20_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown = Opened(context.new_page())
    shown.page.on("console", lambda message: shown.troubles.append(message.text))
    shown.page.on("pageerror", lambda error: shown.troubles.append(str(error)))

    def answer(route: Any) -> None:
        if route.request.url == address:
            route.continue_()
        else:
            shown.asked.append(route.request.url)
            route.fulfill(body="")

    context.route(re.compile("^(?!data:|blob:)"), answer)
    shown.page.goto(address)
    shown.page.locator(".legend button").first.wait_for()  # Plotly is there
    return shown


@pytest.fixture(scope="module")
def wide(browser: Any, address: str) -> Iterator[Opened]:
    shown = opened(browser, address, viewport={"width": 1280, "height": 900})
    yield shown
    assert shown.troubles == []
    assert set(shown.asked) <= {LINKED}


@pytest.fixture(scope="module")
def narrow(wide: Opened) -> Opened:
    wide.page.set_viewport_size({"width": 400, "height": 800})
    wide.page.wait_for_function("document.querySelector('#loss-1-0 .main-svg').clientWidth < 400")
    return wide


def place_of(page: Any, point: int) -> tuple[float, float]:
    """Where a run's point lies in the window."""
    points = page.locator("#loss-1-0 .scatterlayer .trace").first.locator(".points path")
    points.nth(point).scroll_into_view_if_needed()
    box = points.nth(point).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def hovered(page: Any, point: int) -> str:
    page.mouse.move(5, 5)
    page.mouse.move(*place_of(page, point))
    page.wait_for_selector("#loss-1-0 .hoverlayer .hovertext")
    return page.locator("#loss-1-0 .hoverlayer .hovertext").text_content()


def answers(page: Any, row: int = 0) -> list[str]:
    return [cell.inner_text().replace("\n", " ") for cell in page.locator(f"#answers tr:nth-child({row + 1}) td").all()]


def expected_answers(flops: float) -> list[str]:
    """By the law itself, and for bounds that are no power law by log-log interpolation of the slider's arrays."""
    n_params, tokens, loss = (float(value) for value in sample_law(np.array(flops)))
    law, grid = sample_slider().laws[0], np.log(sample_slider().flops)
    assert law.loss is not None
    low, high = (
        math.exp(np.interp(math.log(flops), grid, np.log(bound)))
        for bound in (law.loss.low, law.loss.high)
        if bound is not None
    )
    counts = [f"{count_text(n)} [{count_text(n / 1.5)}, {count_text(n * 1.5)}]" for n in (n_params, tokens)]
    return ["isoFLOP N total, C exact", *counts, f"{tokens / n_params:.3g}", f"{loss:.3f} [{low:.3f}, {high:.3f}]"]


def test_it_opens_with_every_graph_and_asks_for_nothing(wide: Opened) -> None:
    assert wide.page.locator(".graph .main-svg").first.is_visible()
    traces = wide.page.evaluate("[...document.querySelectorAll('.graph')].map((box) => box.data.length)")
    assert traces == [3, 2, 2, 1]
    assert wide.asked == []
    assert wide.troubles == []


def test_pointing_at_a_run_says_its_name_and_loss(wide: Opened) -> None:
    said = hovered(wide.page, 2)
    assert NAMES[2] in said
    assert "loss 3." in said


def test_hostile_names_are_words(wide: Opened) -> None:
    assert HOSTILE in hovered(wide.page, 8)
    assert wide.page.locator("h1").inner_text() == f"Scaling of {HOSTILE}"
    assert BREAKOUT in wide.page.locator("#loss-1-0").text_content()
    assert wide.page.locator("img").count() == 0


def test_a_click_on_a_linked_point_opens_its_address_and_others_open_nothing(wide: Opened) -> None:
    hovered(wide.page, 8)  # its address is javascript:
    wide.page.mouse.click(*place_of(wide.page, 8))
    hovered(wide.page, 3)
    with wide.page.context.expect_page() as opening:
        wide.page.mouse.click(*place_of(wide.page, 3))
    opening.value.wait_for_url(LINKED)
    assert opening.value.evaluate("window.opener") is None
    opening.value.close()
    assert wide.asked == [LINKED]


def test_typing_a_budget_answers_as_the_law_does(wide: Opened) -> None:
    wide.page.fill("#budget-text", "3.3e21")
    assert answers(wide.page) == expected_answers(3.3e21)
    assert wide.page.locator("#budget-says").inner_text() == "EXTRAPOLATION: 1.5 decades above the runs."
    hours = 3.3e21 / RATE / 3600
    cost = f"Training for 3.3e21 FLOPs takes {hours:.4g} device-hours and costs ${hours * PRICE:,.0f}."
    assert wide.page.locator("#cost-says").inner_text() == cost.replace("2292", "2290")  # three digits
    assert float(wide.page.input_value("#budget-range")) == pytest.approx(math.log10(3.3e21), abs=0.02)


def test_the_slider_is_moved_by_keys(wide: Opened) -> None:
    wide.page.fill("#budget-text", "1e18")
    wide.page.focus("#budget-range")
    for _ in range(5):
        wide.page.keyboard.press("ArrowRight")
    chosen = 10 ** (18 + 5 * 0.02)
    assert wide.page.input_value("#budget-text") == flops_text(chosen)
    assert answers(wide.page) == expected_answers(float(flops_text(chosen)))
    assert wide.page.locator("#budget-says").inner_text() == "Within the compute of the runs."


def test_what_a_law_does_not_say_is_not_made_up(wide: Opened) -> None:
    wide.page.fill("#budget-text", "1e18")
    twice = count_text(2 * float(sample_law(np.array(1e18))[0]))
    assert answers(wide.page, 1)[1:] == [twice, "–", "–", "–"]


def test_a_budget_out_of_range_or_without_sense_keeps_the_answers_and_says_so(wide: Opened) -> None:
    wide.page.fill("#budget-text", "1e18")
    for typed in ("1e30", "many", "-1e18", ""):
        wide.page.fill("#budget-text", typed)
        assert "Give FLOPs from 1e15 to 1e23, such as 1e20;" in wide.page.locator("#budget-says").inner_text()
        assert answers(wide.page) == expected_answers(1e18)
    wide.page.fill("#budget-text", "10^19 FLOPs")
    assert answers(wide.page) == expected_answers(1e19)


def test_rate_and_price_are_the_readers(wide: Opened) -> None:
    wide.page.fill("#budget-text", "1e18")
    wide.page.fill("#rate", "1e14")
    wide.page.fill("#price", "3.6")
    assert "takes 2.78 device-hours and costs $10.00." in wide.page.locator("#cost-says").inner_text()
    wide.page.fill("#price", "")
    assert wide.page.locator("#cost-says").inner_text() == "Training for 1e18 FLOPs takes 2.78 device-hours."
    for rate in ("fast", "1e-300"):
        wide.page.fill("#rate", rate)
        assert "need a positive number" in wide.page.locator("#cost-says").inner_text()


def test_the_budget_is_marked_where_an_axis_is_compute(wide: Opened) -> None:
    wide.page.fill("#budget-text", "2e18")
    graph = wide.page.locator("#loss-1-1")
    playwright.expect(graph).to_contain_text("C = 2e18")
    wide.page.fill("#budget-text", "1e23")  # beyond the axis
    playwright.expect(graph).not_to_contain_text("C = ")
    assert "C = " not in wide.page.locator("#loss-1-0").text_content()


def test_a_line_of_the_legend_hides_its_marks(wide: Opened) -> None:
    button = wide.page.get_by_role("button", name="minimum")
    shown = "document.getElementById('loss-1-0').data.map((trace) => trace.visible !== false)"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert wide.page.evaluate(shown) == [True, True, False]
    button.click()
    assert wide.page.evaluate(shown) == [True, True, True]


def test_commands_are_copied(wide: Opened) -> None:
    wide.page.get_by_role("button", name="Copy").click()
    assert (
        wide.page.evaluate("navigator.clipboard.readText()") == "isoflop fit runs.csv --out fits\nisoflop report fits"
    )
    assert wide.page.get_by_role("button", name="Copied").is_visible()


def test_zoomed_in_the_axes_still_have_ticks(wide: Opened) -> None:
    ticks = wide.page.locator("#loss-1-0 .xtick")
    left, top = place_of(wide.page, 4)
    wide.page.mouse.move(left + 20, top - 60)
    wide.page.mouse.down()
    wide.page.mouse.move(left + 60, top - 62, steps=3)
    wide.page.mouse.up()
    playwright.expect(ticks.filter(has_text="16M")).to_have_count(1)
    wide.page.locator("#loss-1-0 .nsewdrag").dblclick(position={"x": 100, "y": 40})
    playwright.expect(ticks.filter(has_text="M")).to_have_text(["1M", "3M", "10M", "30M", "100M"])


def test_printed_every_graph_fits_the_paper_and_nothing_is_folded(wide: Opened) -> None:
    wide.page.evaluate(
        """addEventListener("beforeprint", () => {
            const drawn = [...document.querySelectorAll(".graph .main-svg:first-child")];
            window.printed = {
                widths: drawn.map((svg) => +svg.getAttribute("width")),
                folded: document.querySelectorAll("details:not([open])").length,
            };
        })"""
    )
    assert wide.page.pdf(format="A4").startswith(b"%PDF")
    printed = wide.page.evaluate("window.printed")
    assert len(printed["widths"]) == 4
    assert max(printed["widths"]) <= 680
    assert printed["folded"] == 0
    after = wide.page.evaluate("document.querySelector('#loss-1-0 .main-svg').getAttribute('width')")
    assert float(after) == wide.page.evaluate("document.getElementById('loss-1-0').clientWidth")
    assert wide.page.locator("details:not([open])").count() == 1


def test_graphs_are_drawn_near_the_view_and_before_a_print(browser: Any, address: str) -> None:
    page = loaded(browser, address, viewport={"width": 1280, "height": 150}).page
    assert drawn(page) == [False] * 4
    page.get_by_role("button", name="minimum").evaluate("(button) => button.click()")  # its graph is not there yet
    page.fill("#budget-text", "many")
    page.pdf(format="A4")
    assert drawn(page) == [True] * 4
    assert page.evaluate("document.getElementById('loss-1-0').data.map((trace) => trace.visible !== false)")[2] is False
    assert page.input_value("#budget-text") == "1e20"  # what the answers printed are for
    page.context.close()


def test_at_400_pixels_nothing_overflows_and_panels_are_stacked(narrow: Opened) -> None:
    assert narrow.page.evaluate("document.scrollingElement.scrollWidth") <= 400
    first, second = (narrow.page.locator(f"#loss-1-{panel}").bounding_box() for panel in (0, 1))
    assert second["y"] >= first["y"] + first["height"]
    assert second["x"] == first["x"]
    assert narrow.page.evaluate("[...document.querySelectorAll('.main-svg')].every((svg) => svg.clientWidth <= 400)")


def test_at_400_pixels_names_of_rows_stay_readable_and_fingers_hit(narrow: Opened) -> None:
    assert HOSTILE in narrow.page.locator("#loss-2-1 .infolayer").text_content()
    for control in (".legend button", "nav a", "#budget-text", "summary", ".box button"):
        assert narrow.page.locator(control).first.bounding_box()["height"] >= 36
