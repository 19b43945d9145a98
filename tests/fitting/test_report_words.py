"""What tables and sentences of the report say of laws that were imposed, held fixed, or count compute otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isoflop.fitting import Analysis, DataConstrainedLaw, RunTable
from isoflop.fitting.comparison.published_rows import compare_with_published
from isoflop.fitting.laws import PowerLaw
from isoflop.fitting.reporting.comparison import comparison_cells
from isoflop.fitting.reporting.page.content import PageTable, Paragraph
from isoflop.fitting.reporting.pictures.compute import compute_picture
from isoflop.fitting.reporting.pictures.forest import forest_picture
from isoflop.fitting.reporting.pictures.picture import Field, Points
from isoflop.fitting.reporting.pictures.profile import profile_picture
from isoflop.fitting.reporting.report.exponents import exponents_table, parameters_table
from isoflop.fitting.reporting.report.page import page_of
from isoflop.fitting.reporting.report.sections import compute_sentence
from isoflop.fitting.reporting.style import flops_text

from .report_subjects import planted, subject
from .sweeps import HOFFMANN, changed, sweep


@pytest.fixture(scope="module")
def whole() -> Analysis:
    return planted(level=0.995)


def test_an_imposed_exponent_is_called_so_wherever_it_stands() -> None:
    tied = planted(tied=True)
    report = tied.to_json()
    table = exponents_table(subject(tied))
    assert table is not None
    status = {row[0]: row[-1] for row in table.rows}
    assert status == {"isoFLOP": "converged", "parametric": "a = .5 was imposed, not found"}
    del report["fits"]["isoflop"]
    rows = compare_with_published(report).rows
    assert not any(row.comparable for row in rows)
    assert any(row.words == "not comparable: our a was imposed, not found" for row in rows)
    marks = [
        mark for mark in forest_picture(compare_with_published(report)).panels[0].marks if isinstance(mark, Points)
    ]
    assert [mark.label for mark in marks] == ["not comparable"]
    assert any("imposed" in text for text in marks[0].hover)


def test_the_data_constrained_law_is_shown_whole_and_says_what_is_held() -> None:
    table = sweep(HOFFMANN, sizes=7)
    unique = table.frame["tokens"].to_numpy(dtype=float) / np.where(np.arange(len(table)) % 3, 1.0, 8.0)
    n, d = (table.frame[name].to_numpy(dtype=float) for name in ("n_params", "tokens"))
    loss = DataConstrainedLaw(HOFFMANN, 12.0, 4.0).loss(n, d, unique)
    repeated = changed(table, unique_tokens=unique, loss=loss)
    found = planted(repeated, methods=("data_constrained",), resamples=0)
    shown = parameters_table(subject(found))
    assert shown is not None
    numbers = {str(row[1]): float(str(row[2])) for row in shown.rows}
    assert list(numbers) == ["E", "A", "B", "alpha", "beta", "R_D*", "R_N*"]
    fit = found.fits.data_constrained
    assert fit is not None
    assert [numbers["E"], numbers["R_D*"]] == pytest.approx([fit.law.base.E, fit.law.R_D], rel=1e-4)
    notes = " ".join(shown.notes)
    assert "N' likewise with R_N*" in notes
    assert "E to beta were fitted to the runs without repeats; the intervals hold them fixed" in notes
    assert "repeated_data" not in {warning.code for warning in found.warnings}


@pytest.mark.parametrize(
    ("method", "words"), [("parametric", "By the law of approach 3"), ("kaplan", "By Kaplan's joint law")]
)
def test_what_compute_buys_is_said_in_the_laws_own_count(method: str, words: str) -> None:
    table = sweep(HOFFMANN, sizes=7)
    dearer = changed(table, flops=table.frame["flops"] * 1.25)
    found = planted(dearer, methods=(method,), resamples=0)
    sentence = compute_sentence(subject(found))
    assert words in sentence
    assert "between 1e21 and ten times as many FLOPs (6 N D)" in sentence
    assert flops_text(1.25e21) not in sentence
    law = getattr(found.fits, method).law
    assert f"from {law.loss(*law.optimum(1e21)):.3f} to {law.loss(*law.optimum(1e22)):.3f}" in sentence


def test_a_level_is_never_rounded_to_certainty(whole: Analysis) -> None:
    page = page_of(subject(whole), ())
    said = [part.text for section in page.sections for part in section.parts if isinstance(part, Paragraph)]
    rows = [
        row for section in page.sections for part in section.parts if isinstance(part, PageTable) for row in part.rows
    ]
    assert any("Brackets are 99.5 % intervals" in text for text in said)
    assert any(row[0] == "intervals" and str(row[1]).startswith("99.5 %") for row in rows)


def test_a_page_of_several_sources_is_called_after_each(whole: Analysis) -> None:
    def title(*sources: str) -> str:
        return page_of(subject(whole, sources=sources), ()).title

    assert title() == "Scaling laws of planted"
    assert title("a/good.csv", "two.csv") == "Scaling laws of good, two"
    assert title(*(f"{i}.csv" for i in range(5))) == "Scaling laws of 0, 1, 2 and 2 more"


def test_our_exponents_have_two_decimals_beside_published_ones_as_published(whole: Analysis) -> None:
    comparison = subject(whole).comparison
    assert comparison is not None
    cells = {row.name: comparison_cells(row) for row in comparison.rows}
    a = cells["isoflop"][3]
    assert all(len(number.strip("[],")) == 3 for number in a.removesuffix(" 99.5 %").split())
    assert cells["besiroglu"][3].startswith(".513 ")


def test_the_profile_never_dips_below_what_was_computed() -> None:
    analysis = planted(methods=("parametric",))
    profile = analysis.profile
    assert profile is not None
    cliff = np.where(np.arange(len(profile.alphas)) < 3, 5.0, 0.002)[:, None] + 0 * profile.rise
    (panel,) = profile_picture(replace(analysis, profile=replace(profile, rise=cliff, threshold=0.1))).panels
    (field,) = (mark for mark in panel.marks if isinstance(mark, Field))
    assert field.z.min() == pytest.approx(0.002)


def test_the_band_of_a_law_whose_E_was_given_says_so() -> None:
    free, held = (
        compute_picture(planted(methods=("parametric",), fixed_E=value)).caption for value in (None, HOFFMANN.E)
    )
    assert "all at the E = 1.69 that was given" in held
    assert "that was given" not in free


def test_a_line_beyond_the_numbers_predicts_nothing_finite() -> None:
    assert PowerLaw.from_log(1e3, 0.5)(1e20) == np.inf
    assert np.isnan(PowerLaw.from_log(-1e3, 30.0)(1e20))
    assert PowerLaw(1.0, 40.0)(1e20) == np.inf


def test_a_table_of_run_ends_says_nothing_of_smoothing() -> None:
    notes: list[Any] = [*planted(RunTable(sweep(HOFFMANN, sizes=7).frame), methods=("isoflop",)).notes]
    assert not any("smoothed" in note for note in notes)
