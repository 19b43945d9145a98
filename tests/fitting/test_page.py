"""The page as a file: what it holds without a browser, and that nothing in it leaves it or breaks out of it."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from isoflop.fitting.reporting.page.build import build_page
from isoflop.fitting.reporting.page.content import Page, Paragraph, Section
from isoflop.fitting.reporting.pictures.interactive import plotly_of
from isoflop.fitting.reporting.pictures.picture import Axis, Line, Panel, Picture, Points

from .page_sample import BREAKOUT, HOSTILE, LINKED, sample_page


class Reader(HTMLParser):
    """The elements of a page with their attributes, its words outside scripts, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.scripts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = dict(attrs).get("id") or f"{tag}{len(self.scripts)}"
            self.scripts[self._inside] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] += data
        else:
            self.words += data


def test_everything_is_inside_and_only_links_lead_out() -> None:
    read = Reader(build_page(sample_page()))
    assert not any("src" in attributes for _, attributes in read.elements)
    leads = {(tag, href) for tag, attributes in read.elements if (href := attributes.get("href"))}
    assert {href for tag, href in leads if tag == "a" and not href.startswith("#")} == {LINKED}
    assert all(href.startswith("data:") for tag, href in leads if tag != "a")
    policy = next(a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_names_cannot_add_elements() -> None:
    read = Reader(build_page(sample_page()))
    assert "img" not in {tag for tag, _ in read.elements}
    assert [tag for tag, _ in read.elements].count("script") == 3
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    assert HOSTILE in read.words
    assert BREAKOUT in read.words
    figures = json.loads(read.scripts["page-data"])["figures"]
    picture = sample_page().sections[0].parts[1]
    assert isinstance(picture, Picture)
    assert [figures["loss-1-0"], figures["loss-1-1"]] == plotly_of(picture)


def test_the_page_is_read_without_javascript() -> None:
    page = sample_page()
    words = Reader(build_page(page)).words
    for said in (page.title, page.subtitle, *page.verdict, *page.facts, *page.facts.values()):
        assert said in words
    for said in ("Loss against size, and against compute", "One run is left out.", "edge-minimum", "Sizes are totals."):
        assert said in words
    assert "isoflop fit runs.csv --out fits\nisoflop report fits" in words
    assert words.count("This figure needs JavaScript") == 2


@pytest.mark.parametrize(("price", "written"), [(0.0, "0"), (None, ""), (2.5, "2.5")])
def test_an_hour_may_cost_nothing_or_nobody_knows_what(price: float | None, written: str) -> None:
    page = sample_page()
    assert page.slider is not None
    read = Reader(build_page(replace(page, slider=replace(page.slider, price_per_hour=price))))
    assert next(attributes for _, attributes in read.elements if attributes.get("id") == "price")["value"] == written


def test_rows_beyond_those_shown_are_folded_away() -> None:
    text = build_page(sample_page())
    before, folded = text.split("<details>")
    assert "4 more rows" in folded
    assert "run 4" in before
    assert "run 5" not in before.split('id="runs"')[1]
    assert "run 5" in folded
    assert '<th colspan="3" scope="colgroup">early runs</th>' in before


def test_five_hundred_runs_with_curves_stay_under_six_megabytes() -> None:
    runs = np.geomspace(1e6, 1e9, 500)
    hover = tuple(f"a run with a name of some length {i}\nN 12.3M, D 1.23B, C 1.23e18\nloss 3.1234" for i in range(500))
    points = Points(runs, runs, "#0072b2", hover=hover, links=(LINKED,) * 500)
    curves = tuple(Line(np.geomspace(1e15, 1e20, 80) / 3, np.linspace(4, 2, 80) / 3, "#0072b2") for _ in range(500))
    axes = Axis("x", log=True, written="flops"), Axis("y")
    pictures = [Picture(f"p{i}", "t", "c", (Panel(*axes, (points,)),)) for i in range(8)]
    pictures.append(Picture("curves", "t", "c", (Panel(*axes, curves),)))
    section = Section("all", "All", tuple(pictures))
    assert len(build_page(replace(sample_page(), sections=(section,))).encode()) < 6e6


def test_a_page_of_words_needs_no_plotly_and_survives_names_that_are_no_text() -> None:
    page = Page("t", "", (), {}, (Section("a", "A", (Paragraph("a file of bytes \udcff"),)),))
    text = build_page(page)
    assert len(text.encode()) < 60_000
    assert "a file of bytes ?" in text
