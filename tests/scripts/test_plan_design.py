"""`plan --design`: a grid found for its compute, better by simulation, and a config that trains it."""

import json
from pathlib import Path

import numpy as np
import pytest

from isoflop.fitting import ChinchillaLaw
from isoflop.fitting.precision import NoiseModel
from isoflop.fitting.precision.designs import Design
from isoflop.scripts.plan_design import gains, verdict
from isoflop.scripts.plan_table import plan_of
from isoflop.training.designing import Judged, Search, best_design, counted_centre, grid_keys
from isoflop.training.models.counts import counts_for
from isoflop.training.shapes import shape_for_width

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


def search(plan, **changes) -> Search:
    centre = counted_centre(plan, LAW, "n_params")
    words = {"least_budget": 1e9, "most_runs": 60, "off": 1.3, "method": "parametric", "at_flops": 1e12, "sims": 20}
    return Search(LAW, centre, "n_params", NoiseModel.constant(0.005), plan.own_flops, **(words | changes))


def test_the_design_takes_the_compute_and_measures_better_than_a_poor_grid():
    poor = plan_of(SMOKE, POOR)
    best, own, judged = best_design(poor, search(poor))
    assert best.plan.own_flops == pytest.approx(poor.own_flops, rel=0.03)
    assert best.params_exponent < own.params_exponent
    assert len(best.plan.cells) <= 60
    assert min(best.plan.config.grid.budgets) >= 0.99e9
    assert [found.params_exponent for found in judged] == sorted(found.params_exponent for found in judged)
    assert best.design is not None
    assert gains(best, own, search(poor))
    assert verdict(best, own, search(poor)).endswith("times as precise.")


def test_the_sizes_are_centred_where_the_grids_own_count_has_the_optimum():
    """At one budget, counted as the config counts it, no other size of the ladder has a lower loss on the prior."""
    plan = plan_of(SMOKE, [*POOR, "grid.flops=6nd_non_embedding"])
    centre = grid_keys(Design.of_total(1e11, 4, 2.0, 5, 3.0, 1), search(plan))["sizes"]["prior"]
    budget, shapes = 4e9, [shape_for_width(2 * i, plan.config.model, plan.corpus.vocab_size) for i in range(2, 24)]
    counts = [counts_for(shape, plan.config.model) for shape in shapes]
    n_params = np.array([count.params.n_params for count in counts])
    tokens = np.array([budget / count.flops_per_token["6nd_non_embedding"] for count in counts])
    best = n_params[np.argmin(LAW.loss(n_params, tokens))]
    assert centre["params_coefficient"] * budget ** centre["params_exponent"] == pytest.approx(best, rel=0.12)
    assert abs(np.log(LAW.optimum(budget)[0] / best)) > 0.15  # at C = 6 N D it lies elsewhere


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
        (
            ("--design", "--compute", "1e6"),
            "--least-budget 2e+08: 4 budgets of 5 sizes from there take over 8.12e+09 FLOPs, more than --compute 1e+06",
        ),
        (("--design", "--write", "/nowhere/x.yaml"), "--write /nowhere/x.yaml: no file in a folder that exists"),
        (("--design", "--write", SMOKE), "smoke.yaml: is there already; name another file"),
        (("--design", "--write", ROOT), "is there already; name another file"),
        (("--design", "--gpu-hour", "2"), "--gpu-hour does not go with --design: plan what it wrote"),
        (("--design", "--least-budget", "1e30"), "--least-budget 1e+30: 4 budgets of 5 sizes from there take over"),
        (("--noise", ""), "--noise : is no number of nats"),
    ],
)
def test_bad_options(command, fit_json, words, message):
    done = command("plan", SMOKE, "--prior", fit_json, *words)
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_the_verdict_says_what_is_gained():
    plan = plan_of(SMOKE, POOR)

    def judged(error: float, answered: float = 1.0) -> Judged:
        return Judged(plan, None, error, 2 * error, answered)

    for best, own, says in (
        (judged(0.02), judged(0.03), "1.50 times as precise."),
        (judged(0.03), judged(0.03), "no gain worth a change; keep the grid."),
        (judged(0.04), judged(0.03), "no gain worth a change; keep the grid."),
        (judged(0.03), judged(0.01, answered=0.2), "only the design measures it."),
    ):
        assert verdict(best, own, search(plan)) == says
    assert verdict(judged(0.03, 0.5), judged(0.03, 0.5), search(plan)).startswith("neither measures anything")


def test_a_prior_that_does_not_hold_there_is_refused(command):
    done = command("plan", SMOKE, "--out", "nowhere", "--design")
    assert done.status == 2
    assert "published:besiroglu does not hold at these sizes" in done.err
