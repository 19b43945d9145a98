"""What may be asked of a law: a compute, a loss, a size, a number of tokens, or two of them that do not contradict."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

ENDLESS = 1e60  # counts and FLOPs beyond mean nothing
OPTIONS = {"flops": "--flops", "loss": "--loss", "n_params": "--params", "tokens": "--tokens"}
_TRAINING = {"flops", "n_params", "tokens"}  # C = 6 N D: two of them say the third


@dataclass(frozen=True)
class Question:
    """One thing asked: training FLOPs, a loss, parameters and tokens as counts; None is what is to be found.

    One alone asks for an optimum. A loss with a size or tokens asks how much of the other reaches it. Two of compute,
    size and tokens are a run, of which the loss is asked. `source` is the option that the compute comes from. Raises
    InputError for what contradicts and for values that are not positive or beyond `ENDLESS`.
    """

    flops: float | None = None
    loss: float | None = None
    n_params: float | None = None
    tokens: float | None = None
    source: str = OPTIONS["flops"]

    def __post_init__(self) -> None:
        asked = self.given
        for name, value in asked.items():
            if not 0 < value < ENDLESS:
                raise InputError(f"{self._option(name)} {value:g}: must be a positive number, below {ENDLESS:g}")
        if not asked:
            raise InputError("nothing is asked; give --flops C, --loss L, --params N or --tokens D")
        options = " and ".join(self._option(name) for name in asked)
        if {"flops", "loss"} <= set(asked):
            raise InputError(f"{options} contradict: the compute says the loss; leave one out")
        if len(asked) > 2:
            raise InputError(f"{options} contradict: two of them say the third; leave one out")

    @property
    def given(self) -> dict[str, float]:
        """What was given, by name."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def by_option(self) -> dict[str, float]:
        """The same by the options that give it."""
        return {self._option(name): value for name, value in self.given.items()}

    @property
    def is_run(self) -> bool:
        """Whether it is the loss of one run that is asked, not an optimum."""
        return len(set(self.given) & _TRAINING) == 2

    @property
    def is_optimum(self) -> bool:
        """Whether N and D are to be the best ones of their compute."""
        return len(self.given) == 1

    def _option(self, name: str) -> str:
        return self.source if name == "flops" else OPTIONS[name]
