"""Whether exponents speak one convention: the triple of which N, which C, and what was held fixed while training."""

from __future__ import annotations

from dataclasses import dataclass

# Counts of C, and ways to train, that move an exponent of one N little (`count_sizes` says how far): compared, and
# said. All others are apart.
_SLIGHT_FLOPS = {
    frozenset(
        {"exact", "hoffmann"}
    ): "full attention and look-ups counted in one, the causal half and none in the other",
    frozenset({"exact", "6nd"}): "6 N D counts look-ups and no attention",
    frozenset({"exact", "porian"}): "attention counted in one, not in the other",
    frozenset({"exact", "own"}): "the study's own counter of matmuls and attention",
    frozenset({"6nd", "hoffmann"}): "appendix F is .99 to 1.10 times 6 N D at Chinchilla's sizes (Table A4)",
    frozenset({"6nd", "porian"}): "6 N D counts an input embedding that is not tied, too",
}
_SLIGHT_TRAINING = {
    frozenset({"matched", "tuned"}): "with rate and batch tuned, Porian 2024 finds the same a without the decay",
    frozenset({"matched", "simulated"}): "simulated from a law of matched runs",
    frozenset({"untuned"}): "each untuned in its own way: Porian's rungs of this class span .57 to .71 by one count",
}


@dataclass(frozen=True)
class Agreement:
    """How far two conventions of the same N agree: what `differs` ("C", "training"), and the `reason` in words.

    Where they are comparable, what differs differs slightly.
    """

    comparable: bool
    differs: tuple[str, ...] = ()
    reason: str = ""


def agreement(flops: str, training: str, their_flops: str, their_training: str) -> Agreement:
    """Of ours and theirs; the names are those of published.csv, or a table's own column for C."""
    slight: dict[str, str] = {}
    apart: dict[str, str] = {}
    for what, ours, theirs, near in (
        ("C", flops, their_flops, _SLIGHT_FLOPS),
        ("training", training, their_training, _SLIGHT_TRAINING),
    ):
        words = near.get(frozenset({ours, theirs}))
        if theirs == "unverified":
            apart[what] = f"{what} is not verified"
        elif words:
            slight[what] = f"{what} is {theirs}{'' if ours == theirs else f', ours {ours}'}: {words}"
        elif ours != theirs:
            apart[what] = f"{what} is {theirs}, ours {ours}"
    found = apart or slight
    return Agreement(not apart, tuple(found), "; ".join(found.values()))
