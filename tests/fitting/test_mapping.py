"""The mapping files that come with the toolkit, on logs with the keys of their projects; and bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isoflop.fitting.errors import InputError
from isoflop.fitting.readers import load_runs

LOGS = Path(__file__).resolve().parents[2] / "configs" / "logs"

NANOCHAT = (
    "flops_budget,depth,model_dim,params_wte,params_value_embeds,params_lm_head,params_transformer,params_scalars,"
    "params_total,num_iterations,tokens_trained,val_bpb,core_score,train_time_sec\n"
    "1e18,10,640,20971520,104857600,20971520,49152000,74,195952714,3500,1835008000,0.9213,0.1,900\n"
    "1e18,12,768,25165824,150994944,25165824,84934656,86,286261334,2300,1205862400,0.9105,0.12,905\n"
)
NANOCHAT_FIRST = (
    "flops_budget,depth,model_dim,num_params,num_scaling_params,num_iterations,tokens_trained,param_data_ratio,val_bpb,"
    "core_score,train_time_sec\n1e18,10,640,91095040,91095040,3500,1835008000,20.1,0.9213,0.1,900\n"
)


def test_nanochat_results(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(NANOCHAT)
    table = load_runs(tmp_path / "results.csv", mapping=LOGS / "nanochat.yaml")
    first = table.fitted.iloc[0]
    assert (first["n_params"], first["tokens"], first["loss"]) == (195_952_714, 1_835_008_000, 0.9213)
    assert first["n_params_blocks_and_head"] == 49_152_000 + 20_971_520
    assert first["n_params_non_embedding"] == 49_152_000 + 74
    assert (first["flops"], first["budget"]) == (1e18, 1e18)
    assert (first["loss_unit"], first["bits_per_byte"]) == ("bits_per_byte", 0.9213)


def test_nanochat_results_of_its_first_version(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(NANOCHAT_FIRST)
    table = load_runs(tmp_path / "results.csv", mapping=LOGS / "nanochat.yaml")
    assert table.fitted["n_params"].tolist() == [91_095_040]
    assert "n_params_blocks_and_head" not in table.frame


def test_nanochat_curve_saved_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text(
        "model_tag,depth,base.num_params,base.num_scaling_params,base.tokens_trained,base.val_bpb,base.target_flops\n"
        "flops1e18_d10,10,195952714,70123520,1835008000,0.9213,1e18\n"
    )
    row = load_runs(tmp_path / "curve.csv", mapping=LOGS / "nanochat.yaml").fitted.iloc[0]
    assert (row["run"], row["n_params"], row["n_params_blocks_and_head"]) == ("flops1e18_d10", 195_952_714, 70_123_520)
    assert (row["tokens"], row["loss"], row["budget"]) == (1_835_008_000, 0.9213, 1e18)


def test_levanter_tracker_metrics(tmp_path: Path) -> None:
    def run(tokens: float, params: float, loss: float) -> str:
        summary = {
            "throughput/total_tokens": tokens,
            "throughput/total_gflops": 1e9,
            "parameter_count": params,
            "eval/loss": loss,
            "eval/bpb": loss / 3,
            "train/loss": loss + 0.1,
            "global_step": 999,
        }
        return json.dumps({"config": {"trainer": {"seed": 1}}, "summary": summary})

    (tmp_path / "tracker_metrics.jsonl").write_text(f"{run(1e9, 4e8, 3.1)}\n{run(2.5e9, 2.7e8, 2.9)}\n")
    table = load_runs(tmp_path / "tracker_metrics.jsonl", mapping=LOGS / "levanter.yaml")
    rows = table.fitted
    assert rows["n_params"].tolist() == [4e8, 2.7e8]
    assert rows["tokens"].tolist() == [1e9, 2.5e9]
    assert rows["loss"].tolist() == [3.1, 2.9]
    np.testing.assert_allclose(rows["flops"], 1e18)
    assert rows["step"].tolist() == [1000, 1000]


def test_levanter_in_wandb(tmp_path: Path) -> None:
    from .wandb_logs import settle, start  # which skips the test where W&B is not installed

    with start(tmp_path, config={"trainer": {"num_train_steps": 3}}) as run:
        run.summary["parameter_count"] = 272_513_792
        for step in range(3):
            seen = {"throughput/total_tokens": 1e9 * (step + 1), "throughput/total_gflops": 2e9 * (step + 1)}
            run.log({"train/loss": 4.0 - step, "global_step": step, **seen}, step=step)
        run.log({"eval/loss": 2.5, "eval/bpb": 0.8}, step=2)
    settle(tmp_path, runs=1)
    row = load_runs(tmp_path / "wandb", mapping=LOGS / "levanter.yaml").fitted.iloc[0]
    assert (row["n_params"], row["tokens"], row["loss"], row["flops"]) == (272_513_792, 3e9, 2.5, 6e18)
    assert (row["bits_per_byte"], row["step"], row["planned_steps"]) == (0.8, 3, 3)


BAD = {
    "": "keys columns and values",
    "loss: val_bpb": "keys columns and values",
    "columns: [loss]": "must map our names to theirs",
    "columns: {lossy: val_bpb}": "'lossy' is none of ours",
    "columns: {loss: 3}": "columns.loss: 3 is no column name",
    "columns: {loss: []}": r"columns.loss: \[\] is no column name",
    "columns: {loss: x": "is not YAML",
    "values: {loss_unit: [bits]}": "values.loss_unit",
    "columns: {n_params: params_total, tokens: tokens_trained, loss: val_bits}": "names val_bits",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_mapping_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.csv").write_text(NANOCHAT.replace("val_bpb", "bpb_of_validation"))
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InputError, match=BAD[text]) as caught:
        load_runs(tmp_path / "results.csv", mapping=tmp_path / "map.yaml")
    assert "map.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mapping_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(NANOCHAT)
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        load_runs(tmp_path / "results.csv", mapping=tmp_path / "none.yaml")
