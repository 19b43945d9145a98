"""A measured sweep beside published estimates: like beside like, one section for each way to count N."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..prediction.sources import FLOPS_OF_LAW, N_PARAMS_OF_COLUMN, chosen_flops
from ..published import PublishedEstimate, published_estimates

_N_PARAMS_ORDER = ("total", "non_embedding", "blocks_and_head", "flops_per_token", "active")
# What a newcomer should hold a sweep against first; `every=True` shows the rest.
_SELECTION = (
    "hoffmann_approach1",
    "hoffmann_approach2",
    "hoffmann_approach3_rounded",
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
# Kaplan's count of C moves the exponent of non-embedding N: show ours under it too.
_SHOWN_FLOPS = {"non_embedding": {"6nd_non_embedding"}}
_METHODS = {"isoflop": "isoFLOP", "parametric": "parametric", "envelope": "envelope", "kaplan": "Kaplan's law"}
_OF_A_LAW = ("parametric", "kaplan")  # their exponents hold at C = 6 N D with their own N
# a + b is 1 where C is 6 N D; a larger gap says that the count of C, or a line, is not what it seems.
_SUM_TOLERANCE = 0.02


@dataclass(frozen=True)
class Exponent:
    """An exponent as its source gives it; `interval` says what `low` and `high` are ("95 %", "1 SE", ...)."""

    value: float
    low: float | None = None
    high: float | None = None
    interval: str = ""

    @classmethod
    def from_report(cls, found: Mapping[str, Any] | None) -> Exponent | None:
        """From an estimate of fit.json, {"value", "low", "high", "level"}; None where it has no value."""
        if not found or found.get("value") is None:
            return None
        low, high = found.get("low"), found.get("high")
        if low is None or high is None:
            return cls(found["value"])
        return cls(found["value"], low, high, f"{100 * found.get('level', 0.95):g} %")


@dataclass(frozen=True)
class ComparisonRow:
    """One estimate; `n_params` and `flops` name the conventions it speaks.

    On a published row `difference` is its params exponent minus that of our row `beside` (its label and its
    count of C), and `words` says where it falls: "within our interval", "above our interval", "below our
    interval", or that we have none. On a row of ours, whose `params_exponent` is None where the fit failed,
    `words` says what a reader should know of the fit.
    """

    ours: bool
    name: str
    label: str
    n_params: str
    flops: str
    params_exponent: Exponent | None
    tokens_exponent: Exponent | None
    words: str
    difference: float | None = None
    beside: str | None = None
    source: str = ""


@dataclass(frozen=True)
class ComparisonSection:
    """Our rows, then the published ones, of one convention of N."""

    n_params: str
    rows: tuple[ComparisonRow, ...]


@dataclass(frozen=True)
class Comparison:
    """All sections, and in `remarks` what must not be concluded from them."""

    sections: tuple[ComparisonSection, ...]
    remarks: tuple[str, ...]

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """The rows of all sections, in order."""
        return tuple(row for section in self.sections for row in section.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and None."""
        return {"sections": [asdict(section) for section in self.sections], "remarks": list(self.remarks)}


def compare_with_published(report: Mapping[str, Any], every: bool = False) -> Comparison:
    """Set the exponents of a fit (the parsed fit.json) beside the published ones that count N alike.

    Published rows are placed by their convention of N; each row names its count of C. A published exponent is
    held against our isoFLOP row of the same count of C where one is shown, else of the chosen one (without
    isoFLOP, against the parametric row). `every` shows all published estimates of our conventions of N, and
    ours under every count of C that one of them shares.

    Raises:
        InputError: the report is of several groups, or holds no exponent.
    """
    ours = our_rows(report)
    if not any(row.params_exponent for row in ours):
        raise InputError("this fit holds no exponent; see its warnings")
    sections = tuple(
        _section(n_params, [row for row in ours if row.n_params == n_params], chosen_flops(report), every)
        for n_params in _ordered({row.n_params for row in ours})
    )
    return Comparison(sections, tuple(_remarks(sections)))


def our_rows(report: Mapping[str, Any]) -> tuple[ComparisonRow, ...]:
    """Our exponents in `report` (the parsed fit.json), the chosen conventions first, then every other pair.

    The exponents of a law in N and D hold at C = 6 N D with N as it counts it, so they appear once for each
    convention of N, under that count of C. Raises InputError for a report of several groups.
    """
    if "groups" in report:
        raise InputError("this fit holds several groups: take one entry of its `groups` at a time")
    rows: dict[tuple[str, str, str], ComparisonRow] = {}
    for entry in _entries(report):
        n_params = N_PARAMS_OF_COLUMN.get(str(entry["n_params"]), str(entry["n_params"]))
        for method in _METHODS:
            fit = entry.get(method) or ({"reason": entry["reason"]} if "reason" in entry else None)
            if fit:
                law_flops = FLOPS_OF_LAW.get(n_params, "6nd of its N")
                flops = law_flops if method in _OF_A_LAW else str(entry["flops"])
                if fit.get("common_flops") == "budget":
                    flops = "budget"
                rows.setdefault((n_params, flops, method), _our_row(n_params, flops, method, fit))
    return tuple(rows.values())


def _entries(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The chosen pair of conventions, shaped like those of `by_convention`, then these."""
    own: dict[str, Any] = {
        "n_params": report.get("conventions", {}).get("n_params", "n_params"),
        "flops": chosen_flops(report),
        **report.get("fits", {}),
    }
    for warning in report.get("warnings", ()):
        method = str(warning.get("code", "")).removeprefix("no_")
        if method in _METHODS and not own.get(method):
            own[method] = {"reason": warning.get("text", "no answer")}
    return [own, *report.get("by_convention", ())]


def _ordered(conventions: set[str]) -> list[str]:
    """The known conventions of N in their usual order, then columns that only this table knows."""
    known = [n_params for n_params in _N_PARAMS_ORDER if n_params in conventions]
    return known + sorted(conventions.difference(known))


def _section(n_params: str, ours: list[ComparisonRow], chosen: str, every: bool) -> ComparisonSection:
    published = [
        estimate
        for estimate in published_estimates()
        if estimate.n_params == n_params and (every or estimate.name in _SELECTION)
    ]
    also = {estimate.flops for estimate in published} if every else _SHOWN_FLOPS.get(n_params, set())
    isoflop = [row for row in ours if row.name == "isoflop"]
    shown = [row for row in isoflop if row.flops == chosen or row.flops in also] or isoflop[:1]
    shown += [row for row in ours if row.name != "isoflop"]
    measured = [row for row in shown if row.params_exponent]
    theirs = [_published_row(estimate, _counterpart(estimate.flops, chosen, measured)) for estimate in published]
    return ComparisonSection(n_params, (*shown, *theirs))


def _our_row(n_params: str, flops: str, method: str, fit: Mapping[str, Any]) -> ComparisonRow:
    params, tokens = (
        Exponent.from_report(fit.get("params_exponent")),
        Exponent.from_report(fit.get("tokens_exponent")),
    )
    return ComparisonRow(
        ours=True,
        name=method,
        label=f"ours, {_METHODS[method]}",
        n_params=n_params,
        flops=flops,
        params_exponent=params,
        tokens_exponent=tokens,
        words=_our_words(fit, params, tokens),
    )


def _our_words(fit: Mapping[str, Any], params: Exponent | None, tokens: Exponent | None) -> str:
    if params is None:
        return f"no fit: {fit.get('reason', 'no exponent')}"
    words = []
    if fit.get("status", "converged") != "converged":
        words.append(str(fit["status"]).replace("_", " "))
    if not params.interval:
        words.append("no interval")
    if not words and tokens and abs(params.value + tokens.value - 1) > _SUM_TOLERANCE:
        words.append(f"a + b = {params.value + tokens.value:.2f}")
    return ", ".join(words)


def _counterpart(flops: str, chosen: str, ours: Sequence[ComparisonRow]) -> ComparisonRow | None:
    """Our row to hold against: isoFLOP before parametric, then the same count of C, then the chosen one."""

    def rank(row: ComparisonRow) -> tuple[bool, bool, bool]:
        return row.name != "isoflop", row.flops != flops, row.flops != chosen

    return min(ours, key=rank, default=None)


def _published_row(estimate: PublishedEstimate, beside: ComparisonRow | None) -> ComparisonRow:
    params, tokens = published_exponents(estimate)
    difference, words = _where(params, beside)
    return ComparisonRow(
        ours=False,
        name=estimate.name,
        label=estimate.label,
        n_params=estimate.n_params,
        flops=estimate.flops,
        params_exponent=params,
        tokens_exponent=tokens,
        words=words,
        difference=difference,
        beside=None if beside is None else f"{beside.label}, C as {beside.flops}",
        source=estimate.source,
    )


def published_exponents(estimate: PublishedEstimate) -> tuple[Exponent | None, Exponent | None]:
    """Its a and b, with their intervals as its source gives them."""
    kind = estimate.interval
    return (
        _published_exponent(estimate.params_exponent, estimate.params_low, estimate.params_high, kind),
        _published_exponent(estimate.tokens_exponent, estimate.tokens_low, estimate.tokens_high, kind),
    )


def _published_exponent(value: float | None, low: float | None, high: float | None, interval: str) -> Exponent | None:
    if value is None:
        return None
    return Exponent(value, low, high, interval if low is not None else "")


def _where(params: Exponent | None, beside: ComparisonRow | None) -> tuple[float | None, str]:
    """The published point against our interval; its own interval has another level and takes no part."""
    if params is None:
        return None, "no exponent of N published"
    if beside is None or beside.params_exponent is None:
        return None, "no fit of ours"
    mine = beside.params_exponent
    difference = params.value - mine.value
    if mine.low is None or mine.high is None:
        return difference, "ours has no interval"
    if params.value < mine.low:
        return difference, "below our interval"
    return difference, "above our interval" if params.value > mine.high else "within our interval"


def _remarks(sections: Sequence[ComparisonSection]) -> Iterator[str]:
    conventions = {section.n_params for section in sections}
    if "non_embedding" in conventions:
        yield (
            "Kaplan's .73 is the exponent of N without embeddings: hold it against our non-embedding rows "
            "only, never against total N."
        )
    else:
        yield "Kaplan's .73 counts N without embeddings; this table has no such count to hold against it."
    yield (
        "Within, above and below place the published point against our isoFLOP interval; published intervals "
        "keep their own level (80 % is the 10th to 90th percentile, 1 SE one standard error)."
    )
    unknown = sorted(conventions.difference(_N_PARAMS_ORDER))
    if unknown:
        yield f"No published estimate counts N as {', '.join(unknown)}."
