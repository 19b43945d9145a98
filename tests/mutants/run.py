"""Seed each fault into a copy of the project and say which tests notice.

    python tests/mutants/run.py --json docs/results/mutants/mutants.json [--only estimators/] [--again FILE]

The working tree is never changed: one copy is made in a temporary folder, without the reference data that some tests
read, and there one fault at a time stands in fitting/ while the tests that concern the file run up to the first
that fails. What survives is in the table too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from faults import ROOT, Fault, all_faults, faults_in, tests_of

LIMIT_S = 480  # of the tests of one fault, on a busy machine too; a fit that never ends is "too slow", not caught
ROOMS = ("fitting", "training", "scripts")


def snapshot(folder: Path) -> None:
    """The project's code and tests, laid out as installed: names/isoflop/ holds the rooms."""
    for name in (*ROOMS, "tests", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "names" / "isoflop").mkdir(parents=True)
    for room in ROOMS:
        (folder / "names" / "isoflop" / room).symlink_to(folder / room)


def noticed(folder: Path, tests: list[str]) -> tuple[str, str]:
    """ "caught", "survived" or "too slow", and the test that failed first, in a copy as it stands."""
    env = os.environ | {"PYTHONPATH": str(folder / "names"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    env.pop("ISOFLOP_SHARED", None)
    there = [str(path) for name in tests if (path := folder / "tests" / "fitting" / name).is_file()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *there]
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return "too slow", ""
    if done.returncode == 0:
        return "survived", ""
    first = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode > 2 or first is None:
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return "caught", first[1].removeprefix("tests/fitting/")


def check_copy(folder: Path) -> None:
    """The copy is what the tests import."""
    env = os.environ | {"PYTHONPATH": str(folder / "names")}
    where = [sys.executable, "-c", "import isoflop.fitting as f; print(f.__file__)"]
    imported = subprocess.run(where, cwd=folder, env=env, capture_output=True, text=True, check=True).stdout
    if not Path(imported.strip()).resolve().is_relative_to(folder.resolve()):
        raise SystemExit(f"the tests import {imported.strip()}, not the copy in {folder}")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "fitting")], check=True)


def check_tests(folder: Path, tests: list[str]) -> None:
    """Without a fault the tests pass."""
    outcome, test = noticed(folder, tests)
    if outcome != "survived":
        raise SystemExit(f"without any fault {' '.join(tests)}: {outcome} {test}")


def outcome_of(folder: Path, fault: Fault) -> dict[str, object]:
    path = folder / "fitting" / fault.file
    text = path.read_text(encoding="utf-8")
    # What is compiled stands beside; none is made anew, for a stale one would hide the fault.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(fault.seeded(text), encoding="utf-8")
    began = time.monotonic()
    try:
        outcome, test = noticed(folder, tests_of(fault.file))
    finally:
        path.write_text(text, encoding="utf-8")
    row: dict[str, object] = {
        "file": fault.file,
        "by": fault.by,
        "what": fault.what,
        "old": fault.old,
        "new": fault.new,
    }
    return row | {"outcome": outcome, "test": test, "seconds": round(time.monotonic() - began, 1)}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    counts = Counter(str(row["outcome"]) for row in rows)
    by_tests = Counter(str(row["test"]).partition("::")[0] for row in rows if row["outcome"] == "caught")
    summary = {
        "n_faults": len(rows),
        "outcomes": dict(counts),
        "share_caught": round(counts["caught"] / max(len(rows), 1), 4),
        "caught_first_by": dict(by_tests.most_common()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**summary, "faults": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def key_of(row: Mapping[str, object]) -> tuple[object, ...]:
    """What tells a fault from others."""
    return row["file"], row["old"], row["new"]


def caught_before(table: Path, faults: list[Fault]) -> list[dict[str, object]]:
    """The rows of an earlier table on faults that there still are and that were caught."""
    there = {key_of(vars(fault)) for fault in faults}
    rows = json.loads(table.read_text(encoding="utf-8"))["faults"]
    return [row for row in rows if row["outcome"] == "caught" and key_of(row) in there]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="the table, written as it grows")
    parser.add_argument("--only", default="", help="files of fitting/ that begin so")
    parser.add_argument("--again", type=Path, metavar="FILE", help="an earlier table: only what it has not as caught")
    parser.add_argument("--table", type=Path, metavar="FILE", help="other faults, as propose.py prints them")
    asked = parser.parse_args()
    every = all_faults() if asked.table is None else faults_in(asked.table, "machine")
    faults = [fault for fault in every if fault.file.startswith(asked.only)]
    rows = [] if asked.again is None else caught_before(asked.again, faults)
    done = {key_of(row) for row in rows}
    faults = [fault for fault in faults if key_of(vars(fault)) not in done]
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        snapshot(folder)
        check_copy(folder)
        fine: set[tuple[str, ...]] = set()
        for i, fault in enumerate(faults, 1):
            tests = tests_of(fault.file)
            if tuple(tests) not in fine:
                check_tests(folder, tests)
                fine.add(tuple(tests))
            row = outcome_of(folder, fault)
            rows.append(row)
            print(
                f"{i}/{len(faults)} {row['outcome']:9} {fault.file}: {fault.what or fault.new.strip()[:90]}"
                f"  [{row['test']}] {row['seconds']} s",
                flush=True,
            )
            write(asked.json, sorted(rows, key=lambda row: str(row["file"])))
    print(f"{sum(row['outcome'] == 'caught' for row in rows)} of {len(rows)} caught")


if __name__ == "__main__":
    main()
