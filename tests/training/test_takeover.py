"""A cell that another process has taken over: its former owner writes nothing more, and the sweep goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoflop.training import claims
from isoflop.training.claims import ClaimInfo, ClaimLost, read_claim
from isoflop.training.hooks import Hooks
from isoflop.training.launch import inline, run_inline
from isoflop.training.launch.conversation import Worker
from isoflop.training.launch.worker import TorchTrainer
from isoflop.training.loop import train
from isoflop.training.outcome import failed_record
from isoflop.training.records import SweepFolder
from isoflop.training.state import Run

from .bench import Bench, Ear, measured


def take_over(sweep: SweepFolder, run_id: str) -> None:
    """As another machine does whose looks found the owner's counter still."""
    folder = sweep.run_folder(run_id)
    number = claims._latest(folder)
    assert number is not None
    info = ClaimInfo(host="other", machine="another boot", pid=1, beat=0, every=0.05)
    assert claims._create(claims._path(folder, number + 1), info)


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("claim.")}


@pytest.fixture
def bench(text_folder: Path, tmp_path: Path) -> Bench:
    return Bench(text_folder, tmp_path, execution__heartbeat_seconds=0.05)


@pytest.fixture
def held_up(bench: Bench) -> Iterator[Run]:
    """A run at some step, whose claim was taken over and which another has finished since."""
    run_id = bench.cell.run_id
    with bench.sweep.claim(run_id):
        run = Run(bench.job(), bench.cell.batch_sequences)
        run.resume()
        for _ in range(3):
            run.train_step()
        run.fetch()
        run.log(run.members[0])
        take_over(bench.sweep, run_id)
        train(seen_elsewhere(bench).job(bench.cell))
        yield run


def seen_elsewhere(bench: Bench) -> Bench:
    """The same sweep as another process sees it."""
    other = object.__new__(Bench)
    other.__dict__.update(bench.__dict__)
    other.sweep = SweepFolder(bench.sweep.path)
    return other


@pytest.mark.parametrize(
    "write",
    [
        lambda run: run.save(),
        lambda run: run.write_curve(run.members[0]),
        lambda run: run.job.sweep.write_record(
            run.cell.run_id, failed_record(run.cell, run.job.config, "held up too long")
        ),
    ],
    ids=["checkpoint", "curve", "record"],
)
def test_what_the_new_owner_wrote_stays(bench: Bench, held_up: Run, write: Callable[[Run], None]) -> None:
    folder = bench.sweep.path / bench.cell.run_id
    before = everything(folder)
    with pytest.raises(ClaimLost):
        write(held_up)
    assert everything(folder) == before


def test_a_worker_leaves_the_cell_to_its_new_owner_and_is_there_for_others(bench: Bench) -> None:
    sweep, run_id = bench.sweep, bench.cell.run_id
    sweep.write_plan(bench.plan)

    class HeldUp(TorchTrainer):
        def train(self, cells: object, hooks: Hooks) -> None:
            take_over(self.sweep, run_id)
            # The new owner clears away what it finds half written, as of a dead one.
            raise FileNotFoundError("curve.1234.tmp")

    worker = Worker(SweepFolder(sweep.path), HeldUp, open("/dev/null", "w"))  # noqa: SIM115
    assert worker.train([run_id]) == ("busy", "")
    claim = read_claim(sweep.path / run_id)
    assert claim is not None
    assert claim.host == "other"


def test_inline_waits_for_the_new_owner_and_takes_the_cell_back_when_that_is_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "BUSY_SECONDS", 0.1)
    sweep = bench.sweep

    class Taken(Ear):
        taken = False

        def step(self, cell: object, step: int) -> None:
            if not self.taken:
                self.taken = True
                take_over(sweep, bench.cell.run_id)

    ear = Taken()
    outcome = run_inline(bench.plan, sweep, [(bench.cell,)], ear)
    assert ear.taken
    assert outcome.trained == [bench.cell.run_id]
    undisturbed = train(in_a_copy(bench).job(bench.cell))
    record = sweep.read_record(bench.cell.run_id)
    assert record is not None
    assert measured(record) == measured(undisturbed)


def in_a_copy(bench: Bench) -> Bench:
    """The same sweep in another folder."""
    other = seen_elsewhere(bench)
    other.sweep = SweepFolder(bench.sweep.path.with_name("copy"))
    return other


def test_a_failure_that_another_launch_found_is_not_found_again(bench: Bench) -> None:
    sweep, run_id = bench.sweep, bench.cell.run_id
    sweep.write_record(run_id, failed_record(bench.cell, bench.config, "of old"))
    sweep.remember([bench.cell])
    assert not sweep.is_settled(run_id), "it is to be tried again"
    SweepFolder(sweep.path).write_record(run_id, failed_record(bench.cell, bench.config, "once more"))
    assert sweep.is_settled(run_id)


def test_a_torn_curve_takes_its_checkpoint_with_it(bench: Bench) -> None:
    whole = train(in_a_copy(bench).job(bench.cell))
    bench.sweep.run_folder(bench.cell.run_id)
    run = Run(bench.job(), bench.cell.batch_sequences)
    run.resume()
    run.train_step()
    run.fetch()
    run.log(run.members[0])
    run.save()
    curve = bench.sweep.path / bench.cell.run_id / "curve.jsonl"
    curve.write_bytes(curve.read_bytes()[:-5])
    assert measured(train(bench.job())) == measured(whole)
    copy = bench.sweep.path.with_name("copy") / bench.cell.run_id / "curve.jsonl"
    assert curve.read_text() == copy.read_text()
    shutil.rmtree(copy.parents[1])


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"loss": 1'])
def test_a_record_that_is_none_is_no_end(bench: Bench, text: str) -> None:
    path = bench.sweep.run_folder(bench.cell.run_id) / "record.json"
    path.write_text(text)
    assert bench.sweep.read_record(bench.cell.run_id) is None
    assert bench.cell in bench.sweep.to_do(bench.plan)
