"""The configs that come with the project, and the one change from rung to rung of the ladder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting import InputError
from isoflop.training.config import SweepConfig, load_config
from isoflop.training.corpus import CorpusInfo, ValidationInfo
from isoflop.training.planning import make_plan

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SWEEPS = [*CONFIGS.glob("*.yaml"), *CONFIGS.glob("ladder/*.yaml"), *CONFIGS.glob("ladder/gpu/[0-9]*.yaml")]
RUNGS = ("1_kaplan", "2_head", "3_warmup", "4_decay", "5_tuned")
CHANGES = [
    {"grid.flops", "fit.n_params"},
    {"recipe.schedule.warmup"},
    {"recipe.schedule.horizon_tokens", "recipe.schedule.trunk"},
    {"recipe.batch", "recipe.learning_rate"},
]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_config_is_valid_and_opens_with_what_it_is_for(path: Path) -> None:
    assert load_config(path).name
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("folder", ["ladder", "ladder/gpu"])
def test_each_rung_of_the_ladder_changes_one_thing(folder: str) -> None:
    rungs = [load_config(CONFIGS / folder / f"{name}.yaml") for name in RUNGS]
    for lower, upper, expected in zip(rungs, rungs[1:], CHANGES, strict=False):
        assert _changed(lower, upper) == expected
    assert len({rung.name for rung in rungs}) == 5


def _changed(lower: SweepConfig, upper: SweepConfig) -> set[str]:
    parts = [_flat(rung.model_dump(exclude={"name"})) for rung in (lower, upper)]
    return {key for key in parts[0] | parts[1] if parts[0].get(key) != parts[1].get(key)}


def _flat(values: dict[str, Any], at: str = "") -> dict[str, Any]:
    """By dotted keys; a mapping that a rule chooses stays whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict) and "rule" not in value and "kind" not in value
        inner = inner or key in ("schedule", "initialisation")
        flat |= _flat(value, f"{at}{key}.") if inner else {f"{at}{key}": value}
    return flat


def test_a_config_extends_others_and_what_it_says_itself_wins(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text((CONFIGS / "smoke.yaml").read_text() + "\nseed: 3\n")
    (tmp_path / "rates.yaml").write_text("recipe:\n  learning_rate: {rule: constant, value: .01}\n")
    (tmp_path / "mine.yaml").write_text(
        "extends: [base.yaml, rates.yaml]\nname: mine\nrecipe:\n  batch: {coefficient: 2.0}\n"
    )
    config = load_config(tmp_path / "mine.yaml", ["seed=4"])
    assert (config.name, config.seed) == ("mine", 4)
    # Another rule takes the place of the whole mapping, a key alone joins it.
    assert config.recipe.learning_rate.model_dump() == {"rule": "constant", "value": 0.01}
    assert config.recipe.batch.model_dump() == {"rule": "tokens_power", "coefficient": 2.0, "exponent": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: a.yaml\n", r"a.yaml: extends itself, by a.yaml"),
        ("extends: nowhere.yaml\n", r"nowhere.yaml: cannot be read: no such file"),
        ("extends: 3\n", r"a.yaml: extends: must be the path of a config or a list of them, got 3"),
    ],
)
def test_what_cannot_be_extended_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("name", "vocab_size", "tokens", "flops", "n_cells"),
    [("gpu", 256, 260_000_000, 1.05e17, 49), ("gpu_night", 4096, 12_000_000_000, 1.02e19, 35)],
)
def test_the_gpus_configs_are_what_their_headers_say(
    name: str, vocab_size: int, tokens: int, flops: float, n_cells: int
) -> None:
    held_out = {"validation": ValidationInfo(10_000_000, 100, 10_000_000)}
    config = load_config(CONFIGS / f"{name}.yaml")
    plan = make_plan(config, CorpusInfo("f" * 16, "-", vocab_size, 1000, 0, tokens, held_out))
    assert len(plan.cells) == n_cells
    assert plan.flops == pytest.approx(flops, rel=0.01)
    for budget in config.grid.budgets:
        cells = [cell for cell in plan.cells if cell.budget == budget]
        # Enough steps for a warmup and a decay, and D/N on both sides of where the optimum is looked for.
        assert min(cell.steps for cell in cells) >= 1800
        per_param = [cell.tokens / cell.counts.params.n_params for cell in cells]
        assert min(per_param) < 10 < 100 < max(per_param)
