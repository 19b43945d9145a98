"""A finished run written out: what transformers loads is the model that was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from isoflop.fitting import InputError
from isoflop.training.corpus import MAIN
from isoflop.training.evaluate import evaluate
from isoflop.training.export import export_run

from .bench import Bench


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def bench(request: pytest.FixtureRequest, text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    model = {"family": request.param, "depth": 1, "heads": 2, "context": 16, "vocab_size": 320}
    bench = Bench(text_folder, tmp_path_factory.mktemp(request.param), model=model)
    (bench.sweep.path / "plan.json").write_text(json.dumps(bench.plan.to_json()))
    bench.train()
    return bench


def test_the_exported_model_has_the_loss_of_the_record(bench: Bench, tmp_path: Path) -> None:
    record = export_run(bench.sweep, bench.cell.run_id, tmp_path / "out")
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    job = bench.job()
    count = bench.config.data.validation_sequences
    held_out = bench.corpus.validation[MAIN]
    assert evaluate(loaded, held_out, count, 16, job.accelerator).loss == pytest.approx(record["loss"], rel=1e-6)
    assert loaded.dtype == torch.float32
    card = (tmp_path / "out" / "README.md").read_text()
    for said in (
        f"{record['n_params']:,}",
        f"{record['tokens']:,}",
        f"{record['loss']:.4f}",
        bench.corpus.info.fingerprint,
    ):
        assert said in card


def test_the_tokenizer_makes_the_corpus_tokens(bench: Bench, tmp_path: Path) -> None:
    export_run(bench.sweep, bench.cell.run_id, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokens = np.asarray(bench.corpus.validation[MAIN].tokens[:50])
    text = bytes(tokens.astype(np.uint8)).decode()
    assert tokenizer(text)["input_ids"] == tokens.tolist()
    assert tokenizer.decode(tokens.tolist()) == text
    assert tokenizer("é €")["input_ids"] == list("é €".encode())
    assert tokenizer.eos_token_id == 0


def test_a_tokenizer_that_frames_texts_is_written_without_its_frame(text_folder: Path, tmp_path: Path) -> None:
    """Documents are trained on as they are: a prompt ends with no end of document."""
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    frame = {"single": "<s> $A </s>", "special_tokens": [("<s>", 0), ("</s>", 1)]}
    tokenizer.post_processor = processors.TemplateProcessing(**frame)
    tokenizer.enable_truncation(5)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(tmp_path / "own")
    named = {"kind": "hf", "name": str(tmp_path / "own")}
    bench = Bench(text_folder, tmp_path / "sweep", data__tokenizer=named, grid__budgets=[2e7, 4e7])
    bench.sweep.write_plan(bench.plan)
    bench.train()
    export_run(bench.sweep, bench.cell.run_id, tmp_path / "out")
    written = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (written("a" * 8)["input_ids"], written.eos_token_id) == ([3] * 8, 1)


def test_what_cannot_be_exported_is_refused_in_one_line(bench: Bench, tmp_path: Path) -> None:
    run_id = bench.cell.run_id
    with pytest.raises(InputError, match="has no record of a run 'nothing'"):
        export_run(bench.sweep, "nothing", tmp_path / "out")
    weights = bench.sweep.weights(run_id)
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:100])
        with pytest.raises(InputError, match=r"weights.safetensors: is torn .*; train the run again$"):
            export_run(bench.sweep, run_id, tmp_path / "out")
        weights.unlink()
        with pytest.raises(InputError, match=r"weights.safetensors: is not there; .*execution.keep_weights true$"):
            export_run(bench.sweep, run_id, tmp_path / "out")
    finally:
        weights.write_bytes(kept)
