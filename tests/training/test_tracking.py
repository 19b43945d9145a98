"""The W&B mirror: runs as a careful user would have logged them, and no trouble of W&B's costs or holds up a run."""

from __future__ import annotations

import errno
import http.server
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wandb

from isoflop.fitting.analysis import Options, analyse
from isoflop.fitting.counting import FLOP_CONVENTIONS
from isoflop.fitting.readers import load_runs
from isoflop.fitting.readers.sources import read_log
from isoflop.fitting.readers.wandb_records import read_segment
from isoflop.fitting.runs import RunTable
from isoflop.scripts.fit import save
from isoflop.training import wandb_session
from isoflop.training.config import parse_config
from isoflop.training.corpus import prepare_corpus
from isoflop.training.device import make_accelerator
from isoflop.training.loop import train
from isoflop.training.plan import Plan
from isoflop.training.planning import make_plan
from isoflop.training.records import SweepFolder
from isoflop.training.state import Job
from isoflop.training.tracking import Mirror, mirror_rest
from isoflop.training.tracking_fit import fit_is_mirrored, log_fit

from .helpers import tiny


def planned(text: Path, **changes: Any) -> Plan:
    config = parse_config(tiny(text, **changes), "test")
    return make_plan(config, prepare_corpus(config.data).info)


def trained(plan: Plan, folder: Path, count: int = 1) -> list[dict[str, Any]]:
    corpus, accelerator = prepare_corpus(plan.config.data), make_accelerator(plan.config)
    sweep = SweepFolder(folder)
    sweep.write_plan(plan)
    return [train(Job(cell, plan.config, corpus, sweep, accelerator)) for cell in plan.cells[:count]]


def offline_runs(folder: Path) -> list[Path]:
    """Their logs, in the order they were begun, once they are written."""
    wandb_session.wait_for_logs()
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture(autouse=True)
def _a_new_process_without_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_DIR", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(wandb_session, "_given_up", [])
    wandb_session._warn.cache_clear()
    wandb.teardown()  # it reads its environment once


@pytest.fixture
def refusing_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server that refuses every key; yields the requests it got."""
    requests: list[str] = []

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(401)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _log_in(monkeypatch, server.server_address[1])
        yield requests
        server.shutdown()


def _log_in(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)


def test_a_cell_is_a_run_with_its_plan_curve_and_record(text_folder: Path, tmp_path: Path) -> None:
    plan = planned(text_folder, wandb__mode="offline")
    cell, [record] = plan.cells[0], trained(plan, tmp_path)
    [log] = offline_runs(tmp_path)
    assert log.name == f"run-tiny-{cell.run_id}.wandb"
    run = read_segment(log)
    assert (run.facts["group"], run.facts["job_type"], run.exit_code) == ("tiny", "train", 0)
    assert run.facts["tags"] == ["C=2e+08", f"N={record['n_params']:.3g}", "width=4", "seed=0"]
    config = {key: json.loads(text or "") for (key, *_), text in run.config.items()}
    assert config["flops"] == record["flops"]
    assert set(config["flops_per_token"]) == set(FLOP_CONVENTIONS)
    for key in (
        "run_id",
        "n_params_by_part",
        "n_params_non_embedding",
        "shape",
        "steps",
        "batch_tokens",
        "learning_rate",
    ):
        assert config[key] == record[key], key
    assert config["config"] == plan.config.model_dump(mode="json")
    summary = {key[0]: json.loads(text or "") for key, text in run.summary.items() if not key[0].startswith("_")}
    assert summary.pop("corpus")["fingerprint"] == plan.corpus.fingerprint
    assert {key: record[key] for key in summary} == summary
    assert {"loss", "status", "wall_seconds"} <= set(summary)
    assert not {"learning_rate", "train_loss"} & set(summary)  # the last step's rate is not the cell's
    points = read_log(tmp_path / "wandb").history
    assert points is not None
    assert {"step", "tokens", "flops", "train_loss", "learning_rate", "gradient_norm"} <= set(points().columns)


def test_the_fit_is_one_run_with_tables_figures_and_its_file(text_folder: Path, tmp_path: Path) -> None:
    plan = planned(text_folder, wandb__mode="offline")
    analysis = analyse(RunTable(_known_runs()), Options(resamples=20, holdout=False), ("known",))
    report, written = analysis.to_json(), save(analysis, tmp_path)
    for _ in range(2):
        log_fit(plan.config, tmp_path, report, analysis.table.frame, written[1:])
        assert fit_is_mirrored(plan.config, tmp_path)
    logs = offline_runs(tmp_path)
    assert [path.name for path in logs] == ["run-tiny-fit.wandb"] * 2
    exponent = report["fits"]["isoflop"]["params_exponent"]
    run = read_segment(logs[-1])
    assert (run.facts["job_type"], run.exit_code) == ("fit", 0)
    assert json.loads(run.summary[("isoflop.params_exponent.value",)] or "") == exponent["value"]
    assert b"scaling-fit" in logs[-1].read_bytes()
    images = [path.name for path in logs[-1].parent.glob("files/media/images/*.png")]
    assert {name.partition("_0_")[0] for name in images} == {path.stem for path in written if path.suffix == ".png"}
    files = logs[-1].parent.glob("files/media/table/*.json")
    tables = {path.name.partition("_")[0]: json.loads(path.read_text()) for path in files}
    assert (len(tables["runs"]["data"]), len(tables["minima"]["data"])) == (35, 5)
    rows = [dict(zip(tables["exponents"]["columns"], row, strict=True)) for row in tables["exponents"]["data"]]
    assert {"ours, isoFLOP", "ours, parametric"} <= {row["estimator"] for row in rows}
    assert {"total", "non_embedding"} <= {row["n_params"] for row in rows}
    [ours] = [row for row in rows if row["params_exponent.value"] == exponent["value"] and row["n_params"] == "total"]
    assert (ours["params_exponent.low"], ours["params_exponent.high"]) == (exponent["low"], exponent["high"])


def _known_runs() -> pd.DataFrame:
    """Five budgets of seven sizes around an optimum that is known, with noise."""
    noise = np.random.default_rng(0)
    rows = []
    for budget in np.geomspace(1e15, 1e17, 5):
        for ratio in np.geomspace(0.25, 4, 7):
            n_params = ratio * 0.3 * budget**0.5
            tokens = budget / (6 * n_params)
            loss = 1.7 + 400 / n_params**0.34 + 400 / tokens**0.3 + noise.normal(0, 0.003)
            rows.append((n_params, 0.9 * n_params, tokens, loss, budget, budget))
    return pd.DataFrame(rows, columns=["n_params", "n_params_non_embedding", "tokens", "loss", "flops", "budget"])


def test_online_without_a_login_is_mirrored_offline_and_says_so(
    text_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        [record] = trained(planned(text_folder, wandb__mode="online"), tmp_path)
    assert record["status"] == "finished"
    assert "not logged in" in caplog.text
    assert len(offline_runs(tmp_path)) == 1


def test_a_server_that_cannot_be_reached_is_given_up_once(
    text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        _log_in(monkeypatch, taken.getsockname()[1])
        with caplog.at_level(logging.WARNING):
            plan = planned(text_folder, wandb__mode="online", wandb__timeout=0.5)
            records = trained(plan, tmp_path, count=3)
    assert [record["status"] for record in records] == ["finished"] * 3
    assert caplog.text.count("mirrored offline from here on") == 1
    assert len(list(tmp_path.glob("wandb/run-*"))) == 1  # the only try
    wandb_session.wait_for_logs()
    assert load_runs(tmp_path / "wandb").frame["loss"].tolist() == [record["loss"] for record in records]


def test_a_refused_key_is_tried_once_and_the_cells_go_on_offline(
    text_folder: Path, tmp_path: Path, refusing_server: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        records = trained(planned(text_folder, wandb__mode="online"), tmp_path, count=2)
    assert refusing_server.count("/graphql") == 1
    assert "401" in caplog.text
    assert "aaaa" not in caplog.text
    wandb_session.wait_for_logs()
    assert load_runs(tmp_path / "wandb").frame["loss"].tolist() == [record["loss"] for record in records]


def test_no_trouble_with_wandb_costs_a_run(
    text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "no-such-mode")
    [expected] = trained(planned(text_folder), tmp_path / "quiet")
    with caplog.at_level(logging.WARNING):
        [record] = trained(planned(text_folder, wandb__mode="offline"), tmp_path / "loud")
    assert record["loss"] == expected["loss"]
    assert "the records in the sweep folder are complete" in caplog.text


def test_a_log_that_cannot_be_written_prints_nothing(
    text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    plan = planned(text_folder, wandb__mode="offline")
    mirror = Mirror(plan.cells[0], plan.config, tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for handler in logging.getLogger("wandb").handlers:
        monkeypatch.setattr(handler, "flush", full)
    mirror.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["WANDB_SWEEP_ID", "WANDB_LAUNCH"])
def test_within_a_job_of_wandbs_each_cell_is_a_run_of_its_own(
    text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "given")
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    wandb_session._wandb.cache_clear()
    plan = planned(text_folder, wandb__mode="offline")
    trained(plan, tmp_path, count=2)
    names = {f"run-tiny-{cell.run_id}.wandb" for cell in plan.cells[:2]}
    assert {log.name for log in offline_runs(tmp_path)} == names
    assert read_segment(offline_runs(tmp_path)[0]).facts["project"] == "isoflop"


def test_disabled_leaves_no_trace(text_folder: Path, tmp_path: Path) -> None:
    plan = planned(text_folder, wandb__mode="disabled")
    trained(plan, tmp_path)
    assert mirror_rest(plan, SweepFolder(tmp_path)) == 0
    assert not (tmp_path / "wandb").exists()
