"""What each benchmark's JSON says, as figures of one kind: what, beside what, in which unit, and every value of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isoflop.fitting.reporting.style import count_text

FASTER = "times as fast"


@dataclass(frozen=True)
class Figure:
    """One row. `over` says what the values are: rounds, noises, ..."""

    what: str
    beside: str  # the alternative; "" where it stands alone
    unit: str
    values: tuple[float, ...]
    over: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells it from others."""
        return self.what, self.beside, self.unit

    def with_values(self, more: Sequence[float]) -> Figure:
        """With the values of another run of the command."""
        return replace(self, values=(*self.values, *more))


def of_fit(content: dict[str, Any]) -> list[Figure]:
    """One parametric fit and its resamples beside other solvers, and how their time grows."""
    found = []
    values = {fit["objective"]: fit["value"] for fit in content["fits"] if not fit["times_ours"]}
    for fit in content["fits"]:
        what = f"one fit of {content['n_runs']} runs, {fit['objective']}"
        if not fit["times_ours"]:
            found.append(Figure(f"{what}: ours", "", "s", (fit["seconds"],), "medians"))
        else:
            scaled = "" if fit["share"] == 1 else f", {fit['share']:.1%} of its starts, scaled"
            found.append(Figure(what, fit["name"] + scaled, FASTER, tuple(fit["times_ours"]), "turns"))
            above = 100 * (fit["value"] / values[fit["objective"]] - 1)
            found.append(Figure(f"{what}: its optimum above ours", fit["name"] + scaled, "%", (above,), "fits"))
    for objective, seconds in content["resampling"].items():
        ours = seconds["isoflop"]
        what = f"4000 resamples with intervals, {objective}"
        found.append(Figure(f"{what}: ours", "", "s", tuple(ours), "runs"))
        for name, (theirs,) in ((name, spent) for name, spent in seconds.items() if name != "isoflop"):
            values = tuple(theirs / own for own in ours)
            found.append(Figure(what, f"{name}, 3 of them, scaled", FASTER, values, "runs of ours"))
    for what, power in content["growth"]["slopes"].items():
        found.append(Figure(f"seconds grow as a power of {what}", "", "power", (power,), "slopes"))
    return found


def of_read(content: dict[str, Any]) -> list[Figure]:
    """Reading sweep folders and Parquet beside what a notebook does."""
    readings = content["readings"]
    least, most = (choose(reading["n_runs"] for reading in readings) for choose in (min, max))
    seconds = {(reading["what"].strip(), reading["n_runs"]): reading["seconds"] for reading in readings}
    found = [
        Figure(f"{what}, {least:,} runs", theirs, FASTER, (seconds[theirs, least] / seconds[what, least],), "readings")
        for what, theirs in (
            ("sweep folder, curves", "json.loads + pandas.read_json, curves"),
            ("sweep folder, ends", "json.loads + json_normalize, ends"),
            ("Parquet, all rows", "pandas.read_parquet, all rows"),
        )
    ]
    for reading in readings:
        if reading["n_runs"] == most:
            what = f"{reading['what']}, {most:,} runs of {content['points']:,} points"
            found.append(Figure(what, "", "s", (reading["seconds"],), "readings"))
    for what, power in content["growth"].items():
        if power is not None:
            found.append(Figure(f"{what}: seconds grow as a power of runs", "", "power", (power,), "slopes"))
    return found


def of_launch(content: dict[str, Any]) -> list[Figure]:
    """What launching costs a cell, and what planning and status cost."""
    launch, planning = content["launch"], content["planning"]
    cells = f"{launch['cells']:,} cells that train nothing"
    return [
        Figure(f"{cells}: a cell", "", "ms", (1000 * launch["seconds_a_cell"],), "runs"),
        Figure(f"{cells}: all but record and claim", "", "ms", (1000 * launch["overhead_seconds_a_cell"],), "runs"),
        Figure("status.py on them", "", "s", (launch["status_seconds"],), "runs"),
        Figure(f"planning {planning['cells']:,} cells", "", "s", (planning["total_seconds"],), "runs"),
    ]


def of_train(content: dict[str, Any]) -> list[Figure]:
    """Training beside Trainer and a plain loop, stacks and processes that share the device."""
    found = []
    for size in content["sizes"]:
        what = f"one cell of {count_text(size['n_params'])} parameters, tokens/s"
        rows = size["contenders"]
        ours = rows["ours"].get("rates", ())
        for name, row in rows.items():
            if name != "ours" and ours and "rates" in row:
                found.append(_rounds(what, name, ours, row["rates"]))
    for kind, count in (("stacked", "members"), ("shared", "processes")):
        for row in content[kind]:
            what = f"{row[count]} cells {kind}, {count_text(row['n_params'])} parameters, tokens/s"
            for name, ratio in row.get("ratios", {}).items():
                values = (ratio["low"], ratio["median"], ratio["high"])
                found.append(Figure(what, f"{name}, one at a time", FASTER, values, "ends and middle of the rounds"))
    return found


def _rounds(what: str, beside: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    return Figure(what, beside, FASTER, tuple(a / b for a, b in zip(ours, theirs, strict=True)), "rounds")


def of_sweep(content: dict[str, Any]) -> list[Figure]:
    """The whole demo beside its cells by Trainer."""
    scored = "Trainer, cells one after another, scored"
    return [
        Figure("the whole sweep, from start-up to fit", "", "s", (content["isoflop_seconds"],), "runs"),
        Figure("the whole sweep", scored, FASTER, tuple(content["ratios_scored"]), "timings of Trainer"),
    ]


def of_coverage(content: dict[str, Any]) -> list[Figure]:
    """How often 95 % intervals hold the truth."""
    return [
        Figure(f"95 % interval of a holds the truth, {method}", "95 %", "%", values, "noises")
        for method, values in _by((row["method"], 100 * row["covered"]) for row in content["rows"] if row["covered"])
    ]


def of_precision(content: dict[str, Any]) -> list[Figure]:
    """The standard error of a said before training over the one that sweeps have."""
    pairs = ((f"{row['method']}, prior {row['prior']}", row["ratio"]) for row in content["rows"] if row["ratio"])
    return [
        Figure(f"predicted standard error of a, {name}", "spread of simulated sweeps", "ratio", values, "settings")
        for name, values in _by(pairs)
    ]


def _by(pairs: Iterable[tuple[str, float]]) -> list[tuple[str, tuple[float, ...]]]:
    """The values of each name, in the order of the names."""
    groups: dict[str, list[float]] = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    return [(name, tuple(values)) for name, values in groups.items()]
