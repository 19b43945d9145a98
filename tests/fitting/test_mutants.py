"""The table of seeded faults fits the code as it is: see tests/mutants/run.py, which says which tests notice them."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def loaded(name: str) -> ModuleType:
    path = ROOT / "tests" / "mutants" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"mutants_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FAULTS = loaded("faults")
EVERY = FAULTS.all_faults()
FILES = sorted({fault.file for fault in EVERY})


@pytest.mark.parametrize("file", FILES)
def test_every_fault_can_be_seeded_and_changes_what_is_computed(file: str) -> None:
    text = (ROOT / "fitting" / file).read_text(encoding="utf-8")
    whole = ast.dump(ast.parse(text))
    for fault in EVERY:
        if fault.file == file:
            assert ast.dump(ast.parse(fault.seeded(text))) != whole, fault


def test_there_are_enough_of_them_over_all_estimators_and_no_two_are_the_same() -> None:
    assert len({(fault.file, fault.old, fault.new) for fault in EVERY}) == len(EVERY)
    in_estimators = [fault for fault in EVERY if fault.file.startswith("estimators/")]
    assert len(in_estimators) >= 50
    files = {path.relative_to(ROOT / "fitting").as_posix() for path in (ROOT / "fitting/estimators").rglob("*.py")}
    assert {file for file in files if not file.endswith("__init__.py")} <= {fault.file for fault in in_estimators}


def test_every_fault_has_tests_that_concern_it() -> None:
    for file in FILES:
        named = FAULTS.tests_of(file)
        assert named, file
        assert [name for name in named if not (ROOT / "tests" / "fitting" / name).is_file()] == [], file


def test_a_text_that_is_not_there_once_is_refused() -> None:
    fault = FAULTS.Fault(file="laws.py", old="self.alpha", new="self.beta", by="hand")
    with pytest.raises(ValueError, match="not once"):
        fault.seeded((ROOT / "fitting" / "laws.py").read_text(encoding="utf-8"))
