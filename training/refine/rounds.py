"""refined.json: the rounds of refinement that a sweep folder has had, written before their cells are trained."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ...fitting.errors import FitError, InputError
from ...fitting.jsonio import write_json_atomic
from ...fitting.reporting.style import flops_text
from ...fitting.results import Minimum
from ...fitting.schema import SCHEMA_VERSION
from ..config import More, SweepConfig
from ..config.parts import Part
from ..plan import Plan
from ..planning import make_plan
from .rule import propose


class Round(Part):
    """What one round added, why, and what that cost."""

    cells: int
    flops: float  # training FLOPs of the cells, in the grid's convention
    share: float  # of the FLOPs of the sweep before it
    reasons: list[str]
    more: list[More]


def with_refinement(plan: Plan, folder: Path) -> tuple[Plan, list[str]]:
    """`plan` with the cells that refinement has added to the sweep in `folder`, and what to say of it.

    Entries for a budget that the plan's config no longer has are left out. Raises InputError for a refined.json that
    is torn or of another version, or whose cells the config cannot have.
    """
    path = folder / "refined.json"
    entries = [entry for each in _read(path) for entry in each.more]
    known, words = plan.config.grid.budgets, []
    gone = sorted({entry.budget for entry in entries if entry.budget not in known})
    if gone:
        shown = ", ".join(f"{budget:g}" for budget in gone)
        words.append(f"without what {path} adds to budgets that the config no longer has: {shown}")
    new = [entry for entry in entries if entry.budget in known and entry not in plan.config.grid.more]
    if not new:
        return plan, words
    try:
        merged = _with_more(plan, new)
    except InputError as error:
        raise InputError(
            f"{path}: adds cells to this config that it cannot have: {error}; or delete the file"
        ) from None
    if added := len(merged.cells) - len(plan.cells):
        words.append(f"with {_cells(added)} of earlier refinement ({path})")
    return merged, words


def next_round(plan: Plan, folder: Path, total: int) -> tuple[Plan | None, list[str]]:
    """The plan of the next of `total` rounds, recorded in `folder`, and what to say; None where there is none.

    The runs of `plan` are those that the round goes by. A round that another launcher has recorded meanwhile is
    followed.
    """
    merged, words = with_refinement(plan, folder)
    if len(merged.cells) > len(plan.cells):
        return merged, words
    path = folder / "refined.json"
    done = _read(path)
    try:
        proposal = propose(plan, *_shown(plan, folder))
    except (FitError, InputError) as error:
        return None, [f"refinement ends, as there is nothing to go by: {error}"]
    state = f"{proposal.bracketed} of {len(plan.config.grid.budgets)} minima bracketed"
    reasons = [add.said for add in proposal.additions]
    if len(done) >= total:
        ahead = ["another round would add", *reasons] if reasons else []
        return None, [f"refined {len(done)} times (--refine {total}): {state}", *ahead, *proposal.refused]
    number = f"refinement {len(done) + 1} of {total}"
    if not proposal.additions:
        return None, [f"{number}: nothing to add: {state}", *proposal.refused]
    more = [More(budget=add.budget, widths=list(add.widths), seeds=add.seeds) for add in proposal.additions]
    grown = _with_more(plan, more)
    known = {cell.run_id for cell in plan.cells}
    added = [cell for cell in grown.cells if cell.run_id not in known]
    flops = sum(cell.own_flops for cell in added)
    this = Round(cells=len(added), flops=flops, share=flops / plan.own_flops, reasons=reasons, more=more)
    rounds = [each.model_dump(mode="json", exclude_none=True) for each in (*done, this)]
    write_json_atomic(path, {"schema_version": SCHEMA_VERSION, "rounds": rounds})
    cost = f"{number}: {_cells(len(added))}, {flops_text(flops)} FLOPs (+{this.share:.0%}); {state}"
    return grown, [cost, *reasons, *proposal.refused]


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _with_more(plan: Plan, more: list[More]) -> Plan:
    """`plan` with further entries of `grid.more`."""
    grid = plan.config.grid.model_copy(update={"more": [*plan.config.grid.more, *more]})
    config: SweepConfig = plan.config.model_copy(update={"grid": grid})
    return make_plan(config, plan.corpus)


def _shown(plan: Plan, folder: Path) -> tuple[tuple[Minimum, ...], dict[str, float]]:
    """The minima that the sweep's own approach 2 finds in `folder`, and the losses of the runs it uses, by run id."""
    # pandas and scipy, only where a round is sought
    from ...fitting.estimators.isoflop import fit_isoflop
    from ...fitting.estimators.isoflop.edges import NoInteriorMinimum
    from ...fitting.readers import load_runs

    settings = plan.config.fit
    table = load_runs(str(folder)).with_conventions(settings.n_params, settings.flops)
    losses = dict(zip(table.fitted["run"], table.fitted["loss"], strict=True))
    try:
        minima = fit_isoflop(table, minimum=settings.minimum, window=settings.window, resamples=0).minima
    except NoInteriorMinimum as none:
        minima = none.minima
    return minima, losses


def _read(path: Path) -> list[Round]:
    try:
        data = json.loads(path.read_text())
        if data["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{path}: schema_version {data['schema_version']!r}, this version reads {SCHEMA_VERSION}")
        return [Round.model_validate(each) for each in data["rounds"]]
    except FileNotFoundError:
        return []
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        problem = str(error).splitlines()[0]
        raise InputError(f"{path}: holds no rounds of refinement ({problem}); delete it to go on without") from None
