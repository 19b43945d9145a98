"""A finished run -> a folder that transformers loads; of a factory's model, its weights and what builds it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..fitting.cache import cache_folder
from ..fitting.counting import ModelShape
from ..fitting.errors import InputError
from ..fitting.jsonio import write_json_atomic
from .config import ModelConfig, parse_config
from .corpus import MAIN, open_corpus
from .models.build import build_model
from .records import SweepFolder


def export_run(sweep: SweepFolder, run_id: str, out: Path) -> dict[str, Any]:
    """Write the trained model of `run_id` into the folder `out`; returns its record.

    config.json, model.safetensors (fp32), a tokenizer where the corpus has one, and a README. Of a factory's model:
    weights.safetensors under the module's own names, and model.json with the factory, its options and the shape.

    Raises:
        InputError: no such run, one that is not finished, no weights, or weights of another model.
    """
    record = _finished(sweep, run_id)
    weights = sweep.weights(run_id)
    if not weights.is_file():
        raise InputError(
            f"{weights}: is not there; delete {weights.parent / 'record.json'} and train the run again with "
            "execution.keep_weights true"
        )
    config = parse_config(record["config"], str(weights.parent / "record.json")).model
    shape = ModelShape(**record["shape"])
    out.mkdir(parents=True, exist_ok=True)
    if shape.family == "custom":
        shutil.copyfile(weights, out / "weights.safetensors")
        recipe = {"factory": config.factory, "factory_options": config.factory_options, "shape": record["shape"]}
        write_json_atomic(out / "model.json", recipe)
    else:
        _write_transformers(trained_model(shape, config, record["seed"], weights), record, out)
    (out / "README.md").write_text(_card(record, config), encoding="utf-8")
    return record


def trained_model(shape: ModelShape, config: ModelConfig, seed: int, weights: Path) -> nn.Module:
    """The model that a run trained. Raises InputError where the file holds other parameters than it has."""
    model = build_model(shape, config, seed=seed)
    try:
        stored = load_file(weights)
    except SafetensorError as error:
        raise InputError(f"{weights}: is torn ({error}); train the run again") from None
    parameters = dict(model.named_parameters())
    if {name: p.shape for name, p in parameters.items()} != {name: t.shape for name, t in stored.items()}:
        raise InputError(f"{weights}: holds other parameters than the model in the run's record")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[name])
    return model


def _finished(sweep: SweepFolder, run_id: str) -> dict[str, Any]:
    if not (sweep.path / "plan.json").is_file():
        raise InputError(f"{sweep.path}: is no sweep folder (it has no plan.json)")
    record = sweep.read_record(run_id)
    if record is None:
        raise InputError(
            f"{sweep.path}: has no record of a run {run_id!r}; train it by scripts/run.py, or see plan.json"
        )
    if record["status"] != "finished":
        raise InputError(f"{sweep.path}: run {run_id} is {record['status']}: {record['reason']}; it has no model")
    return record


def _write_transformers(model: nn.Module, record: dict[str, Any], out: Path) -> None:
    assert isinstance(model, PreTrainedModel)
    tokenizer = _tokenizer(record["corpus"])
    model.config.use_cache = True  # for generation
    if tokenizer is not None:
        model.config.eos_token_id = tokenizer.eos_token_id
        tokenizer.model_max_length = record["shape"]["context"]
        tokenizer.save_pretrained(out)
    model.save_pretrained(out)


def _tokenizer(corpus: dict[str, Any]) -> PreTrainedTokenizerFast | None:
    """The tokenizer of the corpus, whose separator ends texts; None where none is at hand."""
    if corpus["tokenizer"] == "bytes":
        return _byte_tokenizer()
    kept = cache_folder() / corpus["fingerprint"] / "tokenizer.json"
    if not kept.is_file():
        return None
    plain = json.loads(kept.read_text(encoding="utf-8"))
    # Documents were encoded whole, without the tokens that some tokenizers put around a text.
    plain |= {"post_processor": None, "truncation": None, "padding": None}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(plain)))
    separator = int(open_corpus(corpus["fingerprint"]).validation[MAIN].tokens[-1])
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(separator)
    return tokenizer


def _byte_tokenizer() -> PreTrainedTokenizerFast:
    """Token = UTF-8 byte, 0 the end of a document."""
    from tokenizers import decoders, models, pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocabulary = {character: byte for byte, character in bytes_to_unicode().items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=bytes_to_unicode()[0])


def _card(record: dict[str, Any], config: ModelConfig) -> str:
    """A model card: what was trained on how much, what came out, and how to load it."""
    shape = ", ".join(f"{name} {value}" for name, value in record["shape"].items())
    rows = {
        "N": f"{record['n_params']:,} parameters, {record['n_params_non_embedding']:,} without embeddings",
        "D": f"{record['tokens']:,} tokens, {record['epochs']:.3g} epochs",
        "C": f"{record['flops'][record['planned_flops']]:.4g} training FLOPs ({record['planned_flops']})",
        "loss": f"{record['loss']:.4f} nats per token, standard error {_or_unknown(record['loss_se'])}",
        "bits per byte": _or_unknown(record["bits_per_byte"]),
        "corpus": f"fingerprint {record['corpus']['fingerprint']}, tokenizer {record['corpus']['tokenizer']}",
        "shape": shape,
        "seed": str(record["seed"]),
        "learning rate": f"{record['learning_rate']:.4g} at its peak, ended {record['phase']}",
        "code": f"isoflop at commit {record['git_commit']}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    if config.factory is None:
        load = 'AutoModelForCausalLM.from_pretrained("THIS FOLDER")'
    else:
        options = f", **{config.factory_options!r}" if config.factory_options else ""
        load = (
            f"# {config.factory}; parameters alone are stored, buffers are as the factory makes them\n"
            f"model = build(ModelShape(**shape){options})  # shape: model.json\n"
            'model.load_state_dict(safetensors.torch.load_file("weights.safetensors"), strict=False)'
        )
    return (
        f"# {record['sweep']} {record['run_id']}\n\n"
        "A cell of a scaling-law sweep: trained to be measured, not to be used.\n\n"
        f"| | |\n|---|---|\n{table}\n\n```python\n{load}\n```\n"
    )


def _or_unknown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
