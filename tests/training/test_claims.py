"""Claims: one holder at a time, whoever dies, hangs or looks late."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isoflop.training import claims
from isoflop.training.claims import Claim, ClaimInfo, ClaimLost, Taker, read_claim

EVERY = 0.05


def pretend(folder: Path, **other: object) -> None:
    """Make the claim on `folder` one of another machine: its process cannot be looked up."""
    (path,) = folder.glob("claim.*")
    path.write_text(claims._text(ClaimInfo(**{"host": "other", "machine": "another boot", "pid": 1, **other})))  # type: ignore[arg-type]


def taken(folder: Path, taker: Taker | None = None) -> Claim:
    claim = (taker or Taker()).take(folder, EVERY)
    assert claim is not None
    return claim


def test_one_holds_until_it_lets_go(tmp_path: Path) -> None:
    first = taken(tmp_path)
    assert Taker().take(tmp_path, EVERY) is None
    first.beat()
    assert Taker().take(tmp_path, EVERY) is None
    first.release()
    info = read_claim(tmp_path)
    assert info is not None
    assert info.released
    taken(tmp_path).beat()
    assert [path.name for path in tmp_path.iterdir()] == ["claim.1"]


def test_the_claim_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    script = f"""
import time, pathlib
from isoflop.training.claims import Taker
Taker().take(pathlib.Path({str(tmp_path)!r}), 60.0)
print("taken", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    assert Taker().take(tmp_path) is None
    process.send_signal(signal.SIGSTOP)
    assert Taker().take(tmp_path) is None, "one that is held up is alive"
    process.kill()
    while (info := read_claim(tmp_path)) is not None and info.alive:  # until the kernel has killed it
        time.sleep(0.01)
    taken(tmp_path)
    process.communicate()


def test_a_claim_of_another_machine_is_taken_over_only_after_its_counter_stood_still(tmp_path: Path) -> None:
    taken(tmp_path)
    pretend(tmp_path, beat=5, every=EVERY)
    taker = Taker()
    looks, again = 0, 0.0
    while taker.take(tmp_path, EVERY) is None:
        looks += 1
        if looks == 3:
            pretend(tmp_path, beat=6, every=EVERY)  # a late sign of life: the count begins anew
            again = time.monotonic()
        time.sleep(EVERY)
    assert looks >= 3 + claims.STILL_LOOKS
    assert time.monotonic() - again >= claims.STILL_LOOKS * EVERY


def test_looks_in_quick_succession_count_once(tmp_path: Path) -> None:
    taken(tmp_path)
    pretend(tmp_path, beat=5, every=60.0)
    taker = Taker()
    assert all(taker.take(tmp_path, EVERY) is None for _ in range(100))


def test_an_owner_that_was_held_up_too_long_finds_out_before_it_writes(tmp_path: Path) -> None:
    owner = taken(tmp_path)
    kept = (tmp_path / "claim.0").read_text()
    pretend(tmp_path, beat=5, every=EVERY)
    taker = Taker()
    while (later := taker.take(tmp_path, EVERY)) is None:
        time.sleep(EVERY)
    with pytest.raises(ClaimLost):
        owner.beat()
    with pytest.raises(ClaimLost):
        owner.beat()
    owner.release()
    later.beat()
    # Even where its own file is back, as by a beat that was under way.
    (tmp_path / "claim.0").write_text(kept)
    owner.lost = False
    with pytest.raises(ClaimLost):
        owner.beat()
    assert [path.name for path in tmp_path.iterdir()] == ["claim.1"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1, "colour": "red"}'])
def test_a_torn_claim_is_waited_for_and_taken_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "claim.3").write_text(text)
    taker = Taker()
    assert all(taker.take(tmp_path, EVERY) is None for _ in range(20))
    while (claim := taker.take(tmp_path, EVERY)) is None:
        time.sleep(EVERY)
    assert claim.number == 4


def _race(folder: Path, wins: multiprocessing.Queue[int], all_done: multiprocessing.synchronize.Barrier) -> None:
    for child in sorted(folder.iterdir()):
        if Taker().take(child) is not None:
            wins.put(int(child.name))
    all_done.wait(30)  # the claims of a process that has ended are free


def test_of_many_that_take_at_once_each_claim_has_one_winner(tmp_path: Path) -> None:
    for i in range(200):
        (tmp_path / str(i)).mkdir()
    context = multiprocessing.get_context("fork")
    wins: multiprocessing.Queue[int] = context.Queue()
    all_done = context.Barrier(4)
    racers = [context.Process(target=_race, args=(tmp_path, wins, all_done)) for _ in range(4)]
    for racer in racers:
        racer.start()
    won = [wins.get(timeout=30) for _ in range(200)]
    for racer in racers:
        racer.join()
    assert sorted(won) == list(range(200))
    assert wins.empty()
