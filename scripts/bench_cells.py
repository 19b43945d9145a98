"""What `bench.py train` times: a ladder of cells by a config's rules, and the ways to train each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isoflop.scripts.cli import naming
from isoflop.fitting.counting import flops_per_token
from isoflop.fitting.errors import InputError
from isoflop.fitting.units import count_of
from isoflop.scripts.bench_workers import Round, Timing, Worker
from isoflop.training.config import Execution, SweepConfig, load_config
from isoflop.training.corpus import CorpusInfo, prepare_corpus
from isoflop.training.launch.devices import visible_gpus
from isoflop.training.plan import Plan, RunPlan
from isoflop.training.planning import make_cell
from isoflop.training.records import SweepFolder
from isoflop.training.shapes import nearest_shape

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SIZES = {"cpu": "4k,10k,30k,114k,500k,2M", "cuda": "1M,10M,100M,400M"}
TOKENS_PER_PARAM = 20  # the run (Hoffmann 2022) whose batch and rate a cell has, of which a few steps are timed
LEAST_STEPS = 5
LOG_EVERY = 10  # steps; runs of fewer than five times as many log each step
OURS = "ours"
PLAIN = 1  # the place of the plain loop among the contenders, and of its process


@dataclass(frozen=True)
class Settings:
    """How much is measured: rounds of each contender, seconds of a round, or its steps."""

    repeats: int
    seconds: float
    steps: int | None = None


@dataclass
class Bench:
    """The cells to be timed, and what was found of the machine."""

    config: SweepConfig
    cells: tuple[RunPlan, ...]
    folder: Path
    settings: Settings
    device: str  # cpu or cuda
    machine: dict[str, Any] = field(default_factory=dict)
    peak: float = 0.0  # FLOP/s of a matmul: the best of several measurements over the run, which noise only lowers

    def round(self, cell: RunPlan, way: str, steps: int, *, members: int = 1, **execution: Any) -> Round:
        """Of at least `steps`, a whole number of times LOG_EVERY of them where they are many."""
        every = LOG_EVERY if steps >= 5 * LOG_EVERY else 1
        steps = -(-steps // every) * every
        warmup = max(1, steps // 10 // every) * every
        return Round(cell.run_id, way, steps, warmup, every, members, execution)

    def steps_for(self, cell: RunPlan, worker: Worker, way: str = "plain") -> int:
        """As many as `worker` takes in the seconds asked for; this warms the machine up as well."""
        if self.settings.steps is not None:
            return max(LEAST_STEPS, self.settings.steps)
        wanted = LEAST_STEPS
        for steps in (LEAST_STEPS, 10 * LEAST_STEPS):  # few fast steps measure nothing
            if wanted < steps:
                break
            timing = worker.measure(self.round(cell, way, steps))
            if isinstance(timing, Timing):
                wanted = max(LEAST_STEPS, round(self.settings.seconds * timing.rate / cell.batch_tokens))
        return wanted

    def note(self, worker: Worker) -> None:
        """Take the machine's description from `worker`, and a measurement of the peak."""
        self.machine = self.machine or worker.ask("machine")
        self.peak = max(self.peak, worker.ask("peak"))


@contextmanager
def prepared(source: Path | None, overrides: Sequence[str], sizes: str | None, settings: Settings) -> Iterator[Bench]:
    """The cells of `sizes` (N, with commas between) by the rules of the config, and a folder while it lasts.

    Raises:
        InputError: the config; a size that is no count or that the ladder has twice.
    """
    source = source or default_config(overrides)
    with naming(source):
        whole = load_config(source, overrides)
    device = "cuda" if visible_gpus(whole.execution) else "cpu"
    counts = counts_in(sizes or SIZES[device])
    with naming(source):
        if whole.model.factory is not None:
            raise InputError("model.factory: Trainer needs a model of transformers; choose a config that has one")
        config, corpus = _only_timed(whole), prepare_corpus(whole.data).info
        cells = ladder(config, corpus, counts)
    with TemporaryDirectory() as folder:
        SweepFolder(Path(folder)).write_plan(Plan(config, corpus, cells))
        yield Bench(config, cells, Path(folder), settings, device)


def default_config(overrides: Sequence[str]) -> Path:
    """The demo, and on a machine with a GPU, unless an override says cpu, the ladder for one."""
    demo, gpu = CONFIGS / "demo.yaml", CONFIGS / "bench_gpu.yaml"
    return gpu if visible_gpus(load_config(demo, overrides).execution) else demo


def _only_timed(config: SweepConfig) -> SweepConfig:
    """Without what is not timed: a mirror, a long evaluation, weights; a few steps need no epochs."""
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"validation_sequences": 16, "max_epochs": 1e9}),
            "evaluation": config.evaluation.model_copy(update={"points_per_decade": 0}),
            "execution": config.execution.model_copy(update={"keep_weights": False}),
            "wandb": config.wandb.model_copy(update={"mode": "disabled"}),
        }
    )


def counts_in(sizes: str) -> list[float]:
    """The numbers of parameters in a text as 30k,2M."""
    counts = [count_of(text) for text in sizes.split(",")]
    for text, count in zip(sizes.split(","), counts, strict=True):
        if count is None or count < 1:
            raise InputError(f"--sizes: {text!r} is no number of parameters; write them as in 30k,2M")
    return [count for count in counts if count is not None]


def ladder(config: SweepConfig, corpus: CorpusInfo, sizes: Sequence[float]) -> tuple[RunPlan, ...]:
    """A cell a size, as a run of 20 tokens a parameter would have it, in no trunk."""
    cells: dict[int, RunPlan] = {}
    for n_params in sizes:
        shape = nearest_shape(n_params, config.model, corpus.vocab_size)
        if shape.width in cells:
            raise InputError(f"--sizes: {n_params:,.0f} comes to width {shape.width}, as another does; leave one out")
        budget = TOKENS_PER_PARAM * n_params * flops_per_token(shape, config.grid.flops)
        cell = make_cell(config, corpus, budget, shape, config.seed)
        cells[shape.width] = replace(cell, trunk=None, trunk_steps=0)
    return tuple(cells.values())


@dataclass(frozen=True)
class Contender:
    """One way to train, with what its execution changes."""

    name: str
    way: str
    execution: dict[str, Any] = field(default_factory=dict)


def contenders(execution: Execution) -> list[Contender]:
    """Ours last: with torch.compile and without where the config has it on, else as the config says."""
    others = [Contender("Trainer", "trainer"), Contender("plain PyTorch", "plain")]
    if execution.compile != "on":
        return [*others, Contender(OURS, "ours")]
    return [
        *others,
        Contender("ours, not compiled", "ours", {"compile": "off"}),
        Contender(OURS, "ours", {"compile": "on"}),
    ]


def described(cell: RunPlan) -> dict[str, Any]:
    """What the reader of a row has to know of its cell."""
    return {
        "n_params": cell.counts.params.n_params,
        "width": cell.shape.width,
        "depth": cell.shape.depth,
        "context": cell.shape.context,
        "batch_tokens": cell.batch_tokens,
        "flops_per_token": cell.counts.flops_per_token["exact"],
    }
