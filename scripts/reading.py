"""How runs are taken from their sources, by the options that `fit` and `report` share; kept in fit.json."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from isoflop.fitting.curves import CurveTable
from isoflop.fitting.interpolation import runs_at
from isoflop.fitting.readers import load_runs
from isoflop.fitting.readers.curves import load_curves
from isoflop.fitting.runs import RunTable


@dataclass(frozen=True)
class Reading:
    """Which columns are which, which rows are taken, and whether training curves are read: `curves`, `at_flops`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    mapping: str | None = None
    ends: bool = False
    where: str | None = None
    keep_flagged: bool = False
    curves: bool = False
    at_flops: tuple[float, ...] = ()

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> Reading:
        """The one that a parsed fit.json names; the default where it names none."""
        said = report.get("read_with") or {}
        known: dict[str, Any] = {each.name: said[each.name] for each in fields(cls) if each.name in said}
        known["at_flops"] = tuple(said.get("at_flops") or ())
        return cls(**known)

    def to_json(self) -> dict[str, Any]:
        """As `read_with` of fit.json."""
        return asdict(self)

    @property
    def asked(self) -> bool:
        """Whether anything is said of the reading."""
        return self != Reading()

    def and_also(self, asked: Reading) -> Reading:
        """This one, and what `asked` says beside it: its columns and mapping come first, both conditions hold."""
        both = [f"({each})" for each in (self.where, asked.where) if each]
        return replace(
            self,
            columns={**self.columns, **asked.columns},
            mapping=asked.mapping or self.mapping,
            ends=self.ends or asked.ends,
            where=" and ".join(both) if len(both) == 2 else self.where or asked.where,
            keep_flagged=self.keep_flagged or asked.keep_flagged,
        )

    def runs(self, sources: Sequence[str], apart: str | None = None) -> RunTable:
        """The runs of `sources`, or what their curves say at `at_flops`. Raises InputError as `load_runs` does."""
        if self.at_flops:
            table = runs_at(self._curves(sources), self.at_flops)
            return table if self.where is None else table.where(self.where)
        return load_runs(*sources, ends=self.ends, where=self.where, apart=apart, **self._named)

    def curve_table(self, sources: Sequence[str]) -> CurveTable | None:
        """The training curves that approach 1 was asked to fit; None where it was not."""
        if not self.curves:
            return None
        found = self._curves(sources)
        return found if self.where is None else found.where(self.where)

    @property
    def words(self) -> list[str]:
        """The same as options of a command line, quoted for a shell."""
        given = [("--columns", ",".join(f"{ours}={theirs}" for ours, theirs in self.columns.items()))]
        given += [("--mapping", self.mapping), ("--where", self.where)]
        given.append(("--at-flops", ",".join(f"{flops:.12g}" for flops in self.at_flops)))
        flags = (("--ends", self.ends), ("--keep-flagged", self.keep_flagged), ("--curves", self.curves))
        words = [f"{option} {shlex.quote(value)}" for option, value in given if value]
        return words + [option for option, on in flags if on]

    def _curves(self, sources: Sequence[str]) -> CurveTable:
        return load_curves(*sources, **self._named)

    @property
    def _named(self) -> dict[str, Any]:
        return {"columns": self.columns, "mapping": self.mapping, "keep_flagged": self.keep_flagged}
