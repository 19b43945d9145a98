"""A config is right or refused in one line that names the key, the value and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from isoflop.fitting import InputError
from isoflop.training.config import load_config
from isoflop.training.config.yaml_input import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "smoke.yaml"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configs_that_ship_are_valid(path: Path) -> None:
    assert load_config(path).name == path.stem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e18", 1e18),
        ("1E-3", 1e-3),
        ("2.5e3", 2500.0),
        ("7", 7),
        ("-.5", -0.5),
        ("1e1O", "1e1O"),
        ("true", True),
        ("off", "off"),
    ],
)
def test_yaml_numbers(text: str, value: object) -> None:
    parsed = parse_yaml(text, "test")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("grid.budget=[1e9,2e9]", "grid.budget: unknown key; did you mean 'budgets'?"),
        ("model.initialisation.embeding_std=.1", "did you mean 'embedding_std'?"),
        ("recipe.learning_rate.coeficient=.1", "did you mean 'coefficient'?"),
        ("data.corpus.site_package=true", "did you mean 'site_packages'?"),
        ("zzz=1", "zzz: unknown key; known here: data, evaluation, execution,"),
        ("grid.budgets=[1e1O,1e9]", "grid.budgets[0]: must be a number, got '1e1O'"),
        ("grid.budgets=[-1e9,1e9]", "grid.budgets[0]: must be greater than 0, got -1000000000.0"),
        ("grid.budgets=[0,1e9]", "grid.budgets[0]: must be greater than 0, got 0"),
        ("grid.budgets=[.inf,1e9]", "grid.budgets[0]: must be a finite number, got inf"),
        ("grid.budgets=[1e9]", "grid: budgets: 1 given; an exponent needs at least 2, its interval 4"),
        ("grid.budgets=[1e9,1e9]", "a budget stands twice"),
        ("grid.seeds=[1,2]", "seeds has 2 entries for 4 budgets"),
        ("grid.widths=null", "grid: give either widths or sizes"),
        ("grid.flops=6dn", "flops: no convention '6dn'; choose exact, 6nd,"),
        ("model.heads=two", "model.heads: must be a whole number, got 'two'"),
        ("model.head_dim=8", "model: give either heads or head_dim"),
        ("data.corpus.kind=pyton", "'pyton'"),
        ("recipe.schedule.kind=sine", "recipe.schedule.kind: must be 'linear', 'cosine', 'wsd' or 'constant'"),
        ("data.validation={unit: {kind: python}}", "validation: 'unit' cannot name a set"),
        ("data=3", "data: must be a mapping of keys, got 3"),
        ("name=../escape", "name: string should match pattern"),
        ("recipe.learning_rate=null", "recipe.learning_rate: must be a mapping of keys with a rule (constant,"),
        ("grid", "--set grid: must look like key.subkey=value"),
        ("name.first=x", "'name' is not a mapping"),
        ("grid.budgets=[1e9", "--set grid.budgets=[1e9:1: not valid YAML"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(override: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config(SMOKE, [override])
    message = str(caught.value)
    assert says in message
    assert message.startswith((str(SMOKE), "--set"))
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00binary", "is not text"),
        (b"name: [", ":1: not valid YAML"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"name: a\nname: b\n", "'name' stands twice"),
        (b"a: &x [*x]\n", "is missing"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value) or "unknown key" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_apply_in_order_and_make_what_is_missing() -> None:
    config = load_config(SMOKE, ["execution.threads=3", "seed=1", "seed=2", "grid.seeds=[1,2,3,4]"])
    assert config.execution.threads == 3
    assert config.seed == 2
    assert [config.grid.seeds_of(i) for i in range(4)] == [1, 2, 3, 4]
