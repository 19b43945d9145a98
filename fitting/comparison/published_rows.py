"""A measured sweep beside published estimates: like beside like, one section for each way to count N."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..prediction.sources import chosen_flops, required_report
from ..published import TRAINING_CONVENTIONS, PublishedEstimate, published_estimates
from ..shown import Shown
from .conventions import Agreement, agreement
from .count_sizes import count_size, hides
from .counting import taken_for, undeclared
from .differences import difference_between
from .ours import METHODS, our_rows
from .rows import ComparisonRow, Exponent, published_exponents

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..analysis import Analysis

__all__ = [
    "Comparison",
    "ComparisonRow",
    "ComparisonSection",
    "Exponent",
    "compare_with_published",
    "our_rows",
    "published_exponents",
    "selected_estimates",
]

_N_PARAMS_ORDER = ("total", "non_embedding", "blocks_and_head", "flops_per_token", "active", "unverified")
# What a newcomer should hold a sweep against first; `every=True` shows the rest.
_SELECTION = (
    "hoffmann_approach1",
    "hoffmann_approach2",
    "hoffmann_approach3",
    "besiroglu",
    "llama3",
    "pearce_song_total",
    "kaplan",
    "porian_kaplan_setting",
    "pearce_song_non_embedding",
    "porian_tuned",
    "porian_head_counted",
    "nanochat",
    "nanochat_total",
    "nanochat_non_embedding",
    "deepseek",
)
_ASSUMED = "matched"


@dataclass(frozen=True)
class ComparisonSection:
    """Our rows, the published ones comparable with them, then the others, of one convention of N."""

    n_params: str
    rows: tuple[ComparisonRow, ...]


@dataclass(frozen=True, repr=False)
class Comparison(Shown, says="answers.comparison"):
    """All sections, and in `remarks` what must not be concluded from them; `training` is what ours is taken for."""

    sections: tuple[ComparisonSection, ...]
    remarks: tuple[str, ...]
    training: str = _ASSUMED
    training_assumed: bool = True

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """The rows of all sections, in order."""
        return tuple(row for section in self.sections for row in section.rows)

    def plot(self) -> Figure:
        """A row an estimate, with its interval, as a matplotlib figure."""
        from ..reporting.pictures.forest import forest_picture
        from ..reporting.pictures.paper import draw

        return draw(forest_picture(self))

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and None."""
        return {
            "training": {"ours": self.training, "assumed": self.training_assumed},
            "sections": [asdict(section) for section in self.sections],
            "remarks": list(self.remarks),
        }


def selected_estimates(every: bool = False) -> tuple[PublishedEstimate, ...]:
    """Those shown beside ours, in the file's order: the best known, or every one."""
    return tuple(estimate for estimate in published_estimates() if every or estimate.name in _SELECTION)


def compare_with_published(
    fit: Analysis | Mapping[str, Any] | str | Path, every: bool = False, training: str | None = None
) -> Comparison:
    """Set the exponents of a fit beside the published ones that count N alike.

    `fit` is an `Analysis`, or a fit.json, parsed or its path. A published exponent is held against our row of the same
    N and of the same or nearly the same C, isoFLOP before the other methods, and only where training held the same
    fixed; the others follow with the reason. `training` names what ours held fixed, by the names of published.csv
    (None: matched, and that this is assumed is said). `every` shows all published estimates, also of conventions of N
    that this table lacks.

    Raises:
        InputError: the report is of several groups, or holds no exponent; `training` is no known name.
    """
    if training is not None and training not in TRAINING_CONVENTIONS[:-1]:
        raise InputError(f"--training {training}: must be one of {', '.join(TRAINING_CONVENTIONS[:-1])}")
    report = fit if isinstance(fit, Mapping) else required_report(fit)
    ours = [replace(row, training=training or _ASSUMED) for row in our_rows(report)]
    if not any(row.params_exponent for row in ours):
        raise InputError("this fit holds no exponent; see its warnings")
    counted = {row.n_params for row in ours}
    shown = counted.union(estimate.n_params for estimate in published_estimates()) if every else counted
    sections = tuple(
        _section(n_params, [row for row in ours if row.n_params == n_params], report, every)
        for n_params in _ordered(shown)
    )
    remarks = tuple(_remarks(sections, counted, report, training is None))
    return Comparison(sections, remarks, training or _ASSUMED, training is None)


def _ordered(conventions: set[str]) -> list[str]:
    """The known conventions of N in their usual order, then columns that only this table knows."""
    known = [n_params for n_params in _N_PARAMS_ORDER if n_params in conventions]
    return known + sorted(conventions.difference(known))


def _section(n_params: str, ours: list[ComparisonRow], report: Mapping[str, Any], every: bool) -> ComparisonSection:
    chosen = chosen_flops(report)
    published = [estimate for estimate in selected_estimates(every) if estimate.n_params == n_params]
    measured = [row for row in ours if row.params_exponent]
    theirs = [_published_row(estimate, measured, report) for estimate in published]
    theirs.sort(key=lambda row: not row.comparable)
    also = {estimate.flops for estimate in published}
    isoflop = [row for row in ours if row.name == "isoflop"]
    shown = [row for row in isoflop if row.flops == chosen or row.flops in also] or isoflop[:1]
    shown += [row for row in ours if row.name != "isoflop"]
    return ComparisonSection(n_params, (*shown, *theirs))


def _published_row(
    estimate: PublishedEstimate, ours: Sequence[ComparisonRow], report: Mapping[str, Any]
) -> ComparisonRow:
    params, tokens = published_exponents(estimate)
    row = ComparisonRow(
        ours=False,
        name=estimate.name,
        label=estimate.label,
        n_params=estimate.n_params,
        flops=estimate.flops,
        params_exponent=params,
        tokens_exponent=tokens,
        words="",
        training=estimate.training,
        source=estimate.source,
        doubtful=estimate.doubtful,
    )
    if estimate.alpha is not None and estimate.alpha == estimate.beta:
        return replace(row, comparable=False, words="not comparable: a = .5 was imposed, not found", differs=("a",))
    beside, found = _counterpart(row, ours, chosen_flops(report))
    if beside is None or beside.params_exponent is None or params is None or not found.comparable:
        reason = "no exponent of N published" if params is None else found.reason
        return replace(row, comparable=False, words=f"not comparable: {reason}", differs=found.differs)
    difference = difference_between(params, beside.params_exponent)
    words, size = difference.verdict, ""
    if "C" in found.differs:
        moved = count_size(beside, row.flops, ours, report.get("ranges", {}).get("flops"))
        size = moved.words
        if hides(moved, difference):
            words = f"cannot be told: C is {row.flops}, ours {beside.flops}, and {size}"
            difference = replace(difference, verdict=words)
    return replace(
        row,
        words=words,
        difference=difference,
        beside=f"{beside.label}, C as {beside.flops}",
        differs=found.differs,
        remark=found.reason,
        count_size=size,
    )


def _counterpart(
    theirs: ComparisonRow, ours: Sequence[ComparisonRow], chosen: str
) -> tuple[ComparisonRow | None, Agreement]:
    """Our row to hold against, and how far it agrees: comparable first, then by method, then the nearer count of C."""
    if theirs.n_params == "unverified":
        return None, Agreement(False, ("N",), "which N is not verified")
    if not ours:
        return None, Agreement(False, ("N",), f"this table has no exponent of N counted as {theirs.n_params}")
    ours = [row for row in ours if row.comparable]
    if not ours:
        return None, Agreement(False, ("a",), "our a was imposed, not found")
    found = [(row, agreement(row.flops, row.training, theirs.flops, theirs.training)) for row in ours]

    def rank(pair: tuple[ComparisonRow, Agreement]) -> tuple[bool, int, bool, bool]:
        row, agreed = pair
        return not agreed.comparable, list(METHODS).index(row.name), row.flops != theirs.flops, row.flops != chosen

    return min(found, key=rank)


def _remarks(
    sections: Sequence[ComparisonSection], counted: set[str], report: Mapping[str, Any], assumed: bool
) -> Iterator[str]:
    if undeclared(report):
        yield f"{taken_for(report)}."
    if "non_embedding" in counted:
        yield (
            "Kaplan's .73 is the exponent of N without embeddings, in C_min: hold it against non-embedding rows "
            "only, never against total N."
        )
    else:
        yield "Kaplan's .73 counts N without embeddings; this table has no such count to hold against it."
    if assumed:
        yield (
            f"How these runs were trained is not written down: {_ASSUMED} is assumed (each schedule ends at its run's "
            "tokens, rate and batch set by size); --training says otherwise."
        )
    yield (
        "Standard errors (SE) are read off each interval by its level: 95 % is 1.96 of them to a side, 80 % 1.28. "
        "Where one side states none, the SE of a difference is the least it can be (>)."
    )
    rows = [row for section in sections for row in section.rows]
    slight = dict.fromkeys(part for row in rows if row.remark for part in row.remark.split("; "))
    if slight:
        yield "Nearly alike (~): " + "; ".join(slight) + "."
    sizes = {row.count_size: dict.fromkeys(r.n_params for r in rows if r.count_size == row.count_size) for row in rows}
    known = [f"{size} (N {', '.join(n_params)})" for size, n_params in sizes.items() if size]
    if known:
        yield f"How far such a count of C moves a: {'; '.join(known)}."
    yield from _range_remark(sections, report)
    unknown = sorted(counted.difference(_N_PARAMS_ORDER))
    if unknown:
        yield f"No published estimate counts N as {', '.join(unknown)}."


def _range_remark(sections: Sequence[ComparisonSection], report: Mapping[str, Any]) -> Iterator[str]:
    """Where no published budget of one N reaches down to ours, or up: exponents may change with C."""
    known = report.get("ranges", {}).get("flops")
    if not known:
        return
    apart: list[str] = []
    for section in sections:
        names = {row.name for row in section.rows if row.comparable and not row.ours}
        theirs = [(e.flops_min, e.flops_max) for e in published_estimates() if e.name in names]
        lows, highs = [low for low, _ in theirs if low], [high for _, high in theirs if high]
        if lows and highs and (known[1] < min(lows) or known[0] > max(highs)):
            apart.append(f"{min(lows):.2g} to {max(highs):.2g} (N {section.n_params})")
    if apart:
        yield (
            f"Ours is measured from {known[0]:.2g} to {known[1]:.2g} FLOPs, the comparable published ones from "
            f"{', '.join(apart)}: an exponent may change with C."
        )
