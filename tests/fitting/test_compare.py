"""Like beside like: which published rows a fit is held against, in what words, and how that prints."""

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from isoflop.fitting.comparison.published_rows import Exponent, compare_with_published, our_rows
from isoflop.fitting.errors import InputError
from isoflop.fitting.published import published_estimate
from isoflop.fitting.reporting.tables import comparison_table, exponent_text, exponents_table, minima_table


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
    comparison = compare_with_published(report(), every=True)
    assert [section.n_params for section in comparison.sections] == ["total", "non_embedding", "blocks_and_head"]
    for section in comparison.sections:
        assert {row.n_params for row in section.rows} == {section.n_params}
        ours = [row.ours for row in section.rows]
        assert ours == sorted(ours, reverse=True)
    for row in comparison.rows:
        if not row.ours:
            assert published_estimate(row.name).n_params == row.n_params
            assert published_estimate(row.name).flops == row.flops


def test_kaplan_is_held_against_our_non_embedding_row_of_its_own_count_of_c_only():
    rows = [row for row in compare_with_published(report(), every=True).rows if row.name == "kaplan"]
    assert [row.n_params for row in rows] == ["non_embedding"]
    assert rows[0].beside == "ours, isoFLOP, C as 6nd_non_embedding"
    assert rows[0].difference == pytest.approx(0.03)
    assert rows[0].words == "within our interval"


def test_without_a_non_embedding_count_kaplan_is_absent_and_the_remark_says_why():
    comparison = compare_with_published(report(by_convention=[]), every=True)
    assert not [row for row in comparison.rows if row.name.startswith("kaplan")]
    assert any("no such count" in remark for remark in comparison.remarks)


def test_the_usual_selection_is_short_and_in_the_order_of_the_file():
    usual = [row.name for row in compare_with_published(report()).rows if not row.ours]
    every = [row.name for row in compare_with_published(report(), every=True).rows if not row.ours]
    assert {"hoffmann_approach2", "besiroglu", "kaplan", "porian_tuned"} <= set(usual)
    assert len(usual) < 20 < len(every)
    assert set(usual) < set(every)


@pytest.mark.parametrize(
    ("ours", "words"),
    [(0.47, "within our interval"), (0.40, "above our interval"), (0.58, "below our interval")],
)
def test_words_place_the_published_point_in_our_interval(ours, words):
    fits = {"isoflop": fit(ours), "parametric": fit(0.3)}
    (row,) = [r for r in compare_with_published(report(fits=fits)).rows if r.name == "hoffmann_approach2"]
    assert row.words == words
    assert row.difference == pytest.approx(0.49 - ours)


def test_a_published_interval_keeps_its_level_and_takes_no_part():
    fits = {"isoflop": fit(0.44, half=0.04)}
    (row,) = [r for r in compare_with_published(report(fits=fits)).rows if r.name == "hoffmann_approach2"]
    # Its 80 % interval reaches down to .462, into ours: the point .49 does not.
    assert row.params_exponent == Exponent(0.49, 0.462, 0.534, "80 %")
    assert row.words == "above our interval"


def test_without_an_interval_of_ours_only_the_difference_is_given():
    fits = {"isoflop": fit(0.44, half=None)}
    comparison = compare_with_published(report(fits=fits, by_convention=[]))
    assert "no interval" in comparison.rows[0].words
    (row,) = [r for r in comparison.rows if r.name == "hoffmann_approach2"]
    assert (row.words, row.difference) == ("ours has no interval", pytest.approx(0.05))


def test_every_shows_ours_under_the_published_counts_of_c_and_compares_within_them():
    rows = compare_with_published(report(), every=True).rows
    ours = [row.flops for row in rows if row.ours and row.n_params == "total" and row.name == "isoflop"]
    assert ours == ["exact", "6nd", "hoffmann"]
    (row,) = [row for row in rows if row.name == "hoffmann_approach2"]
    assert row.beside == "ours, isoFLOP, C as hoffmann"
    assert row.difference == pytest.approx(0.01)


def test_parametric_exponents_speak_6nd_of_their_own_n_and_appear_once():
    parametric = [(row.n_params, row.flops) for row in our_rows(report()) if row.name == "parametric"]
    assert parametric == [("total", "6nd"), ("non_embedding", "6nd_non_embedding"), ("blocks_and_head", "porian")]


def test_a_fit_that_failed_says_so_and_the_parametric_row_stands_in():
    rows = [row for row in compare_with_published(report()).rows if row.n_params == "blocks_and_head"]
    assert rows[0].params_exponent is None
    assert rows[0].words == "no fit: no minimum inside its sizes"
    assert {row.beside for row in rows if not row.ours} == {"ours, parametric, C as porian"}


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
def test_tables_fit_100_columns_and_no_number_is_broken(every):
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


def test_every_printed_row_names_its_conventions():
    lines = printed(comparison_table(compare_with_published(report()))).splitlines()
    (chinchilla,) = [line for line in lines if "Chinchilla, approach 2" in line]
    assert chinchilla.split("2", 1)[1].split()[:2] == ["total", "Hoffmann"]
    assert ".49 [.46, .53] 80 %" in chinchilla
    assert "+.05 within" in chinchilla
    (kaplan,) = [line for line in lines if "Kaplan, N(C_min)" in line]
    assert "no embed.    Kaplan" in kaplan


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
