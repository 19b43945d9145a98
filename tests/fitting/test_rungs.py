"""Several sweeps beside each other, and the ladder from Kaplan to Chinchilla: what one change at a time does to a."""

from __future__ import annotations

from typing import Any

import pytest

from isoflop.fitting import InputError, published_estimate
from isoflop.fitting.comparison.ladder import (
    STEPS,
    counted_rows,
    ladder_words,
    published_steps,
    total_move,
    total_words,
    usual_beside,
)
from isoflop.fitting.comparison.rungs import rungs_of
from isoflop.fitting.reporting.pairs import counted_grid
from isoflop.fitting.reporting.rungs import rungs_figure, rungs_grid


def report(a: float | None, n_params: str = "n_params", flops: str = "6nd") -> dict[str, Any]:
    """A fit.json of an older version, with an isoFLOP exponent, and another under a second pair of conventions."""
    exponent = {"value": a, "low": a and a - 0.05, "high": a and a + 0.05}
    fit = {"status": "converged", "params_exponent": exponent, "tokens_exponent": {"value": a and 1 - a}}
    other = {"n_params": "n_params_blocks_and_head", "flops": "porian", "isoflop": {"params_exponent": {"value": 0.1}}}
    return {"conventions": {"n_params": n_params, "flops": flops}, "fits": {"isoflop": fit}, "by_convention": [other]}


REPORTS = [
    ("1_kaplan", report(0.8, "n_params_non_embedding", "6nd_non_embedding")),
    ("2_head", report(0.7, "n_params_blocks_and_head", "porian")),
    ("3_warmup", report(0.75)),
]
PUBLISHED = ["porian_kaplan_setting", "porian_head_counted", "porian_warmup"]


def test_each_sweep_speaks_its_own_conventions_and_says_how_far_it_moved() -> None:
    kaplan, head, warmup = rungs_of(REPORTS, PUBLISHED)
    assert (kaplan.n_params, kaplan.flops) == ("non_embedding", "6nd_non_embedding")
    assert (head.n_params, head.flops) == ("blocks_and_head", "porian")
    assert kaplan.change is None
    assert head.change is not None
    assert warmup.change is not None
    # Two intervals of .05 a side: .0707 for the difference.
    assert (head.change.value, head.change.low, head.change.high) == pytest.approx((-0.1, -0.1707, -0.0293), abs=1e-4)
    assert (head.change.verdict, warmup.change.verdict) == ("lower", "not told apart")
    assert kaplan.published_exponent is not None
    assert (kaplan.published_exponent.value, kaplan.published_exponent.low) == (0.835, 0.824)
    # arXiv:2406.19146, figure 1: .835, .7065, .602.
    assert [rung.published_change for rung in (head, warmup)] == pytest.approx([-0.1285, -0.1045])


def test_a_sweep_without_an_exponent_keeps_its_row_and_breaks_the_comparison() -> None:
    rungs = rungs_of([REPORTS[0], ("none", report(None)), REPORTS[2]])
    first, second, third = rungs
    assert (second.params_exponent, second.change, third.change) == (None, None, None)
    assert first.beside is None
    assert len(rungs_grid(rungs).rows) == 3
    assert "3_warmup: how a moves by approach 2 cannot be told" in " ".join(ladder_words(rungs))
    total = total_move(rungs)
    assert total is not None
    assert total.value == pytest.approx(-0.05)


def test_every_rung_says_what_changed_and_whether_it_goes_the_published_way() -> None:
    said = ladder_words(rungs_of(REPORTS, PUBLISHED))
    assert said[0].startswith("1_kaplan: N and C without embeddings and head")
    assert said[1] == (
        "2_head: the head is counted, in N and in C: a moves by -.10 [-.17, -.03] 95 %; "
        "the published move is -.13, the same way"
    )
    assert said[2].endswith(
        "a moves by +.05 [-.02, +.12] 95 %, which may be none; the published move is -.10, the OTHER way"
    )
    total = total_words(rungs_of(REPORTS, PUBLISHED))
    assert total.startswith("from 1_kaplan to 3_warmup a moves by -.05 [-.12, +.02] 95 %")
    assert "the published move is -.23, the same way" in total


def test_a_change_is_named_only_between_rungs_that_follow_each_other() -> None:
    (said,) = ladder_words(rungs_of([REPORTS[1], REPORTS[2]], ["porian_head_counted", "porian_tuned"]))
    assert said.startswith("3_warmup: a moves by")


def test_the_ladders_own_names_are_set_beside_porians_rungs() -> None:
    assert usual_beside(["1_kaplan", "2_head", "3_warmup", "4_decay", "5_tuned"]) == list(STEPS)
    assert usual_beside(["5_tuned", "1_kaplan"]) == ["porian_tuned", "porian_kaplan_setting"]
    assert usual_beside(["1_kaplan", "demo"]) == []


def test_porians_decomposition_between_two_of_the_rungs() -> None:
    # arXiv:2406.19146, figure 1.
    said = published_steps(published_estimate("porian_kaplan_setting"), published_estimate("porian_tuned"))
    assert [line.rpartition(": ")[2] for line in said[1:-1]] == [
        ".835 -> .7065 (-.1285)",
        ".7065 -> .602 (-.1045)",
        ".602 -> .5715 (-.0305)",
        ".5715 -> .4969 (-.0746)",
    ]
    assert said[-1] == "  in all .835 -> .7065 -> .602 -> .5715 -> .4969 (-.3381)"
    assert published_steps(published_estimate("porian_decay"), published_estimate("porian_tuned")) == []
    assert published_steps(published_estimate("kaplan"), published_estimate("porian_tuned")) == []


def test_what_counting_alone_does_to_one_sweep() -> None:
    rows = counted_rows(REPORTS[0][1])
    assert [(row.n_params, row.params_exponent.value) for row in rows] == [
        ("blocks_and_head", 0.1),
        ("non_embedding", 0.8),
    ]
    grid = counted_grid("1_kaplan", rows)
    assert grid.title == "What counting alone does to 1_kaplan: a from .10 to .80, .70 apart"
    assert grid.rows == (("Porian", ".10", "-"), ("Kaplan", "-", ".80 [.75, .85]"))


def test_the_figure_names_every_sweep_from_the_top() -> None:
    rungs = rungs_of(REPORTS, PUBLISHED)
    axes = rungs_figure(rungs, counted_rows(REPORTS[2][1])).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["1_kaplan", "2_head", "3_warmup", "3_warmup,\nevery count"]
    assert axes.yaxis_inverted()
    drawn = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]  # type: ignore[index]
    assert drawn[:2] == [0.8, 0.835]
    assert {"-.10 [-.17, -.03]", "-.13", ".10 to .75"} <= {text.get_text() for text in axes.texts}


def test_what_cannot_be_set_side_by_side_is_said() -> None:
    with pytest.raises(InputError, match="--beside names 2 published estimates for 3 sources"):
        rungs_of(REPORTS, PUBLISHED[:2])
    with pytest.raises(InputError, match="tuned: its fit has no approach 2; fit it again"):
        rungs_of([("tuned", {"conventions": {}, "fits": {}})])
    other = report(0.5)["by_convention"]  # approach 2 under another count only
    with pytest.raises(InputError, match="tuned: its fit has no approach 2; fit it again"):
        rungs_of([("tuned", {"conventions": {}, "fits": {}, "by_convention": other})])
