"""`--json` of every command: standard output is that JSON alone, or a file has it whole."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from isoflop.scripts.cli import COMMANDS
from isoflop.scripts.output import JsonFile
from isoflop.training.config import load_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.launch.base import record_failure
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder

from ..training.helpers import tiny, write_config, write_text

ROWS = "n_params,tokens,loss,accuracy\n" + "".join(
    f"{n:g},{d:g},{1.7 + 400 / n**0.34 + 400 / d**0.28},{0.9 - n**-0.1}\n"
    for n in (1e7, 2e7, 4e7, 8e7)
    for d in (1e8, 3e8, 9e8)
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A table of runs, a config, and its sweep, in which one cell has failed."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "runs.csv").write_text(ROWS)
    changes = {"execution__executor": "inline", "grid__budgets": [4e7, 8e7], "execution__keep_weights": True}
    config = write_config(folder / "tiny.yaml", tiny(write_text(folder / "text"), **changes))
    loaded = load_config(config)
    plan = make_plan(loaded, prepare_corpus(loaded.data).info)
    sweep = SweepFolder(folder / "sweep")
    sweep.write_plan(plan)
    record_failure(sweep, plan.cells[1], plan.config, "no reason")
    cells = {"cell": plan.cells[0].run_id, "failed": plan.cells[1].run_id}
    return {"table": f"{folder}/runs.csv", "config": str(config), "sweep": f"{folder}/sweep", **cells}


ASKED: list[tuple[str, Callable[[Any], bool]]] = [
    ("run {sweep} {cell} {failed}", lambda got: [cell["status"] for cell in got["cells"]] == ["finished"] * 2),
    ("plan {config} --sims 0 --out {sweep}", lambda got: len(got["cells"]) == 6 and "costs" in got),
    ("sweep {config} --dry-run --out {sweep}", lambda got: len(got["cells"]) == 6 and "costs" in got),
    ("status {sweep}", lambda got: got["states"]["finished"] == 2),
    ("cancel {sweep}", lambda got: got["ended"] == got["at_work"] == {}),
    ("export {sweep} {cell}", lambda got: "config.json" in got["files"] and got["n_params"] > 0),
    ("sync_wandb {sweep} --dry-run", lambda got: len(got["left"]) == len(got["runs"]) == 2),
    ("fit {table} --resamples 0 --method parametric", lambda got: got["fits"]["parametric"]["alpha"] > 0),
    ("fit {table} --form power --x n_params --y accuracy --where tokens==1e8", lambda got: got["schema_version"] == 1),
    ("compare {table}", lambda got: "tenfold" in got),
    ("forecast published:besiroglu --flops 1e24", lambda got: got["n_params"]["value"] > 5e10),
    ("downstream {table} --score accuracy --resamples 0", lambda got: len(got["tasks"]) == 1),
]


@pytest.fixture(autouse=True)
def _quiet_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoflop.scripts.cancel.SETTLED_SECONDS", 0.0)


@pytest.mark.parametrize(("words", "holds"), ASKED, ids=[words.split()[0] for words, _ in ASKED])
def test_standard_output_is_the_json_alone(
    command: Callable[..., Any], places: dict[str, str], words: str, holds: Callable[[Any], bool]
) -> None:
    done = command(*words.format(**places).split(), "--json", "-")
    assert done.status == 0, done.err
    assert holds(json.loads(done.out, parse_constant=pytest.fail)), done.out


def test_a_sweep_says_what_it_trained_what_failed_and_where_its_fit_is(
    command: Callable[..., Any], places: dict[str, str], tmp_path: Path
) -> None:
    file, sweep = tmp_path / "swept.json", SweepFolder(Path(places["sweep"]))
    waiting = {cell.run_id for cell in sweep.to_do(sweep.read_plan(), retry_failed=True)}
    done = command("sweep", places["config"], "--out", sweep.path, "--retry-failed", "--json", file)
    got = json.loads(file.read_text())
    assert done.status == 0, done.err
    assert "runs fitted" in done.out, "with a file the tables stay"
    assert (got["cells"], got["failed"], got["left"]) == (6, {}, [])
    assert set(got["trained"]) == waiting
    assert got["exponents"]["parametric"]["params_exponent"]["value"] > 0
    assert json.loads(Path(got["fit"]).read_text())["fits"].keys() >= got["exponents"].keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_option_by_one_declaration(name: str) -> None:
    main = import_module(f"isoflop.scripts.{name}").main
    assert typing.get_type_hints(main, include_extras=True)["json_file"] == JsonFile


@pytest.mark.parametrize("words", [("status", "{sweep}"), ("plan", "{config}"), ("export", "{sweep}", "{cell}")])
def test_a_file_that_cannot_be_is_told_before_the_work(
    command: Callable[..., Any], places: dict[str, str], words: tuple[str, ...]
) -> None:
    for target in ("/nowhere/x.json", "/dev/null", "/dev/stdout", places["sweep"]):
        done = command(*(word.format(**places) for word in words), "--json", target)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
        assert done.err.startswith(f"error: --json {target}: ")
