"""Pictures as Plotly's JSON: what Plotly accepts, and that no name or number is read as anything else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.fitting.reporting.pictures.extent import limits
from isoflop.fitting.reporting.pictures.interactive import legend_groups, plotly_of
from isoflop.fitting.reporting.pictures.picture import Axis, Band, Field, Line, Panel, Picture, Points, Text
from isoflop.fitting.reporting.pictures.plain import escaped, numbers
from isoflop.fitting.reporting.pictures.ticks import log_ticks
from isoflop.fitting.reporting.style import BLACK, WHITE

from .page_sample import HOSTILE, LINKED, field_picture, runs_picture


def one_panel(*marks: Points | Line | Band | Field, x: Axis | None = None, y: Axis | None = None) -> Picture:
    return Picture("one", "one", "one", (Panel(x or Axis("x"), y or Axis("y"), marks),))


@pytest.mark.parametrize("picture", [runs_picture(), field_picture()], ids=["runs", "field"])
def test_plotly_takes_every_graph(picture: Picture) -> None:
    from plotly.graph_objects import Figure

    graphs = plotly_of(picture)
    assert len(graphs) == len(picture.panels)
    for graph in graphs:
        Figure(data=graph["data"], layout=graph["layout"])  # raises for a name or value that Plotly does not know
        json.dumps(graph, allow_nan=False)


def test_names_are_shown_letter_by_letter() -> None:
    points = plotly_of(runs_picture())[0]["data"][0]
    assert points["hovertext"][8].startswith("&lt;img src=x onerror=alert(1)&gt;<br>N 1M")
    assert plotly_of(field_picture())[1]["layout"]["yaxis"]["ticktext"][0] == f"<b>{escaped(HOSTILE)}</b>"
    assert len(escaped("x" * 500)) == 80


def test_only_addresses_of_the_web_are_kept() -> None:
    links = plotly_of(runs_picture())[0]["data"][0]["customdata"]
    assert links[3] == LINKED
    assert set(links) == {"", LINKED}  # javascript: is gone


def test_bars_reach_their_bounds_and_unknown_ones_have_no_length() -> None:
    at = np.array([2.0, 3.0])
    mark = Points(at, at, "#000000", error="y", low=np.array([1.5, np.nan]), high=np.array([4.0, 9.0]))
    bars = plotly_of(one_panel(mark))[0]["data"][0]["error_y"]
    assert (bars["array"], bars["arrayminus"]) == ([2.0, 0.0], [0.5, 0.0])


def test_points_beyond_the_limits_are_whole_inside_them() -> None:
    axis = Axis("C", log=True, limits=(1e3, 1e5))
    mark = Points(np.array([1e3, 1e4, 1e5]), np.array([0.0, 1.0, 0.5]), "#000000", axis_edge=True)
    graph = plotly_of(one_panel(mark, x=axis, y=Axis("y", limits=(0.0, 1.0))))[0]
    assert graph["data"][0]["x"] == pytest.approx([10**3.03, 1e4, 10**4.97], rel=1e-5)
    assert graph["data"][0]["y"] == pytest.approx([0.015, 0.985, 0.5])


def test_levels_lie_evenly_in_what_is_drawn_whatever_their_values() -> None:
    levels = np.array([1.0, 2.0, 8.0, 16.0])
    field = Field(np.arange(4.0), np.arange(2.0), np.array([levels, [0.0, 5.0, 30.0, np.nan]]), "z", levels, (3.0,))
    filled, line = plotly_of(one_panel(field))[0]["data"]
    assert filled["z"][0] == pytest.approx([0, 1, 2, 3])
    below, between, above, unknown = filled["z"][1]
    assert below < 0 < 1 < between < 2 < 3 < above
    assert unknown is None
    assert filled["colorbar"]["ticktext"] == ["1", "2", "8", "16"]
    assert (line["contours"]["start"], line["z"][1][1]) == (3.0, 5.0)


def test_a_band_with_a_gap_is_two_polygons() -> None:
    x = np.arange(6.0)
    low = np.array([1, 1, np.nan, 1, 1, 1.0])
    bands = plotly_of(one_panel(Band(x, low, low + 1, "#0072b2")))[0]["data"]
    assert [band["x"] for band in bands] == [[0, 1, 1, 0], [3, 4, 5, 5, 4, 3]]


def test_marks_of_one_label_share_a_group_across_panels() -> None:
    picture = runs_picture()
    assert list(legend_groups(picture)) == ["runs", "minimum", "95 %", "law", "entropy E"]
    groups = [[trace.get("legendgroup") for trace in graph["data"]] for graph in plotly_of(picture)]
    assert groups == [["0", "0", "1"], ["2", "3"]]


def test_axes_fit_their_marks_and_keep_their_own_limits() -> None:
    line = Line(np.array([1.0, 100.0, np.nan, -5.0]), np.array([2.0, 4.0, 9.0, 3.0]), "#000000")
    panel = Panel(Axis("x", log=True), Axis("y", limits=(0.0, 5.0)), (line,))
    low, high = limits(panel, "x")
    assert 0.5 < low < 1 < 100 < high < 200
    assert limits(panel, "y") == (0.0, 5.0)
    bars = Points(np.array([1.0]), np.array([1.0]), "#000000", error="y", low=np.array([-3.0]), high=np.array([7.0]))
    low, high = limits(Panel(Axis("x"), Axis("y"), (bars,)), "y")
    assert low < -3 < 7 < high


def test_an_empty_or_a_single_point_has_a_range() -> None:
    nothing = Points(np.zeros(0), np.zeros(0), "#000000")
    single = Points(np.array([3.0]), np.array([0.0]), "#000000")
    for mark in (nothing, single):
        (graph,) = plotly_of(one_panel(mark, x=Axis("x", log=True, written="count")))
        for axis in ("xaxis", "yaxis"):
            low, high = graph["layout"][axis]["range"]
            assert low < high


@given(st.floats(-9, 25), st.floats(0.001, 20))
def test_a_log_axis_has_ticks_inside_it_and_not_too_many(start: float, decades: float) -> None:
    low, high = 10.0**start, 10.0 ** (start + decades)
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low * (1 - 1e-9) <= tick <= high * (1 + 1e-9) for tick in ticks)
    assert ticks == sorted(ticks)


def test_compute_is_written_as_people_write_it() -> None:
    axis = Axis("C", log=True, written="flops", limits=(1e16, 3e18))
    line = Line(np.array([1e16, 1e18]), np.array([1.0, 2.0]), "#000000")
    layout = plotly_of(one_panel(line, x=axis))[0]["layout"]
    assert layout["xaxis"]["ticktext"] == ["1e16", "3e16", "1e17", "3e17", "1e18", "3e18"]
    assert layout["meta"]["compute"]
    assert layout["xaxis"]["tickformat"] == "~e"  # of the ticks that Plotly chooses, zoomed in


def test_words_stay_inside_the_panel_and_can_be_read_on_any_ground() -> None:
    ends = (0.0, 1.0)
    words = (Text(0.1, 0.5, "left", BLACK), Text(0.95, 0.99, "top right", WHITE))
    picture = Picture("one", "one", "one", (Panel(Axis("x", limits=ends), Axis("y", limits=ends), words),))
    left, top = plotly_of(picture)[0]["layout"]["annotations"]
    assert (left["xanchor"], left["yanchor"]) == ("left", "bottom")
    assert (top["xanchor"], top["yanchor"]) == ("right", "top")
    assert "bgcolor" not in left
    assert top["bgcolor"].startswith("rgba(26,26,26")


def test_numbers_are_short_and_never_nan() -> None:
    assert numbers([1 / 3, np.nan, np.inf, 123456789.0]) == [0.333333, None, None, 123457000.0]
