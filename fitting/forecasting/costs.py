"""What training FLOPs cost: dollars, device-hours and days, from a price and a throughput that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..results import Estimate
from .stocks_file import Stock

HOUR, DAY = 3600.0, 86400.0  # seconds


@dataclass(frozen=True)
class Rates:
    """A price, per FLOP or per device-hour, and what devices do: peak FLOP/s of one, the share of it that is used.

    `mfu` is the model FLOPs utilisation (Chowdhery 2022, appendix B). Raises InputError, by option, for what is not
    positive and finite, an `mfu` above 1, two prices, and a price of hours where no throughput is given.
    `stocks` are the entries that a peak or a price were read from.
    """

    price_per_flop: float | None = None
    device_hour: float | None = None
    peak_flops: float | None = None  # a second, of one device
    mfu: float = 0.4
    devices: int = 1
    stocks: tuple[Stock, ...] = ()

    def __post_init__(self) -> None:
        for option, value in (
            ("--price-per-flop", self.price_per_flop),
            ("--gpu-hour", self.device_hour),
            ("--peak-tflops", self.peak_flops),
            ("--mfu", self.mfu),
            ("--devices", self.devices),
        ):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{option} {value:g}: must be a positive, finite number")
        if self.mfu > 1:
            raise InputError(f"--mfu {self.mfu:g}: is a share of the peak, at most 1")
        if self.price_per_flop is not None and self.device_hour is not None:
            raise InputError("--price-per-flop and --gpu-hour are two prices; give one of them")
        if self.device_hour is not None and self.peak_flops is None:
            raise InputError("--gpu-hour: hours need a throughput; give --device NAME or --peak-tflops X")

    @property
    def asked(self) -> bool:
        """Whether there is anything to tell."""
        return self.price_per_flop is not None or self.peak_flops is not None


@dataclass(frozen=True)
class Cost:
    """Dollars (or the price's own currency), device-hours and days on all devices; None where no rate says it."""

    price: Estimate | None
    device_hours: Estimate | None
    days: Estimate | None


def cost_of(flops: Estimate, rates: Rates) -> Cost:
    """What `flops`, training FLOPs with their interval, cost at `rates`; intervals are those of the FLOPs alone."""
    price = None if rates.price_per_flop is None else _scaled(flops, rates.price_per_flop)
    if rates.peak_flops is None:
        return Cost(price, None, None)
    hours = 1 / (rates.peak_flops * rates.mfu * HOUR)
    if rates.device_hour is not None:
        price = _scaled(flops, hours * rates.device_hour)
    return Cost(price, _scaled(flops, hours), _scaled(flops, hours * HOUR / DAY / rates.devices))


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    low, high = (None if bound is None else bound * factor for bound in (estimate.low, estimate.high))
    return Estimate(estimate.value * factor, low, high, estimate.level)
