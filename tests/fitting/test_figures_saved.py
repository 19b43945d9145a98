"""Pictures on paper: every kind of mark, files whole and equal, the user's style, text that stays text."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.lines import Line2D

from isoflop.fitting.errors import InputError
from isoflop.fitting.reporting.figures import save_figure, save_figures
from isoflop.fitting.reporting.pictures.hover import run_hover
from isoflop.fitting.reporting.pictures.paper import draw
from isoflop.fitting.reporting.pictures.picture import Axis, Band, Field, Line, Panel, Picture, Points, Rule, Text
from isoflop.fitting.reporting.style import (
    BLACK,
    BLUE,
    RED,
    count_text,
    figure_style,
    flops_text,
    number_text,
    sequential_colors,
    use_style,
)

SIZES = np.geomspace(1e6, 1e8, 9)
LOSSES = 3 + 0.05 * np.log(SIZES / 1e7) ** 2
CURVES = Panel(
    Axis("parameters N (without embeddings, as Kaplan has it)", log=True, written="count"),
    Axis("validation loss, nats per token (of the last evaluation)"),
    (
        Band(SIZES, LOSSES - 0.02, LOSSES + 0.02, BLUE, label="fit and band"),
        Line(SIZES, LOSSES, BLUE, label="fit and band"),
        Points(SIZES, LOSSES, BLACK, label="runs", error="y", low=LOSSES - 0.1, high=np.full(9, np.nan)),
        Points(SIZES[:2], LOSSES[:2], RED, "diamond", hollow=True, label="hollow"),
        Rule("y", 3.1, RED, label="target"),
        Text(float(SIZES[-1]), 3.2, "words at the right edge", BLACK),
    ),
    title="N* ∝ Cᵃ, a = .49",
)
SURFACE = Panel(
    Axis("tokens D", log=True, written="count"),
    Axis("compute C, FLOPs", log=True, written="flops"),
    (Field(SIZES, SIZES * 1e12, 2 + (SIZES / 1e6) ** -0.3 + np.zeros((9, 1)), "loss", None, (2.5,), "loss 2.5"),),
)
ROWS = Panel(
    Axis("exponent a"),
    Axis("", names=("N: total", "ours", "theirs"), strong=frozenset({0}), faint=frozenset({2})),
    (Points(np.array([0.5, 0.6]), np.array([1.0, 2.0]), BLUE, error="x", low=np.array([0.4, 0.5]), high=np.ones(2)),),
)
ONE = Picture("one", "title", "caption", (CURVES,))
PICTURE = Picture("both", "title", "caption", (CURVES, SURFACE))


def test_marks_of_one_label_share_a_line_of_the_legend():
    (box,) = draw(PICTURE).legends
    assert [text.get_text() for text in box.get_texts()] == ["fit and band", "runs", "hollow", "target", "loss 2.5"]


def test_a_panel_is_a_column_wide_and_more_are_two():
    assert draw(ONE).get_figwidth() == pytest.approx(3.35)
    assert draw(PICTURE).get_figwidth() == pytest.approx(7.0)


def test_rows_have_their_names_the_first_on_top():
    (axes,) = draw(Picture("rows", "", "", (ROWS,))).axes
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == ["N: total", "ours", "theirs"]
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "normal"]
    assert labels[2].get_color() != labels[1].get_color()
    bottom, top = axes.get_ylim()
    assert bottom > 2
    assert top < 0


@pytest.mark.parametrize("panels", [(CURVES,), (CURVES, SURFACE), (CURVES, CURVES, SURFACE), (ROWS,)])
def test_no_text_is_cut_off_or_smaller_than_seven_points(panels):
    figure = draw(replace(PICTURE, panels=panels))
    with figure_style():
        figure.draw_without_rendering()
    page = figure.bbox.padded(1)  # a pixel of rounding
    labels = [part for axes in figure.axes for part in (axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts)]
    ticks = [part for axes in figure.axes for part in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    shown = [part for part in labels if part.get_text()]
    for box in (part.get_window_extent() for part in [*shown, *figure.legends]):
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    assert min(float(part.get_fontsize()) for part in [*shown, *ticks, *texts]) >= 7


def test_saved_pictures_are_whole_alone_in_their_folder_and_touch_no_global_state(tmp_path):
    # matplotlib resolves "backend" when it is read, which would import pyplot.
    def settings() -> dict:
        return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}

    before = settings()
    paths = save_figures(tmp_path / "figures", [ONE], style="ggplot")
    assert [path.name for path in paths] == ["one.png", "one.pdf", "one.svg"]
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())
    assert [path.read_bytes()[:5] for path in paths] == [b"\x89PNG\r", b"%PDF-", b"<?xml"]
    assert settings() == before


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_same_picture_is_the_same_file_and_its_text_stays_text(tmp_path, suffix):
    one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    for path in (one, two):
        save_figure(path, draw(ONE))
    content = one.read_bytes()
    assert content == two.read_bytes()
    if suffix == "svg":
        for words in (CURVES.title, "words at the right edge", "fit and band"):
            assert words.encode() in content
    if suffix == "pdf":
        assert b"/FontFile2" in content
        assert b"/Type3" not in content


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "both.png"
    path.write_bytes(b"old")
    figure = draw(PICTURE)

    def half_written(file, **_):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        save_figure(path, figure)
    assert [file.name for file in tmp_path.iterdir()] == ["both.png"]
    assert path.read_bytes() == b"old"


def test_a_style_lies_on_top_of_ours_and_ends_with_its_block(tmp_path):
    file = tmp_path / "journal.mplstyle"
    file.write_text("figure.figsize: 5, 4\nfont.family: serif\naxes.labelsize: 11\nbackend: Agg\n")
    with use_style(file):
        figure = draw(ONE)
    assert figure.get_figwidth() == 5
    assert figure.axes[0].xaxis.label.get_fontsize() == 11
    assert figure.axes[0].xaxis.label.get_fontfamily() == ["serif", "DejaVu Sans"]
    assert not figure.axes[0].spines["top"].get_visible()  # of ours: the style does not speak of it
    assert draw(ONE).axes[0].xaxis.label.get_fontsize() == 8


def test_a_larger_font_makes_every_text_larger_and_a_style_s_own_sizes_stay(tmp_path):
    file = tmp_path / "slides.mplstyle"
    file.write_text("font.size: 16\nlegend.fontsize: 9\n")
    with use_style(file):
        figure = draw(ONE)
    (axes,) = figure.axes
    assert axes.xaxis.label.get_fontsize() == axes.title.get_fontsize() == 16
    assert axes.get_xticklabels()[0].get_fontsize() == 14
    assert figure.legends[0].get_texts()[0].get_fontsize() == 9


@pytest.mark.parametrize("style", [None, "ggplot"])
def test_no_ink_is_cut_at_the_edge_of_a_file(tmp_path, style):
    titled = replace(CURVES, title="N* ∝ Cᵃ, a = .49 [.44, .54] (95 %)")
    png = tmp_path / "one.png"
    with use_style(style):
        save_figure(png, draw(replace(PICTURE, panels=(titled, titled))))
    image = imread(png)[:, :, :3]
    assert (image[:, [0, -1]] == 1).all()
    assert (image[[0, -1]] == 1).all()


def test_on_a_dark_ground_what_is_dark_is_light():
    first = sequential_colors(9)[0]
    marks = (Line(SIZES, LOSSES, first), *SURFACE.marks)
    with use_style("dark_background"):
        figure = draw(replace(ONE, panels=(replace(SURFACE, marks=marks),)))
    (region,) = figure.legends[0].legend_handles
    assert isinstance(region, Line2D)
    assert to_rgb(region.get_color()) == (1, 1, 1)
    assert max(to_rgb(first)) < 0.35 < max(to_rgb(figure.axes[0].lines[0].get_color()))
    with use_style("dark_background"):
        axes = draw(ONE).axes[0]
    runs, hollow = (line for line in axes.lines if line.get_marker() in ("o", "D"))
    assert to_rgb(runs.get_color()) == (1, 1, 1)
    assert to_rgb(hollow.get_markerfacecolor()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("style", "text", "said"),
    [
        ("ggplto", None, "none of that name; nearby: ggplot"),
        ("gone.mplstyle", None, "no such file"),
        ("bad.mplstyle", "font.size: 9\nfont.sise: 9\n", "Bad key font.sise"),
        ("bad.mplstyle", "font.size: large-ish\n", "Could not convert 'large-ish' to float"),
        ("bad.mplstyle", "font.size 9\n", "Missing colon"),
    ],
)
def test_a_wrong_style_is_one_line(tmp_path, caplog, style, text, said):
    path = tmp_path / style if style.endswith(".mplstyle") else style
    if text is not None:
        Path(path).write_text(text)
    with pytest.raises(InputError) as refused:
        save_figures(tmp_path / "figures", [ONE], style=path)
    assert str(refused.value).startswith(f"--style {path}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "figures").exists()
    assert not caplog.records


def test_figures_need_no_pyplot():
    code = "import sys, isoflop.fitting.reporting.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_says_what_its_table_knows():
    frame = pd.DataFrame(
        {
            "run": ["a1", "b2"],
            "n_params": [1.25e6, 2e9],
            "tokens": [3e7, np.nan],
            "flops": [2.25e14, 1e20],
            "loss": [2.5, np.nan],
            "lr": [3e-3, np.nan],
            "seed": [20240517.0, np.nan],
            "flag": ["", "diverged"],
            "url": ["https://wandb.ai/e/p/runs/a1", None],
        }
    )
    texts, links = run_hover(frame)
    assert texts[0] == "a1\nN 1.25M, D 30M, C 2.25e14\nloss 2.5000\nlearning rate 0.003, seed 20240517"
    assert texts[1] == "b2\nN 2B, C 1e20\nflag: diverged"
    assert links == ("https://wandb.ai/e/p/runs/a1", "")
    bare, none = run_hover(frame.drop(columns=["run", "tokens", "flops", "lr", "seed", "flag", "url"]))
    assert bare == ("N 1.25M\nloss 2.5000", "N 2B")
    assert none == ("", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(20240517.0, "20240517"), (3, "3"), (2.718281828, "2.718"), (float("inf"), "inf"), (1e20, "1e+20")],
)
def test_whole_numbers_keep_their_digits(value, text):
    assert number_text(value, 4) == text


@pytest.mark.parametrize(
    ("count", "text"), [(950, "950"), (11_800, "11.8k"), (999_999, "1M"), (1.3e9, "1.3B"), (2e13, "20T"), (0.5, "0.5")]
)
def test_counts_in_words(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(("flops", "text"), [(4e10, "4e10"), (1.25e16, "1.25e16"), (3.2e11, "3.2e11"), (1e18, "1e18")])
def test_compute_in_words(flops, text):
    assert flops_text(flops) == text


def test_budget_colours_differ_and_stay_dark_enough_for_white_paper():
    luminance = np.array([to_rgb(color) for color in sequential_colors(12)]) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert luminance.max() < 0.8
