"""The report's sections: every run with its reason, where the numbers come from, and no secret among it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isoflop.fitting import Analysis, Options, analyse, load_runs
from isoflop.fitting.reporting.page.content import Commands, Link, Page, PageTable, Paragraph, Section
from isoflop.fitting.reporting.pictures.every import pictures_of
from isoflop.fitting.reporting.report.page import page_of
from isoflop.fitting.reporting.report.runs import with_addresses
from isoflop.fitting.reporting.report.spending import measured_spending
from isoflop.fitting.reporting.report.subject import Subject
from isoflop.fitting.reporting.report.sweep import SweepDetails, sweep_details

from .report_subjects import COMMIT, QUICK, SPENDING, planted, write_sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_sweep(tmp_path_factory.mktemp("report") / "tiny", diverged=True)
    marker = path / "wandb" / "mirrored" / "tiny-cell05"
    marker.parent.mkdir(parents=True)
    marker.write_text("https://wandb.ai/me/isoflop/runs/tiny-cell05")
    (marker.parent / "tiny-cell06").write_text("")  # mirrored offline
    return path


@pytest.fixture(scope="module")
def details(folder: Path) -> SweepDetails:
    return sweep_details(folder)


@pytest.fixture(scope="module")
def page(folder: Path, details: SweepDetails) -> Page:
    options = Options(methods=("isoflop", "parametric"), **dict(QUICK, by_convention=True, holdout=True))
    analysis = with_addresses(analyse(load_runs(folder), options, (str(folder),)), details.addresses)
    spending = measured_spending(details, None, 3.0)
    assert spending is not None
    subject = Subject(analysis, "tiny", spending, sweep=details, commands=("isoflop report tiny",), date="2026-01-02")
    return page_of(subject, pictures_of(analysis, None, subject.comparison))


def section(page: Page, anchor: str) -> Section:
    return next(each for each in page.sections if each.anchor == anchor)


def tables(page: Page, anchor: str) -> list[PageTable]:
    return [part for part in section(page, anchor).parts if isinstance(part, PageTable)]


def rows_of(page: Page) -> dict[str, str]:
    """The facts of the provenance."""
    (table,) = tables(page, "provenance")
    return {str(what): str(value) for what, value in table.rows}


def test_sections_stand_in_the_order_of_a_readers_questions(page: Page) -> None:
    anchors = [each.anchor for each in page.sections]
    assert anchors[:3] == ["answer", "isoflop", "allocation"]
    assert anchors[-4:] == ["runs", "excluded", "warnings", "provenance"]
    assert {"surface", "residuals", "literature"} <= set(anchors)
    assert all(isinstance(each.parts[0], Paragraph) for each in page.sections)
    assert page.facts["runs"] == "27 fitted, 1 excluded"


def test_every_run_is_there_and_those_mirrored_online_are_linked(page: Page) -> None:
    (table,) = tables(page, "runs")
    names = [row[0] for row in table.rows]
    assert len(names) == 27
    links = [name for name in names if isinstance(name, Link)]
    assert links == [Link("cell05", "https://wandb.ai/me/isoflop/runs/tiny-cell05")]
    assert {"learning rate", "seed"} <= set(table.headers)
    assert "epochs" not in table.headers


def test_excluded_runs_have_their_reason_and_place(page: Page, folder: Path) -> None:
    (table,) = tables(page, "excluded")
    ((run, reason, place),) = table.rows
    assert run == "cell03"
    assert reason == "diverged: the training loss was not finite at step 5"
    assert place == str(folder / "cell03" / "record.json")


def test_provenance_says_what_was_recorded_and_where_runs_differ(page: Page) -> None:
    rows = rows_of(page)
    assert rows["training commit"] == COMMIT
    assert rows["trained with"] == "torch 2.9.0 (27 runs), 2.8.0 (1 runs)"
    assert rows["devices"] == "4 x NVIDIA H100, torch kernels"
    assert rows["cells"] == "28 planned: 27 finished, 1 diverged"
    assert rows["corpus"].startswith("fingerprint feed, 5 documents, 1T tokens to train on")
    assert rows["time"] == "from 2026-01-01 00:00 to 2026-01-01 00:00 UTC: 56 s, pauses included"
    assert rows["spent"] == "224 device-seconds, 0.19 dollars at 3 dollars a device-hour, as given"
    assert rows["W&B"].startswith("1 runs are mirrored online")


def test_the_config_is_whole_without_what_looks_like_a_secret(page: Page) -> None:
    (config,) = [part for part in section(page, "provenance").parts if isinstance(part, Commands) and part.folded]
    text = "\n".join(config.lines)
    assert "minimum: parabola" in text
    assert "module load cuda" in text
    assert "WANDB_API_KEY=***" in text
    assert "0123abcd" not in str(page)


def test_a_sweeps_cost_is_by_what_its_own_devices_reached(details: SweepDetails) -> None:
    flops = details.flops()
    assert flops == pytest.approx(7 * sum((1e17, 1e18, 1e19, 1e20)))
    assert details.device_seconds == pytest.approx(28 * 2.0 * 4)
    assert details.flops_per_second() == pytest.approx(flops / details.device_seconds)
    spending = measured_spending(details, None, None)
    assert spending is not None
    assert (spending.price_per_hour, spending.price_of(3600.0)) == (None, None)
    assert "no price is given" in spending.price_words


def test_tables_hold_the_fits_numbers(page: Page) -> None:
    exponents, minima, parameters = tables(page, "answer")
    assert [row[0] for row in exponents.rows] == ["isoFLOP", "parametric"]
    assert [row[0] for row in minima.rows] == ["1e17", "1e18", "1e19", "1e20"]
    assert [row[1] for row in parameters.rows] == ["E", "A", "B", "alpha", "beta"]


def test_a_table_of_runs_that_are_not_ours_says_how_it_was_read() -> None:
    analysis: Analysis = planted()
    found = page_of(Subject(analysis, "planted.csv", SPENDING, where="loss < 9"), ())
    rows = rows_of(found)
    assert (rows["rows read"], rows["rows"]) == ("35", "loss < 9")
    assert "training commit" not in rows
    assert "only loss < 9" in found.subtitle
    assert not any(isinstance(row[0], Link) for row in tables(found, "runs")[0].rows)
