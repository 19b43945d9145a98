"""What the laws and single numbers say of themselves: one line, the equation."""

from __future__ import annotations

from ...estimators.power.law import OffsetPowerLaw
from ...laws import (
    ChinchillaLaw,
    DataConstrainedLaw,
    ErrorLaw,
    KaplanLaw,
    OvertrainingLaw,
    PowerLaw,
    SaturatingLaw,
)
from ...results import Estimate
from ..estimates import leveled_text
from ..estimates import number_text as n
from .summary import Summary


def estimate(found: Estimate) -> Summary:
    """The number and its interval with the level."""
    return Summary(f"Estimate: {leveled_text(found)}")


def power_text(law: PowerLaw, letter: str = "y") -> str:
    """Such as "N*(C) = 0.08 C^.49"."""
    return f"{letter}(C) = {n(law.coefficient)} C^{n(law.exponent)}"


def power(law: PowerLaw) -> Summary:
    """The equation."""
    return Summary(f"PowerLaw: {power_text(law)}, C in FLOPs")


def chinchilla(law: ChinchillaLaw) -> Summary:
    """The equation."""
    return Summary(
        f"ChinchillaLaw: L(N, D) = {n(law.E)} + {n(law.A)}/N^{n(law.alpha)} + {n(law.B)}/D^{n(law.beta)}; "
        f"a = {n(law.params_exponent)} at C = 6 N D"
    )


def kaplan(law: KaplanLaw) -> Summary:
    """The equation."""
    return Summary(
        f"KaplanLaw: L(N, D) = [({n(law.N_c)}/N)^({n(law.alpha_N)}/{n(law.alpha_D)}) + {n(law.D_c)}/D]"
        f"^{n(law.alpha_D)}; a = {n(law.params_exponent)} at C = 6 N D"
    )


def saturating(law: SaturatingLaw) -> Summary:
    """The equation."""
    return Summary(f"SaturatingLaw: L(C) = {n(law.E)} + ({n(law.C0)}/C)^{n(law.gamma)}")


def data_constrained(law: DataConstrainedLaw) -> Summary:
    """Both half-lives, and the law for fresh data."""
    base = chinchilla(law.base).title.removeprefix("ChinchillaLaw: ")
    return Summary(f"DataConstrainedLaw: R_D* = {n(law.R_D)}, R_N* = {n(law.R_N)}; fresh data: {base}")


def overtraining(law: OvertrainingLaw) -> Summary:
    """The equation, M being tokens per parameter."""
    return Summary(
        f"OvertrainingLaw: L(C, M) = {n(law.E)} + ({n(law.a)} M^{n(law.eta)} + {n(law.b)} M^-{n(law.eta)}) "
        f"C^-{n(law.eta)}"
    )


def error(law: ErrorLaw) -> Summary:
    """The equation."""
    return Summary(f"ErrorLaw: Err(L) = {n(law.epsilon)} - {n(law.k)} exp(-{n(law.gamma)} L)")


def offset_power(law: OffsetPowerLaw) -> Summary:
    """The equation of one law; of several only how many."""
    sign = "-" if law.rising else "+"
    if not (isinstance(law.offset, float) and isinstance(law.exponent, float)):
        return Summary(f"OffsetPowerLaw: {law.coefficient.size} laws, y = offset {sign} coefficient x^-exponent")
    coefficient = n(float(law.coefficient))
    return Summary(f"OffsetPowerLaw: y(x) = {n(law.offset)} {sign} {coefficient} x^-{n(law.exponent)}")
