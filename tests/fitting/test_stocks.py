"""Stocks of compute, money and text: their file, and what they come to."""

import math

import pytest
import yaml

from isoflop.fitting import InputError
from isoflop.fitting.forecasting.fleets import (
    compute_for,
    compute_of,
    data_horizon,
    serving_rate,
    tokens_of,
    tokens_of_words,
)
from isoflop.fitting.forecasting.stocks import describe, load_stocks
from isoflop.fitting.forecasting.stocks_file import UNITS, Stock, parse_stocks
from isoflop.fitting.laws import PowerLaw
from isoflop.fitting.published import published_estimate

YEAR = 365.25 * 86400  # seconds
ENTRY = {"value": "4e21", "unit": "FLOP/s", "date": 2025, "source": "own", "verified": True}


def written(**changes) -> str:
    """A file with one fleet, some of its keys changed; None leaves a key out."""
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    return yaml.safe_dump({"fleets": {"ours": entry}})


def entries():
    stocks = load_stocks()
    return [stock for section in UNITS for stock in getattr(stocks, section).values()]


def test_every_entry_says_where_it_is_from():
    assert len(entries()) > 15
    for stock in entries():
        assert stock.source
        assert stock.unit in UNITS[stock.section]
        assert ("NOT VERIFIED" in describe(stock)) == (not stock.verified)


def test_devices_are_dense_and_flop_per_dollar_is_what_an_hour_buys():
    stocks = load_stocks()
    # NVIDIA's data sheets: 312 and 989 TFLOP/s of bf16 without sparsity, to three digits.
    assert stocks.find("devices", "a100").value == 312e12
    assert stocks.find("devices", "H100").value == pytest.approx(989e12, rel=1e-3)
    rented = stocks.devices["H100"].value * 3600 / stocks.prices["H100"].value
    assert stocks.flop_per_dollar["rented_h100"].value == pytest.approx(rented, rel=5e-3)


def test_a_quarter_of_the_fleet_for_a_year_at_half_use():
    fleet = load_stocks().find("fleets", "nvidia_2025")
    flops = compute_of(fleet.value, YEAR, share=0.25, use=0.5)
    assert flops == pytest.approx(1.58e28, rel=2e-3)
    law = published_estimate("hoffmann_approach1")
    assert law.params_law is not None
    assert law.tokens_law is not None
    n_params = float(law.params_law(flops))
    assert n_params == pytest.approx(11e12, rel=0.05)
    assert float(law.tokens_law(flops)) / n_params == pytest.approx(20, rel=0.05)
    assert serving_rate(0.25 * fleet.value, n_params, use=0.5) == pytest.approx(2.2e7, rel=0.01)


def test_dollars_buy_more_in_later_years():
    stock = load_stocks().find("flop_per_dollar", "rented_h100")
    now = compute_for(stock, 1e6, use=0.4)
    assert now == pytest.approx(1e6 * 0.4 * stock.value)
    later = compute_for(stock, 1e6, use=0.4, year=stock.date + 2)
    assert later == pytest.approx(now * 1.3**2)


def test_words_are_tokens_at_four_thirds_each():
    assert tokens_of_words(3e12) == pytest.approx(4e12)
    assert tokens_of(load_stocks().texts["all_books"]) == pytest.approx(16e12 * 4 / 3)


def test_the_users_file_replaces_by_name_and_adds(tmp_path):
    path = tmp_path / "stocks.yaml"
    path.write_text(
        written() + "devices:\n  H100: {value: 9e14, unit: FLOP/s, date: 2024, source: own, verified: true}"
    )
    stocks = load_stocks(path)
    assert stocks.fleets["ours"].value == 4e21
    assert stocks.devices["H100"].value == 9e14
    assert "nvidia_2025" in stocks.fleets


def test_a_trend_is_told_as_one():
    stock = load_stocks().fleets["nvidia_2025"]
    assert stock.at(stock.date + 1) == pytest.approx(2.3 * stock.value)
    assert describe(stock, 2030).startswith("2.32e23 FLOP/s in 2030: 4e21 FLOP/s in 2025, times 2.3 a year")
    assert describe(load_stocks().texts["public_text"]).startswith("300T tokens in 2024 [100T, 1000T] 90 %")


def stock(section, value, unit, date, growth=None):
    return Stock(section, "x", value, unit, date, "own", True, growth=growth)


def test_the_year_that_text_runs_out_is_where_a_yearly_count_passes_it():
    law, budget = PowerLaw(0.1, 0.6), stock("budgets", 1e24, "FLOP", 2024.0, 3.0)
    text = stock("texts", 40e12, "words", 2020.0, 1.1)
    found = data_horizon(law, budget, text)
    assert found.year is not None
    assert not found.passed
    for days, passed in ((-1, False), (1, True)):
        year = found.year + days / 365
        assert (float(law(budget.at(year))) > tokens_of(text, year)) == passed
    assert found.tokens == pytest.approx(tokens_of(text, found.year))
    assert found.flops == pytest.approx(budget.at(found.year))


def test_epochs_forecast_of_the_public_text():
    # arXiv:2211.04325: from 2026 to 2032, median 2028, by near 5e28 FLOPs of models not overtrained.
    stocks, law = load_stocks(), published_estimate("hoffmann_approach1").tokens_law
    assert law is not None
    found = data_horizon(law, stocks.budgets["llama3_405b"], stocks.texts["public_text"])
    assert found.year is not None
    assert found.year == pytest.approx(2028.5, abs=1)
    assert found.flops == pytest.approx(5e28, rel=0.6)
    assert found.low is not None
    assert found.high is not None
    assert 2026 < found.low < found.year < found.high < 2032
    assert found.interval == "90 %"
    assert any("without repeats" in assumption for assumption in found.assumptions)


def test_text_that_grows_faster_is_never_passed():
    budget, text = stock("budgets", 1e24, "FLOP", 2024.0, 1.2), stock("texts", 1e15, "tokens", 2024.0, 1.5)
    found = data_horizon(PowerLaw(1.0, 0.5), budget, text)
    assert (found.year, found.passed) == (None, False)


def test_text_that_is_used_up_already_is_said():
    budget, text = stock("budgets", 1e26, "FLOP", 2024.0, 4.0), stock("texts", 1e9, "tokens", 2024.0)
    found = data_horizon(PowerLaw(1.0, 0.5), budget, text)
    assert found.passed
    assert found.year is not None
    assert found.year < 2024


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (written(vlaue=3), r"mine.yaml: fleets.ours.vlaue: is no key of an entry; they are value, unit"),
        (written(value=-1), r"fleets.ours.value: is -1, must be a finite number above 0"),
        (written(value=".nan"), r"fleets.ours.value: is '.nan'"),
        (written(value=float("inf")), r"fleets.ours.value: is inf"),
        (written(value="many"), r"fleets.ours.value: is 'many', .* as in 4e21 or 15T"),
        (written(value=True), r"fleets.ours.value: is True"),
        (written(growth=0), r"fleets.ours.growth: is 0"),
        (written(source=None), r"fleets.ours.source: is missing"),
        (written(source=""), r"fleets.ours.source: is missing"),
        (written(verified="perhaps"), r"fleets.ours.verified: is 'perhaps', must be true or false"),
        (written(unit="FLOP"), r"fleets.ours.unit: is 'FLOP', must be FLOP/s"),
        (written(date="soon"), r"fleets.ours.date: is 'soon', must be a year"),
        (written(date="2025-13"), r"fleets.ours.date: is '2025-13'"),
        (written(low="1e21"), r"fleets.ours: low, high and interval must be given together"),
        (written(low=1, high=2, interval="range"), r"fleets.ours.value: 4e\+21 lies outside \[1, 2\]"),
        ("boats: {}", r"boats: is no section; they are devices, prices"),
        ("fleets: 3", r"fleets: must be a mapping of names"),
        ("fleets: {ours: 3}", r"fleets.ours: must be a mapping with value"),
        ("- 3", r"mine.yaml: must be a mapping of the sections"),
        ("fleets: {a: {}}\nfleets: {b: {}}", r"mine.yaml:1: not valid YAML: key 'fleets' stands twice"),
        ("fleets: {", r"mine.yaml:1: not valid YAML"),
    ],
)
def test_a_bad_file_is_one_line_with_its_key(text, message):
    with pytest.raises(InputError, match=message) as told:
        parse_stocks(text, "mine.yaml")
    assert "\n" not in str(told.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent.yaml: cannot be read: no such file"):
        load_stocks(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes.yaml: is not text"):
        load_stocks(tmp_path / "bytes.yaml")


def test_an_unknown_entry_names_those_like_it():
    with pytest.raises(InputError, match="no stock of devices is called 'H1000'; there are: H100, "):
        load_stocks().find("devices", "H1000")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compute_of(4e21, YEAR, share=1.2, use=0.5), "the share is 1.2, must be a part of the whole"),
        (lambda: compute_of(4e21, YEAR, share=0.2, use=math.nan), "the use is nan"),
        (lambda: compute_of(-4e21, YEAR, share=0.2, use=0.5), "the fleet's FLOP/s is -4e"),
        (lambda: compute_for(load_stocks().flop_per_dollar["rented_h100"], -5, use=0.5), "the dollars is -5"),
        (lambda: load_stocks().fleets["world_2026"].at(2030), "world_2026: has no growth, so it says 2026"),
        (lambda: load_stocks().fleets["nvidia_2025"].at(1e5), "is too far from"),
        (lambda: serving_rate(1e18, 0.0, use=0.5), "the number of parameters is 0"),
        (
            lambda: data_horizon(
                PowerLaw(1, 0.5), stock("budgets", 1e24, "FLOP", 2024.0), stock("texts", 1e13, "tokens", 2024.0)
            ),
            "has no growth",
        ),
    ],
)
def test_numbers_out_of_bounds_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
