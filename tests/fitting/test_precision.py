"""What a plan's simulation promises, held against sweeps drawn apart from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isoflop.fitting import ChinchillaLaw, InputError
from isoflop.fitting.jsonio import json_text
from isoflop.fitting.laws import KaplanLaw
from isoflop.fitting.precision import NoiseModel, PlannedGrid, Precision, Spread, prior_surface, simulate

from .sweeps import HOFFMANN

BUDGETS = np.geomspace(1e17, 1e21, 5)
KAPLAN = KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)
QUICK: dict[str, Any] = {"at_flops": 1e23, "sims": 20, "intervals": False}


def exponent(precision: Precision, method: str = "isoflop") -> Spread:
    """The spread of a that must be there."""
    found = precision.of(method)
    assert found is not None
    assert found.params_exponent is not None
    return found.params_exponent


def codes(precision: Precision) -> list[str]:
    return [warn.code for warn in precision.warnings]


@pytest.mark.parametrize("law", [HOFFMANN, KAPLAN])
def test_the_optimum_of_a_grid_is_of_its_own_count(law):
    grid = PlannedGrid.centred(law, BUDGETS, 5, 4.0)
    for exact, given in zip(grid.optimum(law), law.optimum(1e20), strict=True):
        assert exact(1e20) == pytest.approx(given, rel=1e-6)
    counted = replace(grid, flops=4 * grid.n_params**1.1 * grid.tokens**0.95)
    params, tokens = counted.optimum(law)
    n = float(params(1e20)) * np.geomspace(0.5, 2, 20001)
    losses = law.loss(n, (1e20 / 4 / n**1.1) ** (1 / 0.95))
    assert float(params(1e20)) == pytest.approx(n[np.argmin(losses)], rel=2e-4)
    assert 4 * params(1e20) ** 1.1 * tokens(1e20) ** 0.95 == pytest.approx(1e20, rel=1e-6)


def test_a_noise_drawn_anew_gives_the_expected_error():
    """Least squares by hand: the parabola's vertex at every budget, then the line through the vertices."""
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 7, 2.0)
    found = simulate(grid, HOFFMANN, NoiseModel.constant(0.003), methods=("isoflop",), at_flops=1e23, sims=80)
    rng, x = np.random.default_rng(5), np.log(grid.n_params.reshape(5, 7))
    loss = HOFFMANN.loss(grid.n_params, grid.tokens).reshape(5, 7)
    slopes = []
    for _ in range(400):
        noisy = loss + 0.003 * rng.standard_normal((5, 7))
        c = [np.polyfit(row - row.mean(), y, 2) for row, y in zip(x, noisy, strict=True)]
        vertex = x.mean(axis=1) - np.array([each[1] / (2 * each[0]) for each in c])
        slopes.append(np.polyfit(np.log(BUDGETS), vertex, 1, w=np.array([each[0] for each in c]))[0])
    spread = exponent(found)
    assert spread.se == pytest.approx(np.std(slopes), rel=0.25)
    assert spread.bias == pytest.approx(np.mean(slopes) - HOFFMANN.params_exponent, abs=0.006)
    interval = found.methods[0].interval
    assert interval is not None
    assert 1.5 < interval.half_width / spread.se < 3.5
    assert interval.covered > 0.85
    assert codes(found) == []


def test_twice_the_noise_is_twice_the_error_and_seeds_share_it():
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 6, 3.0)
    four = PlannedGrid.centred(HOFFMANN, BUDGETS, 6, 3.0, seeds=4)

    def se(grid: PlannedGrid, noise: NoiseModel) -> float:
        found = simulate(grid, HOFFMANN, noise, methods=("parametric",), **QUICK | dict[str, Any](sims=70))
        return exponent(found, "parametric").se

    noise = NoiseModel.relative(0.0005)
    once = se(grid, noise)
    assert se(grid, NoiseModel.relative(0.001)) == pytest.approx(2 * once, rel=0.15)
    assert se(four, noise) == pytest.approx(once / 2, rel=0.3)
    # What cells differ by beyond seeds, no seed averages away.
    assert se(four, replace(noise, between_cells=0.001)) == pytest.approx(np.sqrt(4.25) * once, rel=0.3)
    assert se(grid, replace(noise, law_misfit=0.001)) == pytest.approx(np.sqrt(5) * once, rel=0.3)


def test_the_same_seed_gives_the_same_numbers():
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 5, 3.0)
    noise = NoiseModel.porian()
    found = [simulate(grid, HOFFMANN, noise, methods=("isoflop",), seed=seed, **QUICK) for seed in (1, 1, 2)]
    texts = [json_text(each.to_json()) for each in found]
    assert texts[0] == texts[1] != texts[2]
    report = json.loads(texts[0])
    assert report["noise"]["text"].startswith("seed noise .002 nats")
    assert report["methods"][0]["params_exponent"]["se"] > 0


def test_all_methods_answer_and_say_how_often():
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 7, 4.0)
    found = simulate(grid, HOFFMANN, NoiseModel.constant(0.002), at_flops=1e23, sims=20, intervals=False)
    assert [each.method for each in found.methods] == ["isoflop", "parametric", "envelope", "kaplan"]
    assert all(each.n_answered + sum(count for _, count in each.failures) == 20 for each in found.methods)
    assert exponent(found, "parametric").truth == pytest.approx(HOFFMANN.params_exponent)
    kaplan = next(warn for warn in found.warnings if warn.code == "biased_kaplan")
    assert "another form" in kaplan.text


def test_sizes_to_one_side_are_said_to_miss_the_minimum():
    small = PlannedGrid.centred(HOFFMANN, BUDGETS, 6, 2.0)
    n = small.n_params / 2.5
    small = replace(small, n_params=n, tokens=small.flops / 6 / n)
    found = simulate(small, HOFFMANN, NoiseModel.constant(0.001), methods=("isoflop",), **QUICK)
    assert found.budgets[0].interior < 0.1
    assert found.budgets[0].above > 0.9
    text = next(warn.text for warn in found.warnings if warn.code == "not_bracketed")
    assert "train larger sizes" in text
    assert {"off_centre", "no_isoflop"} <= set(codes(found))


def test_a_centre_that_drifts_is_named_with_the_bias_it_causes():
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 9, 6.0)
    n = grid.n_params * (grid.budget / 1e19) ** 0.1  # by 10^.1 a decade, .23 in ln N
    drifting = replace(grid, n_params=n, tokens=grid.flops / 6 / n)
    found = simulate(drifting, HOFFMANN, NoiseModel.constant(0.001), methods=("isoflop",), **QUICK)
    text = next(warn.text for warn in found.warnings if warn.code == "drifting_centre")
    assert "+0.23 in ln N a decade" in text
    assert f"{exponent(found).bias:+.3f} off" in text


def test_noise_that_hides_the_small_budgets_is_named():
    grid = PlannedGrid.centred(HOFFMANN, np.geomspace(1e18, 1e20, 6), 6, 1.5)
    found = simulate(grid, HOFFMANN, NoiseModel.constant(0.02), methods=("isoflop",), **QUICK)
    assert {"noisy_budgets", "not_bracketed"} <= set(codes(found))


def test_too_few_budgets_or_sizes():
    grid = PlannedGrid.centred(HOFFMANN, [1e18, 1e19, 1e20], 4, 3.0)
    found = simulate(grid, HOFFMANN, NoiseModel.constant(0.001), methods=("isoflop",), at_flops=1e23, sims=20)
    assert {"few_budgets", "few_sizes"} <= set(codes(found))
    assert found.methods[0].interval is None
    one = PlannedGrid.centred(HOFFMANN, [1e19], 6, 3.0)
    lone = simulate(one, HOFFMANN, NoiseModel.constant(0.001), methods=("isoflop",), at_flops=1e23, sims=20)
    assert lone.methods[0].params_exponent is None
    assert lone.methods[0].failures[0][0].startswith("one budget only")


def test_a_prior_far_from_its_range_is_said_to_be():
    prior = replace(prior_surface(), flops_range=(1e18, 1e22))
    law = prior.scaling.surface
    assert law is not None
    grid = PlannedGrid.centred(law, np.geomspace(1e15, 1e16, 4), 5, 3.0)
    found = simulate(grid, prior, NoiseModel.relative(0.002), methods=("isoflop",), at_flops=1e17, sims=20)
    text = next(warn.text for warn in found.warnings if warn.code == "prior_extrapolated")
    assert "3.0 decades below the FLOPs that published:besiroglu" in text


def test_a_law_that_misfits_is_said_to():
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 5, 3.0)
    noise = replace(NoiseModel.relative(0.002, "pilot"), law_misfit=0.01)
    found = simulate(grid, HOFFMANN, noise, methods=("parametric",), **QUICK)
    assert next(warn.text for warn in found.warnings if warn.code == "law_misfit").startswith("pilot: the budgets'")
    assert "5.0 times" in next(warn.text for warn in found.warnings if warn.code == "law_misfit")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ("isoflops",)}, "isoflops"),
        ({"sims": 5}, "20 or more"),
        ({"at_flops": float("nan")}, "--at-flops nan"),
        ({"at_flops": -1.0}, "--at-flops -1"),
        ({"noise": NoiseModel.constant(1.5)}, "over 20% of it"),
        ({"prior": ChinchillaLaw(1.7, 400, 0.0, 0.3, 0.3)}, "no optimum"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_line(changes, words):
    grid = PlannedGrid.centred(HOFFMANN, BUDGETS, 5, 3.0)
    given = {"prior": HOFFMANN, "noise": NoiseModel.porian(), **QUICK, **changes}
    with pytest.raises(InputError, match=words) as caught:
        simulate(grid, given.pop("prior"), given.pop("noise"), **given)
    assert "\n" not in str(caught.value)


def test_a_grid_of_nonsense_is_refused():
    one = np.array([1e6])
    with pytest.raises(InputError, match="tokens must be positive"):
        PlannedGrid(one, 0 * one, one, one, np.array([0]))
    with pytest.raises(InputError, match="1 n_params and 2 tokens"):
        PlannedGrid(one, np.array([1e7, 1e8]), one, one, np.array([0]))


def test_a_prior_must_give_a_surface():
    assert prior_surface().scaling.surface == ChinchillaLaw(1.8172, 482.01, 2085.43, 0.3478, 0.3658)
    with pytest.raises(InputError, match=r"hoffmann_approach2: gives no L\(N, D\)"):
        prior_surface("published:hoffmann_approach2")
