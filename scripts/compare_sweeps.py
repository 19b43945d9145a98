"""What `compare` does with several sweeps: two against each other, or rung by rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isoflop.fitting.analysis import Options
from isoflop.fitting.comparison import counting as counts
from isoflop.fitting.comparison import ladder
from isoflop.fitting.comparison.moves import COMBINED_NOTE
from isoflop.fitting.comparison.pairs import ExponentPair, PairComparison, Sweep, compare_pair, declared
from isoflop.fitting.comparison.rungs import Rung, rungs_of
from isoflop.fitting.errors import InputError
from isoflop.fitting.published import FLOPS_CONVENTIONS, N_PARAMS_CONVENTIONS
from isoflop.fitting.readers import load_runs
from isoflop.fitting.reporting.figures import save_figure
from isoflop.fitting.reporting.grids import Grid
from isoflop.fitting.reporting.pairs import counted_grid, exponents_grid, losses_grid
from isoflop.fitting.reporting.rungs import rungs_figure, rungs_grid
from isoflop.fitting.reporting.style import flops_text
from isoflop.scripts.fit import fit_group
from isoflop.scripts.fit_form import groups_of
from isoflop.scripts.output import show, write_json, write_text


@dataclass(frozen=True)
class _Found:
    """What several sweeps say: `pair` of exactly two, `counted` of the last."""

    rungs: tuple[Rung, ...]
    pair: PairComparison | None
    counted: tuple[ladder.CountedRow, ...]
    taken: tuple[str, ...]  # what tables do not say of their counts

    @property
    def headlines(self) -> list[str]:
        """What to say before the tables: what is extrapolated, then how a moved in all."""
        if self.pair is None:
            return [ladder.total_words(self.rungs)]
        rows = [row for row in self.pair.losses if row.source == "surface" and row.words]
        far = [f"extrapolated at {flops_text(row.flops)} FLOPs: {row.words}" for row in rows]
        return [*far, self.pair.headline or ladder.total_words(self.rungs)]

    @property
    def sentences(self) -> list[str]:
        """What to say after them: what compares with what, and rung by rung what was changed."""
        said = self.taken if self.pair is None else self.pair.remarks
        steps = ladder.published_steps(self.rungs[0].beside, self.rungs[-1].beside) if self.pair is not None else []
        moves = [rung.change for rung in self.rungs] + [pair.params_difference for pair in self.exponents]
        note = [COMBINED_NOTE] if any(move and move.method == "intervals" for move in moves) else []
        return [*said, *ladder.ladder_words(self.rungs), *steps, *note]

    @property
    def exponents(self) -> tuple[ExponentPair, ...]:
        """Of two sweeps, counted alike."""
        return () if self.pair is None else self.pair.exponents

    @property
    def grids(self) -> list[Grid]:
        """The tables."""
        grids = [rungs_grid(self.rungs)]
        if self.pair is not None:
            grids += [exponents_grid(self.pair)] if self.exponents else []
            grids += [losses_grid(self.pair)] if self.pair.losses else []
        return grids + ([counted_grid(self.rungs[-1].name, self.counted)] if len(self.counted) > 1 else [])

    def markdown(self) -> str:
        """The tables between the headlines and the sentences."""
        lines = "".join(f"- {line.strip()}\n" for line in self.sentences)
        return "\n".join([*(f"{line}\n" for line in self.headlines), *(each.markdown() for each in self.grids), lines])

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts, numbers and None."""
        total = ladder.total_move(self.rungs)
        return {
            "schema_version": 1,
            "sweeps": [rung.to_json() for rung in self.rungs],
            "total_move": total and total.to_json(),
            "pair": self.pair and self.pair.to_json(),
            "counted": {"sweep": self.rungs[-1].name, "rows": [asdict(row) for row in self.counted]},
            "sentences": [*self.headlines, *self.sentences],
        }


def compare_sweeps(
    sources: Sequence[str],
    reports: Sequence[Mapping[str, Any]],
    *,
    beside: str | None = None,
    counting: str | None = None,
    figure: Path | None = None,
    json_file: str | None = None,
    markdown: str | None = None,
    flops: Sequence[float] = (),
) -> None:
    """Print, draw and write what `sources`, two or more with their `reports` (parsed fit.json), say of each other.

    `beside` and `counting` are those options as they were typed; `flops` are budgets at which two sweeps' losses are
    read beside those they share. Raises InputError as `rungs_of`, `declared` and `compare_pair` do.
    """
    sweeps = [Sweep(name, report) for name, report in zip(names_of(sources), reports, strict=True)]
    for i, (n_params, count) in enumerate(counts_asked(counting, len(sweeps))):
        sweeps[i] = declared(sweeps[i], n_params, count)
    names = [sweep.name for sweep in sweeps]
    published = [name.strip() for name in beside.split(",")] if beside else ladder.usual_beside(names)
    found = _Found(
        rungs_of([(sweep.name, sweep.report) for sweep in sweeps], published),
        compare_pair(sweeps[0], sweeps[1], flops) if len(sweeps) == 2 else None,
        ladder.counted_rows(sweeps[-1].report),
        tuple(f"{each.name}: {counts.taken_for(each.report)}" for each in sweeps if counts.undeclared(each.report)),
    )
    if figure is not None:
        save_figure(figure, rungs_figure(found.rungs, found.counted))
    write_json(json_file, found.to_json())
    if write_text(markdown, found.markdown()):
        return
    show(*found.headlines, *(grid.rich() for grid in found.grids), *found.sentences)
    for sweep in sweeps:
        show(*(f"{sweep.name}: warning [{each['code']}]: {each['text']}" for each in sweep.report["warnings"]))


def split_by(source: str, column: str, chosen: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The values of `column` in one source, each a sweep's name, and the fit of each value's rows.

    `chosen` are `load_runs`' options. Raises InputError for a column that is not there or has one value only.
    """
    table = load_runs(source, apart=column, **chosen)
    parts = [(str(key), part) for key, part in groups_of(table.frame, column)]
    if len(parts) < 2:
        raise InputError(f"--group-by {column}: {source} has one value of it only, {parts[0][0]}; leave the option out")
    options = Options(keep_flagged=bool(chosen.get("keep_flagged")))
    return [key for key, _ in parts], [
        fit_group(part, table, options, (source,), f"{column} = {key}").to_json() for key, part in parts
    ]


def names_of(sources: Sequence[str]) -> list[str]:
    """A short name for each: a sweep's folder, a table's file; all as they were given where two would be alike."""
    names = [_short(Path(source)) if Path(source).exists() else source for source in sources]
    return names if len(set(names)) == len(names) else list(sources)


def _short(path: Path) -> str:
    folder = path if path.is_dir() else path.parent if path.name == "fit.json" else None
    return path.stem if folder is None else folder.resolve().name


def counts_asked(counting: str | None, n_sweeps: int) -> list[tuple[str, str]]:
    """`N:C,N:C` as pairs, one a sweep; none where nothing is given.

    Raises InputError for another number of them, and for a count that is not known.
    """
    if counting is None:
        return []
    pairs = [tuple(part.strip() for part in item.split(":")) for item in counting.split(",")]
    if len(pairs) != n_sweeps:
        sweeps = "1 sweep" if n_sweeps == 1 else f"{n_sweeps} sweeps"
        raise InputError(f"--counting {counting}: {len(pairs)} counts for {sweeps}; give N:C for each")
    for item in pairs:
        if len(item) != 2 or item[0] not in N_PARAMS_CONVENTIONS[:-1] or item[1] not in FLOPS_CONVENTIONS[:-1]:
            raise InputError(
                f"--counting {':'.join(item)}: must be N:C, as total:6nd, with N one of "
                f"{', '.join(N_PARAMS_CONVENTIONS[:-1])} and C one of {', '.join(FLOPS_CONVENTIONS[:-1])}"
            )
    return [(item[0], item[1]) for item in pairs]
