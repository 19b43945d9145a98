"""Trainer's logs as they lie in output folders: which are runs, what they say, and what is wrong with them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from isoflop.fitting.counting import ModelShape, counts_of
from isoflop.fitting.errors import InputError
from isoflop.fitting.readers import load_runs
from isoflop.fitting.readers.sources import read_log

SHAPE = ModelShape(64, 2, 4, 2, 16, 160, 300, 128, False)
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 160,
    "vocab_size": 300,
    "max_position_embeddings": 128,
}
COUNTS = counts_of(SHAPE).of_run(1)
WITHOUT_EMBEDDINGS = 300 * 64 + int(str(COUNTS["n_params_non_embedding"]))
BATCH, STEP_TOKENS = 8, 1024


def state(step: int = 100, planned: int = 100, **words: Any) -> dict[str, Any]:
    """What Trainer saves at `step`, logging and evaluating every 10 steps."""
    entries: list[dict[str, Any]] = []
    for at in range(10, step + 1, 10):
        entries.append({"step": at, "epoch": at / 50, "loss": 5 - at / 100, "learning_rate": 1e-3, "grad_norm": 1.0})
        entries.append({"step": at, "epoch": at / 50, "eval_loss": 5.1 - at / 100, "eval_runtime": 0.1})
    return {
        "global_step": step,
        "max_steps": planned,
        "log_history": entries,
        "num_input_tokens_seen": 0,
        "total_flos": 6.0 * step * STEP_TOKENS * WITHOUT_EMBEDDINGS,
        "train_batch_size": BATCH,
    } | words


def save(folder: Path, data: Any, config: Any = CONFIG) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(data if isinstance(data, str) else json.dumps(data))
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


def test_counts_and_tokens_are_our_own(tmp_path: Path) -> None:
    save(tmp_path / "a" / "checkpoint-100", state())
    table = load_runs(tmp_path)
    row = table.fitted.iloc[0]
    assert (row["run"], row["tokens"], row["loss"], row["step"]) == ("a", 100 * STEP_TOKENS, pytest.approx(4.1), 100)
    for name in ("n_params", "n_params_non_embedding", "n_params_blocks_and_head"):
        assert row[name] == COUNTS[name]
    counts = counts_of(SHAPE).of_run(100 * STEP_TOKENS)["flops"]
    assert isinstance(counts, dict)
    assert {name: row[f"flops_{name}"] for name in counts} == pytest.approx(counts)
    assert any("tokens = total_flos / 6 N" in note for note in table.notes)
    assert any("context of 128" in note for note in table.notes)


def test_the_latest_checkpoint_is_the_run(tmp_path: Path) -> None:
    for step in (20, 100, 60):
        save(tmp_path / "a" / f"checkpoint-{step}", state(step))
    save(tmp_path / "a", state(60), config=None)
    assert load_runs(tmp_path).frame["step"].tolist() == [100]
    # The output folder's own state is of the same step, and was saved after it.
    ended = state()
    ended["log_history"].append({"step": 100, "train_loss": 4.5, "total_flos": 1.0, "train_runtime": 12.0})
    save(tmp_path / "a", ended, config=None)
    row = load_runs(tmp_path).fitted.iloc[0]
    assert row["summary.train_runtime"] == 12.0
    assert row["n_params"] == COUNTS["n_params"]  # by a checkpoint's config


def test_runs_below_a_folder_have_names_that_differ(tmp_path: Path) -> None:
    for run in ("1e17/d2", "1e17/d10", "1e18/d2"):
        save(tmp_path / run / "checkpoint-100", state())
    assert load_runs(tmp_path).frame["run"].tolist() == ["1e17/d2", "1e17/d10", "1e18/d2"]
    assert load_runs(tmp_path / "1e17").frame["run"].tolist() == ["d2", "d10"]
    assert load_runs(tmp_path / "1e17" / "d2").frame["run"].tolist() == ["d2"]
    assert load_runs(tmp_path / "1e17" / "d2" / "checkpoint-100" / "trainer_state.json").frame["run"].tolist() == ["d2"]


def test_states_too_deep_are_not_searched(tmp_path: Path) -> None:
    save(tmp_path / "a" / "b" / "c" / "checkpoint-100", state())
    with pytest.raises(InputError, match=r"holds no .* trainer_state\.json"):
        load_runs(tmp_path)
    assert len(load_runs(tmp_path / "a")) == 1


def test_logged_tokens_win_and_stand_at_every_point(tmp_path: Path) -> None:
    data = state(num_input_tokens_seen=90_000)
    for entry in data["log_history"]:
        entry["num_input_tokens_seen"] = 900 * entry["step"]
    save(tmp_path, data)
    log = read_log(tmp_path)
    assert log.frame["tokens"].tolist() == [90_000]
    assert log.history is not None
    points = log.history()
    assert points["step"].tolist() == list(range(10, 101, 10))
    assert points["num_input_tokens_seen"].tolist() == [900 * step for step in points["step"]]
    assert points["eval_loss"].tolist() == pytest.approx([5.1 - step / 100 for step in points["step"]])
    # Padding was not counted: the tokens of a step are no whole sequences, so the context is not known.
    assert "flops_exact" not in log.frame
    assert "flops_porian" in log.frame


def test_a_run_that_did_not_end_is_flagged(tmp_path: Path) -> None:
    stopped = {"EarlyStoppingCallback": {"args": {"early_stopping_patience": 3, "early_stopping_threshold": 0.0},
                                         "attributes": {"early_stopping_patience_counter": 3}}}  # fmt: skip
    save(tmp_path / "all" / "checkpoint-100", state())
    save(tmp_path / "early" / "checkpoint-30", state(30, stateful_callbacks=stopped))
    save(tmp_path / "part" / "checkpoint-30", state(30))
    table = load_runs(tmp_path)
    assert [(row["run"], row["reason"]) for row in table.excluded] == [("part", "unfinished: step 30 of 100")]
    assert any("1 of 3 runs: stopped early" in note for note in table.notes)


def test_an_evaluation_long_before_the_end_is_no_end_loss(tmp_path: Path) -> None:
    data = state()
    data["log_history"] = [entry for entry in data["log_history"] if entry["step"] <= 60 or "loss" in entry]
    save(tmp_path / "a", data)
    save(tmp_path / "b", state())
    reasons = [row["reason"] for row in load_runs(tmp_path).excluded]
    assert reasons == ["eval_loss is of step 60, the last is 100: evaluate at the end"]


def test_a_run_that_ended_as_nan_has_no_loss(tmp_path: Path) -> None:
    data = state()
    data["log_history"][-1]["eval_loss"] = math.nan
    save(tmp_path / "bad", data)
    save(tmp_path / "good", state())
    table = load_runs(tmp_path)
    assert [row["run"] for row in table.excluded] == ["bad"]
    assert math.isnan(table.frame["loss"].iloc[0])


def test_the_mean_training_loss_is_never_taken_for_the_loss(tmp_path: Path) -> None:
    data = state()
    data["log_history"] = [{"step": 100, "train_loss": 4.5, "total_flos": 1.0}]
    save(tmp_path, data)
    with pytest.raises(InputError, match="no column for loss"):
        load_runs(tmp_path)


def test_without_tokens_the_remedy_works(tmp_path: Path) -> None:
    save(tmp_path / "a", state(total_flos=0.0))
    assert any("--columns tokens='`summary.global_step` *" in note for note in read_log(tmp_path).notes)
    table = load_runs(tmp_path, columns={"tokens": "`summary.global_step` * 1024"})
    assert table.fitted["tokens"].tolist() == [100 * STEP_TOKENS]


def test_flops_of_another_model_give_no_tokens(tmp_path: Path) -> None:
    save(tmp_path, state(total_flos=6.0 * STEP_TOKENS * WITHOUT_EMBEDDINGS + 60))
    assert any("total_flos is no multiple" in note for note in read_log(tmp_path).notes)
    assert "tokens" not in read_log(tmp_path).frame


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "no config.json"),
        (CONFIG | {"model_type": "mamba"}, "model_type 'mamba' is none that can be counted (llama, "),
        ({"model_type": "llama"}, "config.json: hidden_size is missing: name the count with --columns n_params=COL"),
        (CONFIG | {"hidden_size": "64"}, "hidden_size: '64' is no count"),
        (CONFIG | {"architectures": ["LlamaForSequenceClassification"]}, "is no causal language model"),
    ],
)
def test_a_model_that_is_not_counted_is_said(tmp_path: Path, config: Any, said: str) -> None:
    save(tmp_path / "a", state(num_input_tokens_seen=102_400), config)
    save(tmp_path / "b", state(num_input_tokens_seen=102_400))
    log = read_log(tmp_path)
    assert any(note.startswith("1 of 2 runs: ") and said in note for note in log.notes)
    assert log.frame["n_params"].isna().tolist() == [True, False]


FOREIGN = {
    '{"global_step": 3': "not JSON",
    "[1, 2]": "list where an object is due",
    '{"log_history": []}': "not the state of a Hugging Face Trainer",
    '{"global_step": "3", "log_history": []}': "not the state of a Hugging Face Trainer",
    '{"global_step": 3, "log_history": [{"loss": 1}]}': "log_history[0] is no object with a step",
    '{"global_step": 3, "log_history": [7]}': "log_history[0] is no object with a step",
}


@pytest.mark.parametrize("text", FOREIGN)
def test_what_is_not_trainers_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    save(tmp_path / "checkpoint-3", text)
    with pytest.raises(InputError) as caught:
        load_runs(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/checkpoint-3/trainer_state.json: ")
    assert FOREIGN[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_torn_config_is_named(tmp_path: Path) -> None:
    save(tmp_path, state(), config='{"model_type": "lla')
    with pytest.raises(InputError, match=r"config\.json: not JSON"):
        load_runs(tmp_path)


def test_what_is_no_number_in_the_log_is_named(tmp_path: Path) -> None:
    data = state()
    data["log_history"][0]["eval_samples"] = ["a", "b"]
    save(tmp_path, data)
    assert "left out of log_history, no numbers: eval_samples" in read_log(tmp_path).notes
