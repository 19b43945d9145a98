"""`forecast` with stocks: whose numbers, which are not verified, a device's price, the year that a text runs out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.forecasting.stocks import describe, load_stocks
from isoflop.fitting.published import published_estimate

LAW = "published:hoffmann_approach1"


def entry(value: str, unit: str, *, verified: bool = True, more: str = "") -> str:
    return f"{{value: {value}, unit: {unit}, date: 2026, source: own, verified: {str(verified).lower()}{more}}}"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's stocks: a device and a price that were not verified, and a budget that grows."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"devices:\n  H100: {entry('500e12', 'FLOP/s', verified=False)}\n"
        f"prices:\n  H100: {entry('99', 'dollars/hour', more=', low: 90, high: 110, interval: range')}\n"
        f"budgets:\n  ours: {entry('1e24', 'FLOP', verified=False, more=', growth: 2')}\n"
        f"  still: {entry('1e24', 'FLOP')}\n"
    )
    return path


def told(command: Callable[..., Any], *words: str | Path) -> tuple[str, Any]:
    """What is printed and what the JSON says."""
    text, done = command("forecast", *words), command("forecast", *words, "--json", "-")
    assert (text.status, done.status) == (0, 0), done.err
    return " ".join(text.out.split()), json.loads(done.out)


def test_dollars_buy_by_the_users_price_and_peak(command: Callable[..., Any], mine: Path) -> None:
    _, found = told(command, LAW, "--dollars", "1e8", "--use", ".5", "--stocks", mine)
    assert found["flops"] == pytest.approx(1e8 * 0.5 * 500e12 * 3600 / 99)
    _, ours = told(command, LAW, "--dollars", "1e8", "--use", ".5")
    assert ours["flops"] == pytest.approx(1e8 * 0.5 * 1.32e18)
    mine.write_text(f"flop_per_dollar:\n  rented_h100: {entry('1e17', 'FLOP/dollar')}\n")
    _, own = told(command, LAW, "--dollars", "1e8", "--use", ".5", "--stocks", mine)
    assert own["flops"] == pytest.approx(1e8 * 0.5 * 1e17)


def test_a_device_brings_its_price_its_range_and_its_doubt(command: Callable[..., Any], mine: Path) -> None:
    text, found = told(command, LAW, "--flops", "1e24", "--device", "h100", "--stocks", mine)
    hours = 1e24 / (500e12 * 0.4 * 3600)
    assert found["cost"]["price"]["value"] == pytest.approx(99 * hours)
    assert found["cost"]["not_verified"] == ["devices.H100"]
    assert "NOT VERIFIED" in text
    assert "prices.H100: 99 dollars/hour in 2026 [90, 110] range" in text
    _, own = told(command, LAW, "--flops", "1e24", "--device", "H100", "--gpu-hour", "2", "--stocks", mine)
    assert own["cost"]["price"]["value"] == pytest.approx(2 * hours)
    text, bare = told(command, LAW, "--flops", "1e24", "--device", "B200")
    assert bare["cost"]["price"] is None
    assert "Chinchilla, approach 1" in text.split("Costs")[1]


def test_the_year_is_told_for_each_budget_with_its_interval(command: Callable[..., Any], mine: Path) -> None:
    text, found = told(command, LAW, "--flops", "1e24", "--data-horizon", "public_text", "--stocks", mine)
    years = {one["budget"]: one for one in found["data_horizon"]}
    assert list(years) == ["llama3_405b", "ours"]
    law = published_estimate("hoffmann_approach1").tokens_law
    assert law is not None
    # A budget that doubles each year passes 300T tokens where D*(1e24 2^t) does.
    passed = 1e24 * 2 ** (years["ours"]["year"] - 2026)
    assert float(law(passed)) == pytest.approx(300e12)
    assert years["ours"]["not_verified"] == ["budgets.ours"]
    assert "grows as ours's (NOT VERIFIED)" in text
    first = years["llama3_405b"]
    assert f"in {first['year']:.1f} [{first['low']:.1f}, {first['high']:.1f}] by the text's 90 %, at 300T" in text
    alone = command("forecast", LAW, "--flops", "1e24", "--data-horizon", "public_text", "--stocks", mine).out
    assert "budgets.still: has no growth" in " ".join(alone.split())


def test_a_text_that_is_passed_already_is_said(command: Callable[..., Any]) -> None:
    text, found = told(command, LAW, "--flops", "1e24", "--data-horizon", "google_books")
    assert found["data_horizon"][0]["passed"] is True
    assert "past it already, since 20" in text


def test_texts_that_were_not_verified_are_named(command: Callable[..., Any]) -> None:
    _, found = told(command, LAW, "--stock", "nvidia_2025")
    doubtful = [f"texts.{name}" for name, one in load_stocks().texts.items() if not one.verified]
    assert found["stock"]["not_verified"] == doubtful
    assert doubtful


def test_a_year_is_told_as_it_was_asked() -> None:
    assert describe(load_stocks().fleets["nvidia_2025"], 2028.9).split(": ")[0].endswith("FLOP/s in 2028.9")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stock", "nvidia_2025", "--loss", "2"], "--stock and --loss contradict"),
        (["--dollars", "1e6", "--loss", "2"], "--dollars and --loss contradict"),
        (["--stock", "1e59"], "--stock 1e59: comes to 1.26e+66 FLOPs, beyond any compute"),
        (["--flops", "1e24", "--method", "isoflop"], "--method isoflop: is about fits of runs"),
        (["--flops", "1e24", "--columns", "loss=x"], "--columns loss=x: is about fits of runs"),
        (["--flops", "1e24", "--where", "loss < 3"], "--where loss < 3: is about fits of runs"),
        (["--flops", "1e24", "--mapping", "x.yaml"], "--mapping x.yaml: is about fits of runs"),
        (["--flops", "1e24", "--keep-flagged"], "--keep-flagged: is about fits of runs"),
    ],
)
def test_what_is_idle_or_contradicts_is_told_by_what_was_given(
    command: Callable[..., Any], words: list[str], says: str
) -> None:
    done = command("forecast", LAW, *words)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
    assert says in done.err


def test_stocks_that_nothing_uses_are_refused(command: Callable[..., Any], mine: Path) -> None:
    done = command("forecast", LAW, "--flops", "1e24", "--stocks", mine)
    assert done.status == 2
    assert "is about --stock, --dollars, --device or --data-horizon" in done.err
