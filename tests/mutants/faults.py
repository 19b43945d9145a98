"""The seeded faults of fitting/, as data: an exact old text, what stands in its place, and which tests concern it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Fault:
    """`old` occurs once in fitting/`file`; `what` says in words what is wrong, "" of a machine's."""

    file: str
    old: str
    new: str
    by: str
    what: str = ""

    def seeded(self, text: str) -> str:
        """The file's text with the fault. Raises ValueError where `old` does not occur once."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"fitting/{self.file}: {self.old!r} occurs {count} times, not once: seed the fault anew")
        return text.replace(self.old, self.new)


def faults_in(table: Path, by: str) -> list[Fault]:
    """Those of one table, in the order of the files."""
    found = [Fault(by=by, **entry) for entry in yaml.safe_load(table.read_text(encoding="utf-8"))]
    return sorted(found, key=lambda fault: fault.file)


def all_faults() -> list[Fault]:
    """Both tables, in the order of the files."""
    found = [fault for by in ("hand", "machine") for fault in faults_in(HERE / f"by_{by}.yaml", by)]
    return sorted(found, key=lambda fault: fault.file)


def tests_of(file: str) -> list[str]:
    """The names of the test files that concern a file of fitting/."""
    concern: dict[str, list[str]] = yaml.safe_load((HERE / "concern.yaml").read_text(encoding="utf-8"))
    prefixes = [prefix for prefix in concern if file.startswith(prefix)]
    return concern[max(prefixes, key=len)] if prefixes else []
