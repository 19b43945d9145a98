"""The bracket: minima and edges of known losses, the law through them, and the recipe that a sweep then uses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from isoflop.scripts.cli import run
from isoflop.fitting.errors import FitError, InputError
from isoflop.scripts.tune import main
from isoflop.training.config import load_config, parse_config
from isoflop.training.plan import RunPlan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.tune import Trials, batch_law, choose_spots, extend, measure, powers, rate_law, tuned_recipe
from isoflop.training.tune.bracket import bracket, noise_of

from .helpers import tiny, write_config
from .test_plan import CORPUS

RATES = (0.01, 0.02, 0.04, 0.08, 0.16)


def bowl(best: float, rates: tuple[float, ...] = RATES) -> list[float]:
    return [2.0 + 0.1 * math.log(rate / best) ** 2 for rate in rates]


def test_a_parabola_s_minimum_is_found_between_the_rates() -> None:
    found = bracket(RATES, bowl(0.05))
    assert found.verdict == "interior"
    assert found.best == pytest.approx(0.05)
    assert found.wide == pytest.approx(0.05)
    assert found.loss == pytest.approx(2.0)
    assert found.cost(0.03) == pytest.approx(0.1 * math.log(0.03 / 0.05) ** 2)


@pytest.mark.parametrize(("best", "edge"), [(0.001, -1), (0.9, 1)])
def test_a_minimum_beyond_the_rates_is_an_edge_and_no_optimum(best: float, edge: int) -> None:
    found = bracket(RATES, bowl(best), noise=0.01)
    assert (found.verdict, found.edge, found.low) == ("on edge", edge, None)
    assert found.best in (RATES[0], RATES[-1])


def test_a_rate_beside_one_that_diverged_is_on_the_edge_and_wants_no_higher_rate() -> None:
    found = bracket(RATES, [*bowl(0.05)[:3], math.inf, math.inf])
    assert (found.verdict, found.edge, found.best) == ("on edge", 0, 0.04)
    with pytest.raises(FitError, match=r"every rate tried from 0.01 to 0.16 diverged"):
        bracket(RATES, [math.inf] * 5)


def test_intervals_cover_the_optimum() -> None:
    """95 % intervals of a known noise, over 400 brackets."""
    generator, hits = np.random.default_rng(1), 0
    for _ in range(400):
        noisy = bracket(RATES, [loss + 0.01 * generator.standard_normal() for loss in bowl(0.045)], noise=0.01)
        hits += noisy.low is None or noisy.low <= 0.045 <= (noisy.high or 0)
    assert 0.92 <= hits / 400 <= 1.0


def test_noise_is_the_spread_of_seeds_or_else_the_scatter_about_a_parabola() -> None:
    generator = np.random.default_rng(2)
    seeded = [(RATES, [[*(loss + 0.02 * generator.standard_normal(2))] for loss in bowl(0.05)]) for _ in range(40)]
    assert noise_of(seeded) == pytest.approx(0.02 / math.sqrt(2), rel=0.15)
    single = [(RATES, [[loss + 0.02 * generator.standard_normal()] for loss in bowl(0.05)]) for _ in range(100)]
    assert noise_of(single) == pytest.approx(0.02, rel=0.25)
    assert noise_of([((1.0, 2.0, 3.0), [[1.0], [2.0], [3.0]])]) is None


def trials(tmp_path: Path, batches: int = 1, **changes: object) -> Trials:
    config = parse_config(tiny(tmp_path, **({"grid__widths": [8, 16, 32], "grid__budgets": [4e9, 8e9]} | changes)), "t")
    found = Trials(config, CORPUS, choose_spots(config, CORPUS, ["smallest", "middle", "largest"]), 2.0, 1)
    for spot in found.spots:
        for power in powers(batches):
            found.add_arm(spot, power, powers(5))
    return found


def record(found: Trials, folder: SweepFolder, loss: Callable[[RunPlan], float]) -> None:
    """Records whose losses are a known function of the cell."""
    for cell in found.plan().cells:
        if folder.read_record(cell.run_id) is None:
            folder.write_record(cell.run_id, {"status": "finished", "loss": loss(cell)})


def test_sizes_are_taken_where_they_stand_in_the_middle_of_a_budget(tmp_path: Path) -> None:
    widths = [[4, 8, 12], [8, 12, 16], [12, 16, 20]]
    config = parse_config(tiny(tmp_path, grid__budgets=[1e9, 2e9, 4e9], grid__widths=widths), "t")
    spots = choose_spots(config, CORPUS, ["largest", "smallest", "middle", "16"])
    assert [(spot.cell.shape.width, spot.cell.budget) for spot in spots] == [(4, 1e9), (12, 2e9), (16, 4e9), (20, 4e9)]
    with pytest.raises(InputError, match=r"--sizes 10: the grid has no such size; .* widths of 4, 8, 12, 16, 20"):
        choose_spots(config, CORPUS, ["10"])


def test_the_recipe_s_own_rate_is_the_sweep_s_own_run(tmp_path: Path) -> None:
    found = trials(tmp_path)
    planned = {cell.run_id for cell in make_plan(found.config, CORPUS).cells}
    assert len([cell for cell in found.plan().cells if cell.run_id in planned]) == 3
    assert len(found.plan().cells) == 15


def test_trunks_are_tuned_by_plain_runs_with_the_trunk_s_batch_rate_and_warmup(tmp_path: Path) -> None:
    wsd = {"kind": "wsd", "trunk": True}
    found = trials(tmp_path, recipe__schedule=wsd)
    swept = {(c.budget, c.shape.width): c for c in make_plan(found.config, CORPUS).cells}
    for arm in found.arms:
        (tried,) = found.cells(arm, 0)
        own = swept[tried.budget, tried.shape.width]
        assert tried.trunk is None
        same = ("batch_sequences", "learning_rate", "timeline", "steps", "beta2", "weight_decay")
        assert [getattr(tried, name) for name in same] == [getattr(own, name) for name in same]
    assert found.plan().config.recipe.schedule.trunk is False


def test_the_law_of_the_best_rates_is_recovered_and_edges_are_extended(tmp_path: Path) -> None:
    """LR* = 9 width^-1.5 sqrt(B / 512), from 2 to 4 times off the recipe's own: at first beyond the bracket."""
    found, folder = trials(tmp_path), SweepFolder(tmp_path / "tune")

    def loss(cell: RunPlan) -> float:
        best = 9.0 * cell.shape.width**-1.5 * math.sqrt(cell.batch_tokens / 512)
        return 2.0 + 0.05 * math.log(cell.learning_rate / best) ** 2

    record(found, folder, loss)
    results, _ = measure(found, folder)
    assert "on edge" in {result.verdict for result in results}
    while extend(found, results):
        record(found, folder, loss)
        results, _ = measure(found, folder)
    assert {result.verdict for result in results} == {"interior"}
    law = rate_law(results, found.config.recipe)
    assert law.rule.model_dump() == {
        "rule": "width_power",
        "coefficient": pytest.approx(9.0, rel=1e-3),
        "width_exponent": pytest.approx(-1.5),
        "batch_exponent": 0.5,
        "batch_reference": 512.0,
    }
    assert law.remarks == ()
    own = math.log(results[0].best.arm.rule_rate / results[0].best.rates.best)
    assert results[0].cost == pytest.approx(0.05 * own**2)


def test_batches_are_bracketed_and_their_law_fitted(tmp_path: Path) -> None:
    """B* = .4 D^.6 and LR* = 30 / N^.5 (B / 512)^.8."""
    rule = {"rule": "params_power", "coefficient": 10.0, "params_exponent": -0.5, "batch_exponent": 0.5}
    found = trials(tmp_path, 3, recipe__learning_rate=rule, model__context=4, grid__budgets=[4e10, 8e10])
    folder = SweepFolder(tmp_path / "tune")

    def loss(cell: RunPlan) -> float:
        rate = 30 * cell.counts.params.n_params**-0.5 * (cell.batch_tokens / 512) ** 0.8
        best_batch = 0.4 * (cell.budget / cell.counts.flops_per_token["exact"]) ** 0.6
        off = math.log(cell.learning_rate / rate), math.log(cell.batch_tokens / best_batch)
        return 2.0 + 0.05 * off[0] ** 2 + 0.02 * off[1] ** 2

    record(found, folder, loss)
    results, _ = measure(found, folder)
    for _ in range(4):
        extend(found, results)
        record(found, folder, loss)
        results, _ = measure(found, folder)
    assert {result.verdict for result in results} == {"interior"}
    law, batch = rate_law(results, found.config.recipe), batch_law(results, found.config.recipe)
    fitted = law.rule.model_dump()
    assert (fitted["params_exponent"], fitted["batch_exponent"]) == pytest.approx((-0.5, 0.8), abs=0.01)
    assert batch is not None
    assert (batch.coefficient, batch.exponent) == pytest.approx((0.4, 0.6), rel=0.1)
    tuned = tuned_recipe(results, found.config.recipe, law.rule, batch, "isoflop tune")
    assert tuned.batch == batch


def test_one_size_scales_the_recipe_s_own_rule(tmp_path: Path) -> None:
    config = parse_config(tiny(tmp_path, recipe__learning_rate={"rule": "kaplan"}), "t")
    found, folder = Trials(config, CORPUS, choose_spots(config, CORPUS, ["middle"]), 2.0, 1), SweepFolder(tmp_path)
    found.add_arm(found.spots[0], 0, powers(5))
    record(found, folder, lambda cell: math.log(cell.learning_rate / (1.5 * found.arms[0].rule_rate)) ** 2)
    results, _ = measure(found, folder)
    law = rate_law(results, config.recipe)
    assert law.rule.model_dump() == {"rule": "kaplan", "multiplier": pytest.approx(1.5)}
    assert "one size says nothing" in law.remarks[0]


def test_tune_trains_writes_a_recipe_and_a_sweep_takes_it(
    text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tiny(text_folder, execution__executor="inline", grid__budgets=[4e7, 8e7], grid__widths=[4, 8, 12])
    config = write_config(tmp_path / "tiny.yaml", small)
    words = [str(config), "--out", str(tmp_path / "tune"), "--rates", "3", "--step", "8", "--extend", "0"]
    with pytest.raises(SystemExit) as ended:
        run(main, words)
    assert ended.value.code == 0
    assert "law: width_power" in capsys.readouterr().out
    found = json.loads((tmp_path / "tune" / "tune.json").read_text())
    with pytest.raises(SystemExit):
        run(main, [*words, "--json", "-"])  # all are trained: it measures them again
    assert json.loads(capsys.readouterr().out) == found
    assert [size["width"] for size in found["sizes"]] == [4, 8, 12]
    assert (tmp_path / "tune" / "figures" / "learning_rate.png").stat().st_size > 10_000

    (tmp_path / "tuned.yaml").write_bytes((tmp_path / "tune" / "tuned.yaml").read_bytes())
    sweep = load_config(
        write_config(tmp_path / "next.yaml", small | {"recipe": "tuned.yaml"}), ["recipe.schedule.kind=cosine"]
    )
    assert sweep.recipe.schedule.kind == "cosine"
    assert sweep.recipe.learning_rate.model_dump() == found["rate_law"]["rule"]
    assert sweep.recipe.bracket is not None
    assert [size.width for size in sweep.recipe.bracket.sizes] == [4, 8, 12]
    wider = parse_config(sweep.model_dump() | {"grid": {"budgets": [4e9, 8e9], "widths": [12, 32]}}, "t")
    notes = {cell.shape.width: cell.notes for cell in make_plan(wider, CORPUS).cells}
    assert any(note.startswith("recipe_range: tuned: N = ") for note in notes[32])
    assert not any(note.startswith("recipe_range") for note in notes[12])
    monkeypatch.chdir(tmp_path)
    tuned = load_config(config, ["recipe=tuned.yaml"]).recipe
    assert tuned.bracket == sweep.recipe.bracket
    # A config it is put over has none of its own keys left in it.
    other = {
        "batch": {"rule": "tokens_power", "coefficient": 0.5},
        "schedule": {"warmup": 0.3},
        "optimizer": {"eps": 1e-6},
    }
    base = write_config(tmp_path / "base.yaml", small | {"recipe": small["recipe"] | other})
    over = write_config(tmp_path / "over.yaml", {"extends": base.name, "recipe": "tuned.yaml"})
    assert load_config(over).recipe == tuned


def test_a_tuned_recipe_with_another_rate_or_batch_is_not_vouched_for(tmp_path: Path) -> None:
    found, folder = trials(tmp_path), SweepFolder(tmp_path / "tune")
    record(found, folder, lambda cell: 2.0 + math.log(cell.learning_rate / 0.05) ** 2)
    results, _ = measure(found, folder)
    while extend(found, results):
        record(found, folder, lambda cell: 2.0 + math.log(cell.learning_rate / 0.05) ** 2)
        results, _ = measure(found, folder)
    recipe = tuned_recipe(results, found.config.recipe, rate_law(results, found.config.recipe).rule, None, "tune")
    tuned = parse_config(found.config.model_dump() | {"recipe": recipe.model_dump()}, "t").model_dump()
    assert [cell.notes for cell in make_plan(parse_config(tuned, "t"), CORPUS).cells] == [()] * 6
    tuned["recipe"]["learning_rate"]["coefficient"] *= 4
    tuned["recipe"]["batch"]["coefficient"] = 0.5
    said = {note for cell in make_plan(parse_config(tuned, "t"), CORPUS).cells for note in cell.notes}
    assert said == {f"recipe_range: tuned: {key} is not the rule that was tuned" for key in ("learning_rate", "batch")}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rates", "2"], "--rates 2: fewer than 3 cannot bracket a minimum"),
        (["--batches", "2"], "--batches 2: give 1"),
        (["--step", "1"], "--step 1: must be above 1"),
        (["--sizes", "6"], "--sizes 6: the grid has no such size"),
        (["--batches", "9"], "of its 5 sequences a batch is below one"),
        (["--batches", "3", "--step", "1.05"], "two batches come to the same 5 sequences; take a larger step"),
        (["--set", "recipe.learning_rate={rule: stap_law}"], "there is no 'stap_law'; did you mean 'step_law'?"),
        (["--set", "recipe.learning_rate={rule: constant, value: 0}"], "value: must be greater than 0, got 0"),
        (["--set", "recipe=none.yaml"], "there is no file none.yaml"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], says: str, text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "tiny.yaml", tiny(text_folder, grid__budgets=[4e7, 8e7]))
    with pytest.raises(SystemExit) as ended:
        run(main, [str(config), "--out", str(tmp_path / "out"), *words])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert says in error
    assert not (tmp_path / "out").exists()


def test_a_recipe_s_file_must_be_one(text_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("name: other\n")
    config = write_config(tmp_path / "tiny.yaml", tiny(text_folder) | {"recipe": "other.yaml"})
    with pytest.raises(InputError, match=r"other.yaml: is no recipe: it must hold the one key recipe"):
        load_config(config)
