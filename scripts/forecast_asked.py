"""What a forecast is asked, from the options' texts: numbers, questions, the compute of a stock, prices."""

from __future__ import annotations

from isoflop.fitting.errors import InputError
from isoflop.fitting.forecasting.costs import Rates
from isoflop.fitting.forecasting.questions import ENDLESS, Question
from isoflop.fitting.forecasting.spending import Spending, of_dollars, of_fleet
from isoflop.fitting.forecasting.stocks import Stocks
from isoflop.fitting.forecasting.stocks_file import Stock
from isoflop.scripts.amounts import amounts

DAYS = 365.0
USE = MFU = Rates.mfu


def questions_of(
    flops: list[float], loss: float | None, params: str | None, tokens: str | None, source: str = "--flops"
) -> list[Question]:
    """One for each compute, which the option `source` says, or the one that is asked without.

    Raises InputError for what contradicts.
    """
    several = {"--params": amounts("--params", params), "--tokens": amounts("--tokens", tokens)}
    for option, counts in several.items():
        if len(counts) > 1:
            raise InputError(f"{option} takes one number; {len(counts)} given (only --flops takes several)")
    size, data = ((counts[0] if counts else None) for counts in several.values())
    return [Question(one, loss, size, data, source) for one in flops or [None]]


def refuse_idle(*options: tuple[str, object, str, object]) -> None:
    """Raises InputError for an option that is given where what it is about is not: (option, value, needs, value)."""
    for option, value, needs, needed in options:
        if value is not None and value is not False and needed is None:
            shown = option if value is True else f"{option} {value}"
            raise InputError(f"{shown}: is about {needs}; give that too, or leave it out")


def spending_of(
    stocks: Stocks,
    stock: str | None,
    dollars: float | None,
    *,
    share: float | None,
    days: float | None,
    use: float,
    year: float | None,
) -> Spending | None:
    """The compute of a fleet or of dollars; None where neither is asked. Raises InputError as those do."""
    if dollars is not None and not (share is days is None):
        raise InputError("--dollars buy compute, and have no --share or --days; leave those out")
    option, found = "--stock" if dollars is None else "--dollars", None
    try:
        if dollars is not None:
            found = of_dollars(stocks, dollars, by=stock, use=use, year=year)
        elif stock is not None:
            whole, for_days = (1.0 if share is None else share), (DAYS if days is None else days)
            found = of_fleet(stocks, stock, share=whole, days=for_days, use=use, year=year)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None
    if found is not None and not found.flops < ENDLESS:
        asked = stock if dollars is None else f"{dollars:g}"
        raise InputError(f"{option} {asked}: comes to {found.flops:.3g} FLOPs, beyond any compute; ask for less")
    return found


def rates_of(
    stocks: Stocks,
    *,
    price_per_flop: float | None,
    gpu_hour: float | None,
    device: str | None,
    peak_tflops: float | None,
    mfu: float | None,
    devices: int | None,
) -> Rates:
    """Prices and throughput; without a price given, that of the device's hour in the stocks, where they have one.

    Raises InputError for numbers out of range and devices that the stocks do not have.
    """
    if device is not None and peak_tflops is not None:
        raise InputError("--device and --peak-tflops both say what a device does; give one of them")
    peak = None if peak_tflops is None else 1e12 * peak_tflops
    used: list[Stock] = []
    if device is not None:
        used.append(entry := stocks.find("devices", device))
        peak = entry.value
        if gpu_hour is price_per_flop is None and (price := stocks.get("prices", device)) is not None:
            used.append(price)
            gpu_hour = price.value
    mfu, devices = (MFU if mfu is None else mfu), (1 if devices is None else devices)
    return Rates(price_per_flop, gpu_hour, peak, mfu, devices, tuple(used))
