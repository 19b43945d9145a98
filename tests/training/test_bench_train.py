"""`bench.py train`: its contenders train the same thing, and what it prints is what it measured."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from isoflop.fitting.errors import InputError
from isoflop.scripts.bench_cells import SIZES, Settings, counts_in, default_config, prepared
from isoflop.scripts.bench_loops import Bench, Stopwatch
from isoflop.scripts.bench_train import bench_train
from isoflop.scripts.bench_workers import Round, Timing, rate_together, times
from isoflop.training.config import load_config
from isoflop.training.corpus import open_corpus
from isoflop.training.records import SweepFolder
from isoflop.training.shapes import nearest_shape

from .helpers import tiny, write_config

LITTLE = Settings(repeats=1, seconds=1.0, steps=5)


def rounds(text: Path, folder: Path, ways: tuple[str, ...], **changes: Any) -> list[dict[str, Any]]:
    """Twelve steps of one cell by each way, in this process."""
    config = write_config(folder / "tiny.yaml", tiny(text, **changes))
    with prepared(config, [], "2k", LITTLE) as asked:
        plan = SweepFolder(asked.folder).read_plan()
        bench = Bench(plan, open_corpus(plan.corpus.fingerprint), asked.folder)
        return [bench.measure(Round(plan.cells[0].run_id, way, steps=12, warmup=2, every=1)) for way in ways]


@pytest.mark.parametrize("micro_batch", [None, 1])
def test_the_plain_loop_and_ours_come_to_the_same_loss(text_folder: Path, tmp_path: Path, micro_batch: Any) -> None:
    ours, plain = rounds(text_folder, tmp_path, ("ours", "plain"), execution__micro_batch=micro_batch)
    assert plain["loss"] == pytest.approx(ours["loss"], abs=1e-4)
    assert plain["tokens"] == ours["tokens"] > 0
    assert ours["loss"] < 5.4  # of 257 tokens: it has begun to learn


def test_in_bf16_they_agree_to_its_rounding(text_folder: Path, tmp_path: Path) -> None:
    AcceleratorState._reset_state(True)  # a process has one precision; a test has two
    ours, plain = rounds(text_folder, tmp_path, ("ours", "plain"), recipe__precision="bf16")
    AcceleratorState._reset_state(True)
    assert plain["loss"] == pytest.approx(ours["loss"], abs=1e-2)


def test_the_warm_up_is_not_timed() -> None:
    clock = Stopwatch(torch.device("cpu"), warmup=3, last=9)
    for step in range(1, 10):
        clock(step)
    assert clock.begun is not None
    assert (clock.begun[0], clock.ended[0]) == (3, 9)
    assert clock.ended[1] >= clock.begun[1]


def test_processes_side_by_side_are_timed_from_the_first_start_to_the_last_end() -> None:
    together = [Timing(100, 0.0, 1.0, 0.0, 0, 0), Timing(100, 0.5, 2.0, 0.0, 0, 0)]
    assert rate_together(together) == 100.0
    assert times([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == {"median": 3.0, "low": 2.0, "high": 4.0}


@pytest.mark.parametrize(("sizes", "words"), [("2k,many", "'many'"), ("2k,2.01k", "2,010"), ("-3", "'-3'")])
def test_sizes_that_are_none_are_refused_in_a_line(text_folder: Path, tmp_path: Path, sizes: str, words: str) -> None:
    config = write_config(tmp_path / "tiny.yaml", tiny(text_folder))
    with pytest.raises(InputError, match=f"--sizes: .*{words}"), prepared(config, [], sizes, LITTLE):
        pass


def test_a_gpu_has_a_ladder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: a card'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert default_config([]).name == "bench_gpu.yaml"
    assert default_config(["execution.device=cpu"]).name == "demo.yaml"
    config = load_config(default_config([]))
    shapes = [nearest_shape(n, config.model, 257) for n in counts_in(SIZES["cuda"])]
    assert [shape.depth for shape in shapes] == [3, 6, 13, 20]
    assert {shape.head_dim for shape in shapes} == {64}


@pytest.mark.slow
def test_what_is_printed_is_what_was_measured(
    text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "tiny.yaml", tiny(text_folder))
    figures = bench_train(config, [], "2k", LITTLE)
    printed = capsys.readouterr().out
    json.dumps(figures, allow_nan=False)
    (size,) = figures["sizes"]
    contenders = size["contenders"]
    assert set(contenders) == {"Trainer", "plain PyTorch", "ours"}
    assert contenders["plain PyTorch"]["loss"] == pytest.approx(contenders["ours"]["loss"], abs=1e-4)
    assert contenders["Trainer"]["loss"] == pytest.approx(contenders["ours"]["loss"], abs=0.3)
    for name, row in contenders.items():
        flops = row["tokens_per_second"] * size["flops_per_token"]
        assert flops == pytest.approx(row["mfu"] * figures["peak_flops"])
        assert 0 < row["mfu"] < 1.2
        assert 1e8 < row["start_bytes"] <= row["peak_bytes"] < 1e10
        if name != "ours":
            ratio = contenders["ours"]["tokens_per_second"] / row["tokens_per_second"]
            assert size["ratios"][name]["median"] == pytest.approx(ratio)
            assert re.search(rf"{name} .*{ratio:.2f} x", printed)
    for row in figures["stacked"] + figures["shared"]:
        assert f"{row['ratios']['ours']['median']:.2f} x" in printed
    assert figures["shared"]
