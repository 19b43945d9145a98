"""W&B runs on this disk: .wandb files, and folders of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .log import Log
from .tracked import TrackedRun, log_of
from .wandb_records import Segment, read_segment
from .wandb_segments import History, history_of, in_order, merged, summary_of

_SUFFIX = ".wandb"
_DEEPEST = 4  # folders below the one given, as in outputs/run/wandb/offline-run-1
_RUN_FOLDER = re.compile(r"(offline-)?run-\d{8}_\d{6}-")


def wandb_files(folder: Path) -> list[Path]:
    """Every .wandb file in or below `folder`, as W&B lays them, each once; empty for none.

    Raises InputError for a folder that cannot be read.
    """
    found: dict[Path, Path] = {}
    _search(folder, _DEEPEST, found)
    return sorted(found.values())


def read_offline(source: Path, logs: Sequence[Path]) -> Log:
    """The runs in `logs`, a row each; the logs of a run that was resumed are joined by step.

    A run whose (last) log does not say that it ended well is flagged, and so is a log that cannot be read. Raises
    InputError where none can, and where W&B is not installed.
    """
    segments = [read_segment(path) for path in logs]
    if not any(segment.records for segment in segments):
        first = segments[0]
        among = f"none of {len(segments)} .wandb files has a record; the first, {first.path}"
        place = source if first.path == source else f"{source}: {among}"
        raise InputError(f"{place}: {first.problem}")
    groups: dict[tuple[str, ...], list[Segment]] = {}
    for segment in segments:
        groups.setdefault(_identity(segment, segments), []).append(segment)
    ordered = [in_order(group) for group in groups.values()]
    histories = [history_of(group) for group in ordered]
    ids = _ids(list(groups))
    runs = [_run(*each) for each in zip(ids, ordered, histories, strict=True)]
    resumed = [(group[0].id, history) for group, history in zip(ordered, histories, strict=True) if len(group) > 1]
    count = "an offline log" if len(logs) == 1 else f"{len(logs)} offline logs"
    notes = [*_torn(segments), *_resumed(resumed, len(runs))]
    return log_of(str(source), f"W&B runs in {count}", runs, notes)


def _search(folder: Path, deeper: int, found: dict[Path, Path]) -> None:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror or error}") from error
    below = deeper and not _RUN_FOLDER.match(folder.name)
    for entry in entries:
        path = Path(entry.path)
        if path.suffix == _SUFFIX and entry.is_file():
            found.setdefault(path.resolve(), path)  # W&B links the latest run a second time
        elif below and entry.is_dir() and (entry.name == _SUFFIX or not entry.name.startswith(".")):
            _search(path, deeper - 1, found)


def _identity(segment: Segment, segments: Sequence[Segment]) -> tuple[str, ...]:
    """What segments of one run have in common; a log torn before it tells its project has that of its namesake."""
    known = segment if segment.facts else next((s for s in segments if s.id == segment.id and s.facts), segment)
    return (known.facts.get("entity", ""), known.facts.get("project", ""), segment.id)


def _ids(identities: Sequence[tuple[str, ...]]) -> list[str]:
    """The runs' ids, with entity and project where two projects have a run of one id."""
    times = Counter(identity[-1] for identity in identities)
    return [
        "/".join(part for part in identity if part) if times[identity[-1]] > 1 else identity[-1]
        for identity in identities
    ]


def _run(run_id: str, segments: Sequence[Segment], history: History) -> TrackedRun:
    last = segments[-1]
    facts = {key: value for segment in segments for key, value in segment.facts.items()}
    state, flag = _end(last)
    return TrackedRun(
        id=run_id,
        source=str(last.path),
        flag=flag,
        config=merged([segment.config for segment in segments]),
        summary=summary_of(segments),
        facts=facts | {"state": state},
        history=history.frame,
        ends=history.ends,
    )


def _end(segment: Segment) -> tuple[str, str]:
    """How the run ended, in W&B's words where it has one, and why that keeps it from being fitted."""
    if segment.exit_code == 0:
        return "finished", ""
    if segment.exit_code is not None:
        return "failed", f"failed: exit code {segment.exit_code}"
    return "unfinished", f"unfinished: {segment.problem or 'the log has no exit record (killed, or still running)'}"


def _torn(segments: Sequence[Segment]) -> list[str]:
    torn = [segment for segment in segments if segment.problem]
    if not torn:
        return []
    return [f"{len(torn)} of {len(segments)} logs are not whole (first: {torn[0].path}: {torn[0].problem})"]


def _resumed(resumed: Sequence[tuple[str, History]], runs: int) -> list[str]:
    if not resumed:
        return []
    notes = [f"{len(resumed)} of {runs} runs were resumed: their logs are joined by step, a later log wins"]
    shifted = [f"{run} {history.shifted}" for run, history in resumed if history.shifted]
    if shifted:
        notes.append(f"{len(shifted)} of them count steps from 0 again: moved (first: {shifted[0]})")
    replaced = [f"{run} {history.replaced}" for run, history in resumed if history.replaced]
    if replaced:
        notes.append(
            f"of {len(replaced)} of them the later log begins before the earlier one's end: it replaces what it logs "
            f"again (first: {replaced[0]}); a counter such as tokens that goes on would say where it belongs"
        )
    return notes
