"""A page with everything a page may hold, and names that try to break out of it."""

from __future__ import annotations

import numpy as np

from isoflop.fitting.reporting.page.content import (
    Commands,
    Link,
    Notice,
    Page,
    PageTable,
    Paragraph,
    Predicted,
    Section,
    Slider,
    SliderLaw,
)
from isoflop.fitting.reporting.pictures.picture import Axis, Band, Field, Line, Panel, Picture, Points, Rule, Text

HOSTILE = "<img src=x onerror=alert(1)>"
BREAKOUT = "</script><script>alert(2)</script>"
LINKED = "https://wandb.ai/us/sweep/runs/r3"
RATE, PRICE = 4e14, 2.5
NAMES = (*(f"run {place}" for place in range(8)), HOSTILE)


def sample_law(flops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """N*, D* and loss of a made-up power law at `flops`: between the slider's budgets log-log lines are exact."""
    n_params = 0.1 * flops**0.48
    return n_params, flops / (6 * n_params), 30 * flops**-0.05


def runs_picture() -> Picture:
    """Loss against N and C: two panels, with a point that is linked, bars, hollow and cut marks."""
    n_params = np.geomspace(1e6, 1e8, 9)
    loss = 3.4 + 0.05 * np.log(n_params / 1e7) ** 2
    hover = tuple(f"{name}\nN 1M, loss {value:.3f}" for name, value in zip(NAMES, loss, strict=True))
    links = tuple(LINKED if place == 3 else "javascript:alert(3)" if place == 8 else "" for place in range(9))
    budgets = np.geomspace(1e16, 1e20, 9)
    runs = Points(n_params, loss, "#0072b2", label="runs", hover=hover, links=links)
    middle = Points(
        n_params[4:5],
        loss[4:5],
        "#d55e00",
        "diamond",
        7,
        hollow=True,
        label="minimum",
        error="x",
        low=n_params[4:5] / 2,
        high=n_params[4:5] * 2,
    )
    curve = Line(n_params, loss, "#0072b2", label="runs")
    law = 30 * budgets**-0.05
    return Picture(
        "runs",
        "Loss of the runs",
        f"Loss against size, and against compute, of {HOSTILE}.",
        (
            Panel(
                Axis("parameters N (total)", log=True, written="count"),
                Axis("validation loss, nats per token"),
                (runs, curve, middle, Text(float(n_params[-1]), float(loss[-1]), BREAKOUT, "#1a1a1a")),
                title="at one budget",
            ),
            Panel(
                Axis("compute C, FLOPs", log=True, written="flops"),
                Axis("validation loss, nats per token", log=True),
                (
                    Band(budgets, law * 0.98, law * 1.02, "#009e73", label="95 %"),
                    Line(budgets, law, "#009e73", dash="dash", label="law", hover="the law"),
                    Rule("y", 3.0, "#767676", label="entropy E"),
                ),
                title="over budgets",
            ),
        ),
        legend_title="marks",
        notes=("One run is left out.",),
    )


def field_picture() -> Picture:
    """A surface with its level lines, and rows with names."""
    x, y = np.geomspace(1e6, 1e9, 30), np.linspace(0.1, 0.9, 25)
    z = np.log(x / 1e7) ** 2 + 40 * (y[:, None] - 0.5) ** 2
    surface = Field(x, y, z, "rise of the misfit", np.array([0.5, 1, 2, 4, 8, 16]), (3.0,), "95 % region")
    rows = Axis("", names=(HOSTILE, "second", "third"), strong=frozenset({0}), faint=frozenset({2}))
    forest = Points(
        np.array([0.5, 0.4]),
        np.array([1.0, 2.0]),
        "#1a1a1a",
        error="x",
        low=np.array([0.4, np.nan]),
        high=np.array([0.6, np.nan]),
        label="estimate",
    )
    return Picture(
        "field",
        "A surface and rows",
        "The misfit over two exponents, and exponents by source.",
        (
            Panel(Axis("N", log=True, written="count"), Axis("share", written="percent"), (surface,)),
            Panel(Axis("exponent a"), rows, (forest,)),
        ),
    )


def sample_slider() -> Slider:
    """Budgets from 1e15 to 1e23, measured from 1e16 to 1e20; the second law says no tokens and has no interval."""
    flops = np.geomspace(1e15, 1e23, 81)
    n_params, tokens, loss = sample_law(flops)
    ours = SliderLaw(
        "isoFLOP",
        "N total, C exact",
        Predicted(n_params, n_params / 1.5, n_params * 1.5),
        Predicted(tokens, tokens / 1.5, tokens * 1.5),
        Predicted(loss, loss - 0.1, loss + 0.1),
    )
    published = SliderLaw(f"published {HOSTILE}", "N total, C 6ND", Predicted(2 * n_params), None, None, ours=False)
    words = ("40 % of an H100's peak", "an assumption")
    return Slider(flops, (ours, published), (1e16, 1e20), 1e20, 0.95, "nats per token", RATE, PRICE, *words)


def sample_page() -> Page:
    """Sections of every part; the run table has more rows than are shown, one of them linked, one a heading."""
    rows = tuple((name, "12.3M", Link("W&B", LINKED if place != 8 else "javascript:alert(4)"))
                 for place, name in enumerate(NAMES))  # fmt: skip
    table = PageTable(
        ("run", "size", "address"), (("early runs",), *rows), "Runs", ("Sizes are totals.",), frozenset({1}),
        frozenset({2}), frozenset({0}), shown=6,
    )  # fmt: skip
    sections = (
        Section("loss", "Loss of the runs", (Paragraph("How to read it."), runs_picture(), field_picture())),
        Section("runs", "Runs", (table,)),
        Section("doubts", "Warnings", (Notice("warning", "edge-minimum", f"At 1e20 of {BREAKOUT} widen the grid."),
                                       Notice("note", "assumed", "Losses are taken as nats per token."))),
        Section("rebuild", "Rebuild it", (Commands(("isoflop fit runs.csv --out fits", "isoflop report fits")),)),
    )  # fmt: skip
    return Page(
        f"Scaling of {HOSTILE}",
        "9 runs at 1e16 to 1e20 FLOPs",
        ("Parameters grow as C^.48 [.44, .52] (95 %).", "Approach 3 agrees."),
        {"runs": "9", "budgets": "2", "compute": "3e20 FLOPs"},
        sections,
        sample_slider(),
    )
