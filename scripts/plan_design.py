"""`plan --design`: the grid that measures best for its compute, found by error propagation, judged by simulation."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from rich.table import Table

from isoflop.fitting.errors import InputError
from isoflop.fitting.laws import ChinchillaLaw
from isoflop.fitting.reporting.style import flops_text
from isoflop.fitting.reporting.tables import plain_table
from isoflop.scripts.amounts import amount
from isoflop.scripts.output import show
from isoflop.scripts.plan_precision import Assumptions, Simulation
from isoflop.training.designing import Judged, Search, best_design, counted_centre, grid_keys
from isoflop.training.plan import Plan
from isoflop.training.plan_warnings import plan_warnings

_WORTH = 1.05  # times as precise: less is within what simulations tell


@dataclass(frozen=True)
class DesignOptions:
    """The options of `plan` that go with --design, None where not given."""

    compute: str | None
    design_for: str | None
    least_budget: str | None
    most_runs: int | None
    prior_off: float | None
    write: Path | None

    def refuse(self) -> None:
        """Raises InputError where one is given without --design."""
        for field in fields(self):
            if getattr(self, field.name) is not None:
                raise InputError(f"--{field.name.replace('_', '-')} goes with --design; give both")

    def search(self, plan: Plan, assumed: Assumptions, asked: Simulation, possible: bool) -> Search:
        """What is sought for `plan`; `possible` says whether the prior holds at its sizes.

        Raises InputError for values out of bounds, and for a prior that cannot be simulated on.
        """
        if not possible:
            raise InputError(
                f"--prior: {assumed.prior.name} does not hold at these sizes; give the fit of a sweep like this one"
            )
        if self.design_for not in (None, "exponent", "size"):
            raise InputError(f"--design-for {self.design_for!r} is unknown: choose exponent or size")
        self._check_write()
        prior = design_law(assumed)
        return Search(
            prior=prior,
            centre=counted_centre(plan, prior, assumed.column),
            n_params=assumed.column,
            noise=assumed.noise,
            total=amount("--compute", self.compute) if self.compute else plan.own_flops,
            least_budget=(
                amount("--least-budget", self.least_budget) if self.least_budget else min(plan.config.grid.budgets)
            ),
            most_runs=200 if self.most_runs is None else self.most_runs,
            off=1.5 if self.prior_off is None else self.prior_off,
            method=asked.methods[0],
            at_flops=asked.at_flops,
            of_size=self.design_for == "size",
            sims=asked.sims or Search.sims,
        )

    def _check_write(self) -> None:
        if self.write is None:
            return
        if not self.write.parent.is_dir():
            raise InputError(f"--write {self.write}: no file in a folder that exists; make {self.write.parent} first")
        if self.write.exists():
            raise InputError(f"--write {self.write}: is there already; name another file")


def refuse_beside_design(methods: str | None, **ignored: object) -> None:
    """Raises InputError for options of `plan` that a design does not know."""
    for name, value in ignored.items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} does not go with --design: plan what it wrote")
    if methods is not None and "," in methods:
        raise InputError(f"--methods {methods}: a design is for one; name isoflop or parametric")


def design_law(assumed: Assumptions) -> ChinchillaLaw:
    """The prior as a design needs it. Raises InputError for a law of another form."""
    law = assumed.prior.scaling.surface
    if not isinstance(law, ChinchillaLaw):
        raise InputError(f"--prior {assumed.prior.name}: a design needs L = E + A/N^alpha + B/D^beta; name another")
    return law


def design_report(best: Judged, own: Judged, judged: Sequence[Judged], search: Search) -> tuple[Table, str]:
    """The table of the grids simulated, and in words what the best gains over the config's own."""
    table = plain_table(f"Grids of about {flops_text(search.total)} FLOPs, by {search.method}")
    for header in ("grid", "budgets", "a factor", "sizes", "within", "seeds", "runs", "error of a", "of N*"):
        table.add_column(header, justify="left" if header in ("grid", "budgets") else "right", no_wrap=True)
    for name, found in (("this config's", own), *((f"design {i + 1}", each) for i, each in enumerate(judged))):
        table.add_row(name, *_cells(found))
    seeking = f"ln N* at {flops_text(search.at_flops)}" if search.of_size else "a"
    words = (
        "Root mean square errors, bias included, over simulated sweeps in which N* is as the prior says, "
        f"{search.off:g} times larger and {search.off:g} times smaller. Design 1, simulated anew, has an error of "
        f"{seeking} of {_error_text(best, search)}, this config's grid ({flops_text(own.plan.own_flops)} FLOPs) "
        f"{_error_text(own, search)}: "
    )
    return table, words + verdict(best, own, search)


def gains(best: Judged, own: Judged, search: Search) -> bool:
    """Whether the design is worth a change."""
    return best.error(search) * _WORTH < own.error(search)


def verdict(best: Judged, own: Judged, search: Search) -> str:
    """What the design gains, in words."""
    if not np.isfinite(best.error(search)):
        return "neither measures anything; raise --compute, or give a prior and a noise that suit these sizes."
    if not gains(best, own, search):
        return "no gain worth a change; keep the grid."
    if not np.isfinite(own.error(search)):
        return "only the design measures it."
    return f"{own.error(search) / best.error(search):.2f} times as precise."


def _cells(found: Judged) -> list[str]:
    design, budgets = found.design, found.plan.config.grid.budgets
    shape = ["", "", "", ""]
    if design is not None:
        shape = [f"{design.factor:.3g}", str(design.count), f"{design.within:g}", str(design.seeds)]
    return [
        f"{len(budgets)}: {flops_text(min(budgets))}..{flops_text(max(budgets))}",
        *shape,
        str(len(found.plan.cells)),
        f"{found.params_exponent:.3g}",
        f"{np.expm1(found.log_n_params):.0%}" if np.isfinite(found.log_n_params) else "-",
    ]


def _error_text(found: Judged, search: Search) -> str:
    error = found.error(search)
    return "none (it often has no answer)" if not np.isfinite(error) else f"{error:.3g}"


def design_yaml(best: Judged, words: Sequence[str], search: Search, config: Path, beside: Path) -> str:
    """A config that trains the design, as a file in the folder `beside`."""
    assert best.design is not None
    sizes = grid_keys(best.design, search)["sizes"]
    centre = ", ".join(f"{key}: {value}" for key, value in sizes["prior"].items())
    budgets = ", ".join(flops_text(budget) for budget in best.plan.config.grid.budgets)
    return f"""# {len(best.plan.cells)} runs, {flops_text(best.plan.own_flops)} FLOPs, for the least error of \
{"N*" if search.of_size else "a"} by {search.method}: {_error_text(best, search)} expected.
# {" ".join(words)}
extends: {json.dumps(os.path.relpath(config, beside))}
name: {best.plan.config.name}-design
grid:
  widths: null
  budgets: [{budgets}]
  sizes: {{count: {sizes["count"]}, within: {sizes["within"]:g}, prior: {{{centre}}}}}
  seeds: {best.design.seeds}
  more: []
"""


def run_design(
    plan: Plan, assumed: Assumptions, search: Search, config: Path, overrides: Sequence[str] | None, write: Path | None
) -> None:
    """Search, print the grids compared, and print the YAML, to `write` too, where it gains anything."""
    best, own, judged = best_design(plan, search)
    table, words = design_report(best, own, judged, search)
    show(*assumed.words, table, words)
    if not gains(best, own, search):
        show(*([f"{write} is not written."] if write else []))
        return
    text = design_yaml(best, assumed.words, search, config, Path() if write is None else write.parent)
    doubts = plan_warnings(best.plan, assumed.loss_of, assumed.prior.name)
    show("\n" + text, *(f"warning [{doubt.code}] of the design: {doubt.text}" for doubt in doubts))
    kept = [
        text for text in overrides or () if not text.startswith(("grid.", "name=")) or text.startswith("grid.flops")
    ]
    if kept:
        show(
            f"It extends {config}; give your overrides again: {' '.join(f'--set {shlex.quote(text)}' for text in kept)}"
        )
    if write is not None:
        write.write_text(text)
        show(f"wrote {write}")
