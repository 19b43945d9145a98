"""`isoflop export` as a user meets it, where there is nothing to export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_what_is_not_there_is_said_in_one_line(command: Callable[..., Any], tmp_path: Path) -> None:
    done = command("export", tmp_path, "0123456789ab")
    assert (done.status, done.err) == (2, f"error: {tmp_path}: is no sweep folder (it has no plan.json)\n")
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "0123456789ab").mkdir()
    record = {"status": "diverged", "reason": "the training loss was not finite"}
    (tmp_path / "0123456789ab" / "record.json").write_text(json.dumps(record))
    done = command("export", tmp_path, "0123456789ab", "--out", tmp_path / "out")
    assert done.status == 2
    assert done.err.endswith("run 0123456789ab is diverged: the training loss was not finite; it has no model\n")
    assert not (tmp_path / "out").exists()
