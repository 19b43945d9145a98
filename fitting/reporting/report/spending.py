"""What a FLOP takes and costs in the report: measured on the sweep's own devices, or assumed of one that is named."""

from __future__ import annotations

from dataclasses import dataclass

from ...forecasting.costs import HOUR, Rates
from ...forecasting.stocks import not_verified
from ..style import flops_text
from .sweep import SweepDetails

_NO_PRICE = "no price is given (--gpu-hour, or type one)"


@dataclass(frozen=True)
class Spending:
    """FLOP/s of one device and dollars for its hour, with where each is from; a price of None is not known."""

    flops_per_second: float
    price_per_hour: float | None
    rate_words: str
    price_words: str

    def price_of(self, device_seconds: float) -> float | None:
        """Dollars for so much of one device."""
        return None if self.price_per_hour is None else device_seconds / HOUR * self.price_per_hour


def measured_spending(sweep: SweepDetails, convention: str | None, gpu_hour: float | None) -> Spending | None:
    """By what the sweep's own devices reached, FLOPs counted by `convention`; None where no run was timed."""
    rate = sweep.flops_per_second(convention)
    if rate is None:
        return None
    kinds = ", ".join(sweep.devices) or "its devices"
    words = f"{flops_text(rate)} FLOP/s a device, measured over the {len(sweep.records)} runs of this sweep ({kinds})"
    price = _NO_PRICE if gpu_hour is None else f"{gpu_hour:g} dollars a device-hour, as given"
    return Spending(rate, gpu_hour, words, price)


def assumed_spending(rates: Rates, device: str, given: bool) -> Spending:
    """By `rates`, whose peak is that of `device`; `given` says whether the user chose the price."""
    assert rates.peak_flops is not None
    stock = next((stock for stock in rates.stocks if stock.section == "prices"), None)
    words = f"assumed: {rates.mfu:.0%} of the {flops_text(rates.peak_flops)} FLOP/s of {device} (--device, --mfu)"
    if rates.device_hour is None:
        price = _NO_PRICE
    elif given or stock is None:
        price = f"{rates.device_hour:g} dollars a device-hour, as given"
    else:
        price = f"assumed: {rates.device_hour:g} dollars a device-hour in {stock.date:.0f} ({stock.source})"
        price += "; not verified" if not_verified([stock]) else ""
    return Spending(rates.peak_flops * rates.mfu, rates.device_hour, words, price)
