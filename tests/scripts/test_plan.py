"""`plan`: its first line, what it costs, the precision of a sweep like the one that was trained, and bad options."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.fitting.laws import ChinchillaLaw
from isoflop.scripts.plan_precision import quick_sims

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
LAW = ChinchillaLaw(E=1.5, A=8.0, B=40.0, alpha=0.35, beta=0.35)
NOISE = 0.004  # of the loss
GRID = ("--set", "grid.widths=[4,8,12,16,24]", "--set", "grid.seeds=2")


def test_the_first_line_says_cells_compute_time_and_doubts(command: Callable[..., Any], tmp_path: Path) -> None:
    words = ("--out", tmp_path / "none", "--devices", 2, "--set", "execution.device=cpu")
    done = command("plan", SMOKE, *words, "--json", tmp_path / "plan.json")
    first = done.out.splitlines()[0]
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert first.startswith("smoke: 12 cells, 9e9 FLOPs, about ")
    assert " on 2 CPU cores; " in first
    assert first.endswith(f"; {len(plan['warnings'])} warnings")
    assert len(plan["warnings"]) == done.out.count("warning [")
    assert set(plan["costs"]["seconds"]) == {cell["run_id"] for cell in plan["cells"]}


def test_a_prior_that_cannot_hold_gives_no_precision_unless_it_is_named(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    """Besiroglu's law expects 45 nats of these models, guessing every byte alike 5.5."""
    out = ("--out", tmp_path / "none", "--json", "-")
    plan = json.loads(command("plan", SMOKE, *out).out)
    assert plan["precision"] is None
    assert "law_does_not_hold" in {warning["code"] for warning in plan["warnings"]}
    assert "precision not known: published:besiroglu" in command("plan", SMOKE, *out[:2]).out.splitlines()[0]
    named = ("--prior", "published:besiroglu", "--sims", 20, "--methods", "kaplan")
    first = command("plan", SMOKE, *out[:2], *named).out.splitlines()[0]
    assert "on a prior carried beyond where it was measured" in first


@pytest.fixture
def trained(command: Callable[..., Any], tmp_path: Path) -> Path:
    """A sweep with a record for each of its cells but those of the largest budget, on a known law; and its fit."""
    folder = tmp_path / "smoke"
    folder.mkdir()
    command("plan", SMOKE, *GRID, "--out", tmp_path / "none", "--sims", 0, "--json", folder / "plan.json")
    random = np.random.default_rng(0)
    for cell in json.loads((folder / "plan.json").read_text())["cells"]:
        (folder / cell["run_id"]).mkdir()
        params = cell["counts"]["params"]
        n_params = sum(params.values())
        record = {
            "schema_version": 1,
            "run_id": cell["run_id"],
            "status": "finished",
            "n_params": n_params,
            "tokens": cell["tokens"],
            "batch_tokens": cell["batch_sequences"] * cell["shape"]["context"],
            "flops": {"exact": cell["flops"], "6nd": 6.0 * n_params * cell["tokens"]},
            "planned_flops": "exact",
            "seed": cell["seed"],
            "loss": float(LAW.loss(n_params, cell["tokens"])) * (1 + NOISE * random.standard_normal()),
            "wall_seconds": 0.01 * cell["steps"],
            "machine": {"device": "cpu"},
        }
        (folder / cell["run_id"] / "record.json").write_text(json.dumps(record))
    assert command("fit", folder, "--method", "parametric", "--resamples", 0).status == 0
    return folder


def test_a_sweep_that_was_trained_is_its_own_prior_and_noise(command: Callable[..., Any], trained: Path) -> None:
    plan = json.loads((trained / "plan.json").read_text())
    largest = max(cell["budget"] for cell in plan["cells"])
    to_go = [cell for cell in plan["cells"] if cell["budget"] == largest]
    for cell in to_go:
        (trained / cell["run_id"] / "record.json").unlink()
    words = ("--out", trained, "--sims", 20, "--methods", "kaplan", "--gpu-hour", 3.6, "--json", trained / "new.json")
    done = command("plan", SMOKE, *GRID, *words, "--set", "execution.device=cpu", "--devices", 1)
    assert done.status == 0, done.err
    told = json.loads((trained / "new.json").read_text())
    assert f"; {len(to_go)} to go, " in done.out.splitlines()[0].replace("FLOPs, ", "FLOPs; ")

    costs = told["costs"]
    assert costs["to_go"]["cells"] == len(to_go)
    assert costs["to_go"]["wall_seconds"] == pytest.approx(sum(0.01 * cell["steps"] for cell in to_go), rel=0.15)
    assert costs["to_go"]["price"] == pytest.approx(costs["to_go"]["wall_seconds"] / 1000)  # 3.6 an hour
    assert f"scaled by {len(plan['cells']) - len(to_go)} finished records" in done.out

    precision = told["precision"]
    assert precision["prior"] == f"{trained}, parametric"
    # A share of the loss, or nats, whichever so few replicates make likelier: the middle loss is 3.2.
    unit = 1 if precision["noise"]["kind"] == "relative" else 3.2
    assert precision["noise"]["size"] / unit == pytest.approx(NOISE, rel=0.5)
    (spread,) = (each["params_exponent"] for each in precision["methods"])
    assert spread["truth"] == pytest.approx(0.5, abs=0.1)
    assert "expected a = " in done.out.splitlines()[0]
    assert re.search(rf"\.{1000 * spread['mean']:.0f} \+- \.{1000 * spread['se']:03.0f} \(kaplan, 1 SE", done.out)


def test_given_throughput_price_and_devices_are_multiplied_out(command: Callable[..., Any], tmp_path: Path) -> None:
    words = ("--out", tmp_path / "none", "--sims", 0, "--devices", 4, "--gpu-hour", 2, "--json", "-")
    by_share, by_rate = (
        json.loads(command("plan", SMOKE, *words, *given).out)["costs"]
        for given in (("--mfu", 0.4, "--peak", 1000), ("--tflops", 400))
    )
    assert by_share["seconds"] == pytest.approx(by_rate["seconds"])
    assert by_share["whole"]["device_hours"] == pytest.approx(9e9 / 400e12 / 3600, rel=0.01)
    assert by_share["whole"]["price"] == pytest.approx(2 * by_share["whole"]["device_hours"])
    named = json.loads(command("plan", SMOKE, *words, "--mfu", 0.4, "--peak", "h100").out)["costs"]
    assert "40% of the 989 TFLOP/s of H100" in named["source"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--gpu-hour", "-1"], "--gpu-hour -1: must be a finite number above 0"),
        (["--gpu-hour", "nan"], "--gpu-hour nan"),
        (["--mfu", "1.2", "--peak", "H100"], "--mfu 1.2: must be above 0 and at most 1"),
        (["--mfu", ".4"], "--mfu is a share of --peak: give both"),
        (["--mfu", ".4", "--peak", "H9"], "--peak H9"),
        (["--mfu", ".4", "--peak", "-3"], "--peak -3: must be a finite number above 0"),
        (["--tflops", "3", "--mfu", ".4"], "leave --mfu and --peak out"),
        (["--devices", "0"], "'--devices'"),
        (["--prior", "published:nobody"], "'nobody'"),
        (["--prior", "published:kaplan"], "gives no L(N, D)"),
        (["--prior", "/nowhere"], "/nowhere: is no fit.json"),
        (["--noise", "0"], "--noise 0: must be a finite number above 0"),
        (["--noise", "-1%"], "--noise -1%"),
        (["--noise", "lots"], "--noise lots: is no number of nats, as .005, no share of the loss, as 1%"),
        (["--noise", "300%"], "no law shows through it"),
        (["--at-flops", "-1e20"], "--at-flops -1e20: must be a finite number above 0"),
        (["--at-flops", "abc"], "--at-flops abc: 'abc' is no number"),
        (["--sims", "5"], "--sims 5: must be 0 (no precision) or at least 20"),
        (["--methods", "isoflops"], "'isoflops' is unknown"),
        (["--json", __file__ + "/x.json"], "no file in a folder that exists"),
        (["--out", __file__], "is no sweep folder"),
    ],
)
def test_options_that_make_no_sense(command: Callable[..., Any], tmp_path: Path, words: list[str], says: str) -> None:
    out = [] if "--out" in words else ["--out", str(tmp_path / "none")]
    done = command("plan", SMOKE, *out, *words)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
    assert done.err.startswith("error: ")
    assert says in done.err


def test_a_dry_run_of_the_sweep_shows_the_same_cells_and_cost(command: Callable[..., Any], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "none")
    plan, dry = command("plan", SMOKE, *out, "--sims", 0).out, command("sweep", SMOKE, *out, "--dry-run").out
    shared = [line for line in dry.splitlines() if line in plan.splitlines()]
    assert len(shared) == 13 + 2, "a header, 12 cells, the cost and where it is from"


def test_large_plans_are_simulated_less_often() -> None:
    assert [quick_sims(n_runs) for n_runs in (12, 48, 100)] == [200] * 3
    assert quick_sims(10_000) == 20
    counts = [quick_sims(n_runs) for n_runs in range(1, 10_000, 50)]
    assert counts == sorted(counts, reverse=True)


def test_nothing_of_a_plan_needs_torch(tmp_path: Path) -> None:
    words = ["plan", str(SMOKE), "--out", str(tmp_path), "--sims", "0"]
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'accelerate'): sys.modules[name] = None\n"
        f"sys.argv = ['isoflop', *{words!r}]\n"
        "from isoflop.scripts import cli\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "law_does_not_hold" in done.stdout, "with all that a simulation would import"
