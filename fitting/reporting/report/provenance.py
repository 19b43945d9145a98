"""Where the numbers come from: sources, code, corpus, devices, what the runs took, and what makes all of it again."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ...fit_json import isoflop_version
from ...forecasting.costs import HOUR
from ..page.content import Commands, PageTable, Paragraph, Part
from ..style import amount_text, count_text, flops_text
from .secrets import starred
from .subject import Subject
from .sweep import SweepDetails

_FITTED_BY = ("numpy", "scipy", "pandas")
_SHORT = 12  # digits of a digest that are shown
_NOT_SAID = "not recorded"


def provenance_parts(subject: Subject) -> tuple[Part, ...]:
    """The table of facts, the sweep's whole config, and the commands."""
    rows = [*_of_fit(subject), *_of_files(subject.files), *(_of_sweep(subject) if subject.sweep else _of_runs(subject))]
    table = PageTable(("what", "is"), tuple(rows), shown=len(rows))
    parts: list[Part] = [table]
    if subject.commands:
        parts.append(Commands(subject.commands, title="What makes all of this again"))
    if subject.sweep is not None:
        parts.append(_config(subject.sweep))
    return tuple(parts)


def spent_words(subject: Subject) -> str:
    """Device-hours of training, with their price where one is given; "" where no run was timed."""
    sweep = subject.sweep
    if sweep is None or not sweep.device_seconds:
        return ""
    price = subject.spending.price_of(sweep.device_seconds)
    words = hours_text(sweep.device_seconds)
    return words if price is None else f"{words}, {_money(price)} dollars at {subject.spending.price_words}"


def hours_text(seconds: float) -> str:
    """Device-hours, or seconds where those are few."""
    return f"{seconds:.0f} device-seconds" if seconds < HOUR / 10 else f"{seconds / HOUR:,.3g} device-hours"


def _money(price: float) -> str:
    return f"{price:,.2f}" if price >= 1 else f"{price:.2g}"


def _of_fit(subject: Subject) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _FITTED_BY)
    report = subject.report
    conventions = report["conventions"]
    counted = f"N is {conventions['n_params']}, C is {conventions['flops']}"
    same = conventions.get("flops_equals")
    options = subject.analysis.options
    code = f"isoflop {isoflop_version() or '(not installed)'}{f', commit {subject.code}' if subject.code else ''}"
    return [
        ("fitted and written by", f"{code}, {versions}"),
        ("Python", platform.python_version()),
        ("date of this report", subject.date or _NOT_SAID),
        ("sources", ", ".join(report["source"]) or _NOT_SAID),
        ("rows", subject.where or "all"),
        ("conventions", f"{counted}{f', which equals {same}' if same and same != conventions['flops'] else ''}"),
        ("intervals", f"{100 * options.level:g} %, {options.resamples} resamples, seed {options.seed}"),
    ]


def _of_files(files: Sequence[Path]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        rows.append((f"file {path}", f"{path.stat().st_size:,} bytes, sha256 {digest[:_SHORT]}"))
    return rows


def _of_runs(subject: Subject) -> list[tuple[str, str]]:
    """What a table of runs says of their making, and how its columns were read."""
    frame = subject.analysis.table.frame
    rows = [("rows read", f"{len(frame):,}")]
    read = [note for note in subject.analysis.table.notes if "is read as" in note or "is assumed" in note]
    rows += [("columns", "; ".join(read))] if read else []
    for name, words in (("sweep", "sweep"), ("git_commit", "commit"), ("precision", "precision"), ("corpus", "corpus")):
        if name in frame and (said := Counter(map(str, pd.Series(frame[name]).dropna()))):
            rows.append((words, _shares(said)))
    return rows


def _of_sweep(subject: Subject) -> list[tuple[str, str]]:
    sweep = subject.sweep
    assert sweep is not None
    statuses = sweep.distinct("status")
    said = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    cells = f"{sweep.n_cells} planned: {said}"
    missing = sweep.n_cells - len(sweep.records)
    rows = [
        ("sweep", f"{sweep.name}, in {sweep.path}"),
        ("cells", f"{cells}, {missing} without a record" if missing else cells),
        ("training commit", _shares(sweep.distinct("git_commit"))),
        ("trained with", _versions(sweep)),
        ("corpus", _corpus(sweep)),
        ("devices", _shares(sweep.devices)),
        ("precision", _shares(sweep.distinct("precision"))),
        ("compute", f"{flops_text(sweep.flops())} FLOPs in all, {amount_text(sweep.tokens)} tokens"),
        ("time", _time(sweep)),
        ("spent", spent_words(subject) or _NOT_SAID),
    ]
    mirrored = len(sweep.addresses)
    if mirrored:
        rows.append(("W&B", f"{mirrored} runs are mirrored online; their names in the table lead there"))
    return rows


def _versions(sweep: SweepDetails) -> str:
    versions: Iterator[Mapping[str, Any]] = (record.get("versions") or {} for record in sweep.records)
    names = list(dict.fromkeys(name for each in versions for name in each))
    return "; ".join(f"{name} {_shares(sweep.distinct('versions', name))}" for name in names) or _NOT_SAID


def _corpus(sweep: SweepDetails) -> str:
    found = next((record["corpus"] for record in sweep.records if record.get("corpus")), None)
    if found is None:
        return _NOT_SAID
    prints = sweep.distinct("corpus", "fingerprint")
    parts: Mapping[str, Any] = found.get("validation") or {}
    held = parts.values()
    validation = sum(each.get("tokens", 0) for each in held)
    words = [
        f"fingerprint {_shares(prints)}",
        f"{_counted(found, 'n_documents')} documents",
        f"{_counted(found, 'train_tokens')} tokens to train on, {count_text(validation)} held out",
        f"tokenizer {found.get('tokenizer')} of {found.get('vocab_size')}",
    ]
    return ", ".join(words)


def _counted(values: dict[str, Any], name: str) -> str:
    return count_text(values[name]) if isinstance(values.get(name), (int, float)) else "?"


def _time(sweep: SweepDetails) -> str:
    elapsed = sweep.elapsed
    if elapsed is None:
        return _NOT_SAID
    first, last = elapsed
    seconds = (last - first).total_seconds()
    long = f"{seconds:.0f} s" if seconds < HOUR / 10 else f"{seconds / HOUR:,.3g} h"
    return f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M %Z}: {long}, pauses included"


def _shares(counted: Counter[str]) -> str:
    """One value alone, or each with how many runs say it."""
    if not counted:
        return _NOT_SAID
    if len(counted) == 1:
        return next(iter(counted))
    return ", ".join(f"{value} ({runs} runs)" for value, runs in counted.most_common())


def _config(sweep: SweepDetails) -> Part:
    """The plan's config as YAML that `sweep` takes, without what looks like a secret."""
    if not sweep.config:
        return Paragraph("The plan does not hold the config that it was made of.")
    text = yaml.safe_dump(starred(dict(sweep.config)), sort_keys=False, default_flow_style=None, width=100)
    return Commands(
        tuple(text.splitlines()), title=f"{sweep.name}.yaml, the whole config with every default", folded=True
    )
