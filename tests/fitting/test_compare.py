"""Like beside like: which published rows a fit is held against, in what words, and how that prints."""

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from isoflop.fitting.comparison.predictions import tenfold
from isoflop.fitting.comparison.published_rows import ComparisonRow, Exponent, compare_with_published, our_rows
from isoflop.fitting.errors import InputError
from isoflop.fitting.published import published_estimate, published_estimates
from isoflop.fitting.reporting.comparison import comparison_markdown, comparison_table
from isoflop.fitting.reporting.tables import exponent_text, exponents_table, minima_table


def fit(a: float, half: float | None = 0.05, status: str = "converged") -> dict[str, Any]:
    def estimate(value: float) -> dict[str, Any]:
        bounds = (None, None) if half is None else (value - half, value + half)
        return {"value": value, "low": bounds[0], "high": bounds[1], "level": 0.95}

    return {"status": status, "params_exponent": estimate(a), "tokens_exponent": estimate(1 - a)}


def report(**changes: Any) -> dict[str, Any]:
    minima = [
        {"budget": 2e10, "n_params": 11800.0, "tokens": 264e3, "loss": 2.11, "n_runs": 12, "status": "interior"},
        {"budget": 4e10, "n_params": None, "tokens": None, "loss": None, "n_runs": 3, "status": "too_few"},
    ]
    return {
        "conventions": {"n_params": "n_params", "flops": "flops", "flops_equals": "exact"},
        "fits": {"isoflop": {**fit(0.44), "minima": minima}, "parametric": fit(0.36)},
        "by_convention": [
            {"n_params": "n_params", "flops": "6nd", "isoflop": fit(0.45), "parametric": fit(0.36)},
            {"n_params": "n_params", "flops": "hoffmann", "isoflop": fit(0.48), "parametric": fit(0.36)},
            {
                "n_params": "n_params_non_embedding",
                "flops": "exact",
                "isoflop": fit(0.52),
                "parametric": fit(0.43),
            },
            {
                "n_params": "n_params_non_embedding",
                "flops": "6nd_non_embedding",
                "isoflop": fit(0.70),
                "parametric": fit(0.43),
            },
            {
                "n_params": "n_params_blocks_and_head",
                "flops": "exact",
                "isoflop": {"reason": "no minimum inside its sizes"},
                "parametric": fit(0.47),
            },
        ],
        **changes,
    }


def printed(renderable: Any, width: int = 100) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_every_section_holds_one_convention_of_n_total_first():
    comparison = compare_with_published(report())
    assert [section.n_params for section in comparison.sections] == ["total", "non_embedding", "blocks_and_head"]
    for section in comparison.sections:
        assert {row.n_params for row in section.rows} == {section.n_params}
        ours = [row.ours for row in section.rows]
        assert ours == sorted(ours, reverse=True)
    for row in comparison.rows:
        if not row.ours:
            assert published_estimate(row.name).n_params == row.n_params
            assert published_estimate(row.name).flops == row.flops


def row_named(name: str, *, training: str | None = None, **changes: Any) -> ComparisonRow:
    rows = compare_with_published(report(**changes), every=True, training=training).rows
    (found,) = [row for row in rows if row.name == name]
    return found


def test_kaplans_c_min_is_comparable_with_no_matched_sweep() -> None:
    kaplan = row_named("kaplan")
    assert kaplan.n_params == "non_embedding"
    assert not kaplan.comparable
    assert kaplan.difference is None
    assert kaplan.words == "not comparable: training is critical_batch, ours matched"


def test_said_otherwise_kaplan_is_held_against_our_row_of_its_own_n_and_c() -> None:
    kaplan = row_named("kaplan", training="critical_batch")
    assert kaplan.beside == "ours, isoFLOP, C as 6nd_non_embedding"
    assert kaplan.difference is not None
    assert kaplan.difference.value == pytest.approx(0.03)
    assert not row_named("hoffmann_approach2", training="critical_batch").comparable


def test_what_training_held_fixed_is_assumed_aloud() -> None:
    assumed, said = (compare_with_published(report(), training=training) for training in (None, "matched"))
    assert any("matched is assumed" in remark for remark in assumed.remarks)
    assert not any("is assumed" in remark for remark in said.remarks)
    assert (assumed.to_json()["training"], said.training_assumed) == ({"ours": "matched", "assumed": True}, False)
    with pytest.raises(InputError, match="--training long: must be one of matched, tuned"):
        compare_with_published(report(), training="long")


def test_comparable_rows_come_first_and_the_others_say_why_not() -> None:
    for section in compare_with_published(report(), every=True).sections:
        theirs = [row.comparable for row in section.rows if not row.ours]
        assert theirs == sorted(theirs, reverse=True)
        for row in section.rows:
            if not row.comparable:
                assert row.words.startswith("not comparable: ")
                assert (row.difference, row.beside) == (None, None)


def test_without_a_non_embedding_count_kaplan_is_shown_by_all_only_and_the_remark_says_why() -> None:
    few, every = (compare_with_published(report(by_convention=[]), every=every) for every in (False, True))
    assert not [row for row in few.rows if row.name.startswith("kaplan_")]
    assert any("no such count" in remark for remark in few.remarks)
    (kaplan,) = [row for row in every.rows if row.name == "kaplan" and not row.ours]
    assert kaplan.words == "not comparable: this table has no exponent of N counted as non_embedding"


def test_the_usual_selection_is_short_and_all_is_all() -> None:
    usual = [row.name for row in compare_with_published(report()).rows if not row.ours]
    every = [row.name for row in compare_with_published(report(), every=True).rows if not row.ours]
    assert {"hoffmann_approach2", "besiroglu", "kaplan", "porian_tuned"} <= set(usual)
    assert len(usual) < 20
    assert sorted(every) == sorted(estimate.name for estimate in published_estimates())


def test_a_published_row_is_held_against_ours_of_its_own_count_of_c() -> None:
    rows = compare_with_published(report()).rows
    ours = [row.flops for row in rows if row.ours and row.n_params == "total" and row.name == "isoflop"]
    assert ours == ["exact", "6nd", "hoffmann"]
    chinchilla, llama = row_named("hoffmann_approach2"), row_named("llama3")
    assert (chinchilla.beside, chinchilla.differs) == ("ours, isoFLOP, C as hoffmann", ())
    assert chinchilla.difference is not None
    assert chinchilla.difference.value == pytest.approx(0.01)
    assert llama.beside == "ours, isoFLOP, C as 6nd"


def test_a_count_of_c_that_differs_slightly_is_compared_and_said() -> None:
    conventions = {"n_params": "n_params", "flops": "flops", "flops_equals": "6nd"}
    found = row_named("hoffmann_approach2", conventions=conventions, by_convention=[])
    assert found.comparable
    assert found.differs == ("C",)
    assert "1.10 times 6 N D" in found.remark
    assert not row_named("nanochat_total", conventions=conventions, by_convention=[]).comparable


def test_a_count_of_c_that_nobody_named_is_not_comparable() -> None:
    conventions = {"n_params": "n_params", "flops": "flops", "flops_equals": None}
    found = row_named("hoffmann_approach2", conventions=conventions, fits={"isoflop": fit(0.44)}, by_convention=[])
    assert found.words == "not comparable: C is hoffmann, ours flops"


def test_budgets_far_from_the_published_ones_are_told() -> None:
    near, far = (compare_with_published(report(ranges={"flops": [low, 1e3 * low]})) for low in (1e18, 1e10))
    assert not any("may change with C" in remark for remark in near.remarks)
    assert any("from 1e+10 to 1e+13 FLOPs" in remark and "may change with C" in remark for remark in far.remarks)


def test_parametric_exponents_speak_6nd_of_their_own_n_and_appear_once():
    parametric = [(row.n_params, row.flops) for row in our_rows(report()) if row.name == "parametric"]
    assert parametric == [("total", "6nd"), ("non_embedding", "6nd_non_embedding"), ("blocks_and_head", "porian")]


def test_a_fit_that_failed_says_so_and_the_parametric_row_stands_in():
    rows = [row for row in compare_with_published(report()).rows if row.n_params == "blocks_and_head"]
    assert rows[0].params_exponent is None
    assert rows[0].words == "no fit: no minimum inside its sizes"
    assert {row.beside for row in rows if row.comparable and not row.ours} == {"ours, parametric, C as porian"}


def test_a_failure_of_the_chosen_fit_is_taken_from_the_warnings():
    warnings = [{"code": "no_isoflop", "text": "one budget only"}]
    rows = our_rows(report(fits={"parametric": fit(0.4)}, warnings=warnings, by_convention=[]))
    assert [(row.name, row.words) for row in rows] == [("isoflop", "no fit: one budget only"), ("parametric", "")]


def test_exponents_that_do_not_add_up_are_flagged():
    skewed = {**fit(0.44), "tokens_exponent": {"value": 0.61, "low": None, "high": None, "level": 0.95}}
    assert our_rows(report(fits={"isoflop": skewed}))[0].words == "a + b = 1.05"


def test_a_column_of_the_tables_own_has_nothing_published_beside_it():
    conventions = {"n_params": "n_params_encoder", "flops": "flops"}
    comparison = compare_with_published(report(conventions=conventions, by_convention=[]))
    assert all(row.ours for row in comparison.rows)
    assert any("n_params_encoder" in remark for remark in comparison.remarks)


@pytest.mark.parametrize(
    ("bad", "message"),
    [({"groups": []}, "groups"), ({"fits": {}, "by_convention": []}, "holds no exponent")],
)
def test_a_report_without_one_set_of_exponents_is_refused(bad, message):
    with pytest.raises(InputError, match=message):
        compare_with_published(bad)


def test_the_comparison_is_json():
    found = json.loads(json.dumps(compare_with_published(report()).to_json(), allow_nan=False))
    first = found["sections"][0]["rows"][0]
    assert first["params_exponent"] == {"value": 0.44, "low": 0.39, "high": 0.49, "interval": "95 %"}


@pytest.mark.parametrize("every", [False, True])
def test_tables_fit_100_columns_and_no_number_is_broken(every: bool) -> None:
    comparison = compare_with_published(report(), every=every)
    text = printed(comparison_table(comparison))
    assert max(map(len, text.splitlines())) <= 100
    for row in comparison.rows:
        assert exponent_text(row.params_exponent) in text
        assert exponent_text(row.tokens_exponent, with_level=False) in text
    assert "…" not in text
    # Remarks are whole.
    words = " ".join(text.split())
    assert all(remark in words for remark in comparison.remarks)


def test_every_published_interval_is_shown_with_its_level_and_every_unverified_row_marked() -> None:
    text = comparison_markdown(compare_with_published(report(), every=True))
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines()}
    for estimate in published_estimates():
        line = lines[estimate.label + " †" * estimate.doubtful]
        if estimate.params_low is not None:
            bounds = f"{estimate.params_low:.3f}".removeprefix("0").removesuffix("0")
            assert bounds in line
            assert estimate.interval in line


def test_every_printed_row_names_its_count_of_c_and_the_verdict() -> None:
    lines = printed(comparison_table(compare_with_published(report()))).splitlines()
    (besiroglu,) = [line for line in lines if "Besiroglu" in line]
    assert "6ND       .51 [.49, .53] 1 SE" in besiroglu
    assert "+.06 (.03) higher 2.0" in besiroglu
    (kaplan,) = [line for line in lines if "Kaplan, N(C_min)" in line]
    assert "Kaplan    .73" in kaplan
    assert "not comparable:" in kaplan


def test_markdown_says_each_reason_whole() -> None:
    text = comparison_markdown(compare_with_published(report()), tenfold=tenfold(report()))
    (kaplan,) = [line for line in text.splitlines() if line.startswith("| Kaplan, N(C_min) | Kaplan | critical")]
    assert kaplan.endswith("| not comparable: training is critical_batch, ours matched |")
    assert "| Chinchilla, approach 1 | total, Hoffmann | 3.2x [3.1, 3.2] 80 % | 3.2x [3.2, 3.3] 80 % |" in text
    assert "| Kaplan, N(C_min) | no embed., Kaplan | 5.4x | 1.9x |" in text


def test_the_exponents_table_says_why_a_fit_is_missing():
    text = printed(exponents_table(report()))
    assert max(map(len, text.splitlines())) <= 100
    assert ".44 [.39, .49] 95 %" in text
    assert "no fit: no minimum inside its sizes" in text


def test_the_minima_table_shows_what_was_refused():
    text = printed(minima_table(report()))
    assert "11.8k" in text
    assert "264k" in text
    assert "22.4" in text
    assert "too few" in text


def test_text_of_a_report_is_never_markup():
    conventions = {"n_params": "[bold]n[/bold]", "flops": "flops"}
    assert "[bold]n[/bold]" in printed(exponents_table(report(conventions=conventions, by_convention=[])))


@pytest.mark.parametrize(
    ("exponent", "text"),
    [
        (Exponent(0.49, 0.462, 0.534, "80 %"), ".49 [.46, .53] 80 %"),
        (Exponent(1.209), "1.21"),
        (Exponent(0.999), "1.00"),
        (Exponent(-0.209, -0.5, 0.001, "95 %"), "-.21 [-.50, .00] 95 %"),
        (None, "-"),
    ],
)
def test_exponents_are_written_as_the_field_writes_them(exponent, text):
    assert exponent_text(exponent) == text
