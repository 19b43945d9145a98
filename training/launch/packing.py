"""Which orders a batch task trains: small ones together, each about so much work, those of one trunk in one task."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

from ..stacking import Order

LEAST_SECONDS = 60.0  # of a task: a shorter one costs more to start than it spreads


def order_seconds(order: Order, seconds: Mapping[str, float]) -> float:
    """What an order takes, as the sum of its cells: a stack takes less."""
    return sum(seconds[cell.run_id] for cell in order)


def pack(
    orders: Sequence[Order], seconds: Mapping[str, float], *, target: float, parallel: int, most: int
) -> list[list[Order]]:
    """Spread `orders` over tasks, by `seconds` of each cell; each task's orders come in the order given.

    There are as many tasks as make one take about `target` seconds; more, up to `parallel` at once, while each still
    holds `LEAST_SECONDS`; two at the least, so that one that waits or dies does not hold up all; and never over
    `most`. An order that takes longer than `target` is a task alone. Longest first, each to the task that has least.
    """
    units = units_of(orders)
    work = [sum(order_seconds(order, seconds) for order in unit) for unit in units]
    wanted = max(math.ceil(sum(work) / target), min(parallel, int(sum(work) / LEAST_SECONDS)), 2)
    n_tasks = min(wanted, most, len(units))
    tasks: list[list[int]] = [[] for _ in range(n_tasks)]
    heap = [(0.0, i) for i in range(n_tasks)]
    for unit in sorted(range(len(units)), key=lambda i: -work[i]):
        load, i = heapq.heappop(heap)
        tasks[i].append(unit)
        heapq.heappush(heap, (load + work[unit], i))
    place = {id(order): i for i, order in enumerate(orders)}
    return [sorted((order for i in task for order in units[i]), key=lambda order: place[id(order)]) for task in tasks]


def units_of(orders: Sequence[Order]) -> list[list[Order]]:
    """What must not be parted: the cells of one trunk go on from one another."""
    units: dict[object, list[Order]] = {}
    for order in orders:
        units.setdefault(order[0].trunk or id(order), []).append(order)
    return list(units.values())
