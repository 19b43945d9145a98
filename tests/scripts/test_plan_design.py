"""`plan --design`: a grid found for its compute, better by simulation, and a config that trains it."""

import json
from pathlib import Path

import pytest

from isoflop.fitting import ChinchillaLaw
from isoflop.fitting.precision import NoiseModel
from isoflop.scripts.plan_table import plan_of
from isoflop.training.designing import Search, best_design, grid_keys

ROOT = Path(__file__).parents[2]
LAW = ChinchillaLaw(E=0.9, A=80.0, B=60.0, alpha=0.42, beta=0.32)
SMOKE = ROOT / "configs/smoke.yaml"
FINE = ["grid.budgets=[1e9,2e9,4e9,8e9]", "model.heads=1", "model.width_multiple=2"]
POOR = [*FINE, "grid.widths=[16,20,24,28,32]"]


@pytest.fixture
def fit_json(tmp_path):
    """A law that holds at sizes of thousands."""
    parts = {name: getattr(LAW, name) for name in ("E", "A", "B", "alpha", "beta")}
    exponents = {"params_exponent": {"value": LAW.params_exponent}, "tokens_exponent": {"value": LAW.tokens_exponent}}
    path = tmp_path / "law.json"
    path.write_text(json.dumps({"fits": {"parametric": parts | exponents}}))
    return path


def search(total: float, **changes) -> Search:
    words = {"least_budget": 1e9, "most_runs": 60, "off": 1.3, "method": "parametric", "at_flops": 1e12, "sims": 20}
    return Search(LAW, "n_params", NoiseModel.constant(0.005), total, **(words | changes))


def test_the_design_takes_the_compute_and_measures_better_than_a_poor_grid():
    poor = plan_of(SMOKE, POOR)
    best, own, judged = best_design(poor, search(poor.own_flops))
    assert best.plan.own_flops == pytest.approx(poor.own_flops, rel=0.03)
    assert best.params_exponent < own.params_exponent
    assert len(best.plan.cells) <= 60
    assert min(best.plan.config.grid.budgets) >= 0.99e9
    assert [found.params_exponent for found in judged] == sorted(found.params_exponent for found in judged)
    assert best.design is not None
    centre = grid_keys(best.design, search(poor.own_flops))["sizes"]["prior"]
    at = best.plan.config.grid.budgets[0]
    assert centre["params_coefficient"] * at ** centre["params_exponent"] == pytest.approx(LAW.optimum(at)[0], rel=1e-4)


def test_what_it_writes_is_a_config_that_plans(command, fit_json, tmp_path):
    target = tmp_path / "design.yaml"
    words = (
        "--design",
        "--prior",
        fit_json,
        "--noise",
        ".005",
        "--methods",
        "parametric",
        "--sims",
        "20",
        "--write",
        target,
    )
    config = tmp_path / "fine.yaml"
    config.write_text(
        f"extends: {SMOKE}\nmodel: {{heads: 1, width_multiple: 2}}\ngrid: {{budgets: [1e9, 2e9, 4e9, 8e9]}}\n"
    )
    done = command("plan", config, *words)
    assert done.status == 0, done.err
    assert "Design 1, simulated anew, has an error of a of" in " ".join(done.out.split())
    plan = plan_of(target, [])
    assert plan.config.name == "smoke-design"
    assert plan.own_flops == pytest.approx(plan_of(config, []).own_flops, rel=0.03)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--compute", "1e9"), "--compute goes with --design; give both"),
        (("--design", "--compute", "-1e9"), "--compute"),
        (("--design", "--compute", "much"), "--compute much: 'much' is no number"),
        (("--design", "--design-for", "loss"), "--design-for 'loss' is unknown: choose exponent or size"),
        (("--design", "--prior-off", "0.5"), "--prior-off 0.5: must be a factor from 1"),
        (("--design", "--most-runs", "3"), "--most-runs 3: must be 20 or more"),
        (("--design", "--methods", "kaplan"), "--methods 'kaplan': a design is for isoflop or parametric"),
        (("--design", "--compute", "1e6"), "--compute 1e+06: no design of 4 budgets or more, from"),
        (("--design", "--write", "/nowhere/x.yaml"), "--write /nowhere/x.yaml: no file in a folder that exists"),
    ],
)
def test_bad_options(command, fit_json, words, message):
    done = command("plan", SMOKE, "--prior", fit_json, *words)
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_prior_that_does_not_hold_there_is_refused(command):
    done = command("plan", SMOKE, "--out", "nowhere", "--design")
    assert done.status == 2
    assert "published:besiroglu does not hold at these sizes" in done.err
