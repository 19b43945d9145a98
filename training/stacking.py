"""Which cells are trained as one stack: the same shape, batch and length, whatever their seeds and rates.

A stack spreads over its members what a step costs besides arithmetic. Who stands together follows from the plan, the
device and the number of workers, so that a sweep resumed where it was begun makes the same stacks: rounding, and so a
loss's last digits, may depend on the company.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from .config import SweepConfig
from .memory import is_written_out
from .plan import Plan, RunPlan
from .records import SweepFolder
from .trunks import work_ahead

Order = tuple[RunPlan, ...]  # cells trained as one; mostly one alone

MOST = 8
# Numbers in a layer's activations, members x tokens of a batch x width, up to which another member pays: what a core's
# cache holds of the written-out step, and what hides the dispatching of the others.
ROOM = {"fused": 31_000, "cpu": 50_000, "cuda": 8_000_000}  # cuda: assumed, not measured on a GPU yet
SHARES = 2  # orders that each of several workers gets at least, by work, so that a large stack leaves none idle


def stack_name(cells: Iterable[RunPlan]) -> str:
    """The name of a stack: a hash of its members."""
    return hashlib.sha256(" ".join(cell.run_id for cell in cells).encode()).hexdigest()[:12]


def orders(plan: Plan, sweep: SweepFolder, to_do: Sequence[RunPlan], *, device: str, workers: int) -> list[Order]:
    """`to_do` as it is handed out on `device` ("cpu" or "cuda"): stacks and single cells, the most work first.

    A stack that has a checkpoint stays together, even if some of its members have a record already; a cell that has
    one of its own stays alone.
    """
    cells = {cell.run_id: cell for cell in plan.cells}
    left = {cell.run_id for cell in to_do}
    found: list[Order] = []
    for name, members in sweep.begun_stacks().items():
        if not left.intersection(members):
            sweep.stack_path(name).unlink(missing_ok=True)  # all of them have their records
        # The same cells may belong to trunks by now: an edited schedule changes no id.
        elif cells.keys() >= set(members) and not any(cells[member].trunk for member in members):
            found.append(tuple(cells[member] for member in members))
            left.difference_update(members)
    for stack in stacks(plan, device=device, workers=workers):
        rest = [cell for cell in stack if cell.run_id in left]
        alone = [cell for cell in rest if sweep.checkpoint(cell.run_id).is_file()]
        found += [(cell,) for cell in alone]
        if together := tuple(cell for cell in rest if cell not in alone):
            found.append(together)
    work = work_ahead(to_do)
    return sorted(found, key=lambda order: -sum(work.get(cell.run_id, 0.0) for cell in order))


def stacks(plan: Plan, *, device: str, workers: int) -> list[Order]:
    """All cells of the plan, in stacks of `most_members` at most, as equal as they can be."""
    groups: dict[object, list[RunPlan]] = {}
    for cell in plan.cells:
        # What a trunk saves belongs to one run: its cells stay alone.
        key = (cell.trunk and cell.run_id) or (cell.shape, cell.batch_sequences, cell.steps, cell.timeline)
        groups.setdefault(key, []).append(cell)
    share = plan.own_flops / (SHARES * workers) if workers > 1 else plan.own_flops
    found: list[Order] = []
    for group in groups.values():
        group.sort(key=lambda cell: (cell.learning_rate, cell.beta2, cell.weight_decay, cell.seed))
        most = min(most_members(group[0], plan.config, device), max(1, int(share / group[0].flops)))
        n_stacks = -(-len(group) // most)
        found += [tuple(group[len(group) * i // n_stacks : len(group) * (i + 1) // n_stacks]) for i in range(n_stacks)]
    return found


def most_members(cell: RunPlan, config: SweepConfig, device: str) -> int:
    """How many cells like this one are trained as one at most: as `execution.stack` says, on auto by what pays."""
    asked = config.execution.stack
    if isinstance(asked, int):
        return asked
    if asked == "off":
        return 1
    way = "fused" if is_written_out(cell, config, device) else device
    return max(1, min(MOST, ROOM[way] // (cell.batch_tokens * cell.shape.width)))
