"""refined.json: the rounds of refinement that a sweep folder has had, written before their cells are trained."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import Field, ValidationError

from ...fitting.errors import FitError, InputError
from ...fitting.jsonio import write_json_atomic
from ...fitting.reporting.style import flops_text
from ...fitting.results import Minimum
from ...fitting.schema import SCHEMA_VERSION
from ..claims import ClaimLost
from ..config import More, SweepConfig
from ..config.errors import first_problem
from ..config.parts import Part
from ..plan import Plan, RunPlan
from ..planning import make_plan
from ..records import SweepFolder
from .rule import Proposal, propose

CLAIM = "refinement"  # of who looks for a round
_WAIT_SECONDS = 0.2  # for who does


class Round(Part):
    """What one round added, why, and what that cost."""

    cells: int
    flops: float  # training FLOPs of the cells, in the grid's convention
    share: float  # of the FLOPs of the sweep before it
    reasons: list[str]
    more: list[More]
    over: list[More] = Field(default_factory=list)  # grid.more when it was planned, as what comes first tunes a trunk


class _File(Part):
    schema_version: int
    rounds: list[Round]


def with_refinement(plan: Plan, folder: Path) -> tuple[Plan, list[str]]:
    """`plan` with the cells that refinement has added to the sweep in `folder`, and what to say of it.

    Entries for a budget that the plan's config no longer has are left out; what the config's own `grid.more` has got
    since a round comes after that round's, so that on trunks too the cells there stay as they are.

    Raises InputError for a refined.json that is torn or of another version, or whose cells the config cannot have.
    """
    path = folder / "refined.json"
    rounds = _read(path)
    entries = [entry for each in rounds for entry in each.more]
    known, words = plan.config.grid.budgets, []
    gone = sorted({entry.budget for entry in entries if entry.budget not in known})
    if gone:
        shown = ", ".join(f"{budget:g}" for budget in gone)
        words.append(f"without what {path} adds to budgets that the config no longer has: {shown}")
    new = [entry for entry in entries if entry.budget in known and entry not in plan.config.grid.more]
    if not new:
        return plan, words
    try:
        merged = _with_more(plan, _in_order(plan.config.grid.more, rounds, known))
    except InputError as error:
        raise InputError(
            f"{path}: adds cells to this config that it cannot have: {error}; or delete the file"
        ) from None
    if added := len(merged.cells) - len(plan.cells):
        words.append(f"with {_cells(added)} of earlier refinement ({path})")
    return merged, words


def next_round(
    plan: Plan, sweep: SweepFolder, total: int, admit: Callable[[RunPlan], None] = lambda _: None
) -> tuple[Plan | None, list[str]]:
    """The plan of the next of `total` rounds, recorded in the folder, and what to say; None where there is none.

    The runs of `plan` are those that the round goes by. `admit` raises InputError for a cell that no device holds. One
    process at a time looks for a round: another waits for it, and follows what it has recorded. Raises
    KeyboardInterrupt where the sweep is cancelled meanwhile.
    """
    while True:
        with sweep.claim(CLAIM) as mine, contextlib.suppress(ClaimLost):
            if mine:
                return _next_round(plan, sweep, total, admit)
        sweep.stop.check()
        time.sleep(_WAIT_SECONDS)


def _next_round(
    plan: Plan, sweep: SweepFolder, total: int, admit: Callable[[RunPlan], None]
) -> tuple[Plan | None, list[str]]:
    merged, words = with_refinement(plan, sweep.path)
    if len(merged.cells) > len(plan.cells):
        return merged, words
    if left := len(sweep.to_do(plan)):  # another launch tries them again
        return plan, [f"{_cells(left)} of the sweep without a record: to be trained before it is refined"]
    done = _read(sweep.path / "refined.json")
    try:
        proposal = propose(plan, *_shown(plan, sweep.path), admit)
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
    grown, this = _planned(plan, proposal)
    rounds = [each.model_dump(mode="json", exclude_none=True) for each in (*done, this)]
    sweep.check_claim(CLAIM)
    write_json_atomic(sweep.path / "refined.json", {"schema_version": SCHEMA_VERSION, "rounds": rounds})
    cost = f"{number}: {_cells(this.cells)}, {flops_text(this.flops)} FLOPs (+{this.share:.0%}); {state}"
    return grown, [cost, *reasons, *proposal.refused]


def _planned(plan: Plan, proposal: Proposal) -> tuple[Plan, Round]:
    """`plan` with the cells proposed, and what refined.json keeps of them."""
    more = [More(budget=add.budget, widths=list(add.widths), seeds=add.seeds) for add in proposal.additions]
    over = plan.config.grid.more
    grown = _with_more(plan, [*over, *more])
    known = {cell.run_id for cell in plan.cells}
    added = [cell for cell in grown.cells if cell.run_id not in known]
    flops = sum(cell.own_flops for cell in added)
    reasons = [add.said for add in proposal.additions]
    share = flops / plan.own_flops
    return grown, Round(cells=len(added), flops=flops, share=share, reasons=reasons, more=more, over=over)


def _in_order(own: list[More], rounds: list[Round], budgets: list[float]) -> list[More]:
    """The config's own entries and those of the rounds, as they came to the sweep."""
    placed: list[More] = []
    for each in rounds:
        placed += [entry for entry in each.over if entry in own and entry not in placed]
        placed += [entry for entry in each.more if entry.budget in budgets and entry not in placed]
    return [*placed, *(entry for entry in own if entry not in placed)]


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _with_more(plan: Plan, more: list[More]) -> Plan:
    """`plan` with these entries of `grid.more` in place of its own."""
    grid = plan.config.grid.model_copy(update={"more": more})
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
        if isinstance(data, dict) and data.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
            raise InputError(f"{path}: schema_version {data['schema_version']!r}, this version reads {SCHEMA_VERSION}")
        return _File.model_validate(data).rounds
    except FileNotFoundError:
        return []
    except ValidationError as error:
        problem = first_problem(error, _File)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        problem = str(error).splitlines()[0]
    raise InputError(f"{path}: holds no rounds of refinement ({problem}); delete it to go on without")
