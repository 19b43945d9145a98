from __future__ import annotations

from collections.abc import Iterator

import pytest

from .cluster import Cluster, NoSlurm


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A Slurm that answers: two nodes, accounting, the partitions main, short (2 min), urgent and closed."""
    try:
        cluster = Cluster()
    except NoSlurm as why:
        pytest.skip(str(why))
    yield cluster
    cluster.close()
