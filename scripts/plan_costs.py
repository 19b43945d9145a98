"""What `plan` says of time, device-hours and money, and how its options give a device's throughput."""

from __future__ import annotations

from isoflop.fitting.errors import InputError
from isoflop.scripts.amounts import positive
from isoflop.scripts.progress import duration_text
from isoflop.training.costs import Bill, Costs, Throughput

TERA = 1e12


def throughput_of(tflops: float | None, mfu: float | None, peak: str | None) -> Throughput | None:
    """What a device reaches by `--tflops`, or by `--mfu` of its `--peak`; None where none is given.

    Raises InputError for values that no device has, and for options that contradict or lack each other.
    """
    if tflops is not None:
        if mfu is not None or peak is not None:
            raise InputError("--tflops is what a device reaches already: leave --mfu and --peak out")
        return Throughput(TERA * positive("--tflops", tflops), f"at {tflops:g} TFLOP/s a device, as given")
    if mfu is None and peak is None:
        return None
    if mfu is None or peak is None:
        raise InputError("--mfu is a share of --peak: give both, as --mfu .4 --peak H100, or --tflops alone")
    if not 0 < mfu <= 1:
        raise InputError(f"--mfu {mfu:g}: must be above 0 and at most 1, the share of the peak that training reaches")
    flops_per_second, words = _peak(peak)
    return Throughput(mfu * flops_per_second, f"at {mfu:.0%} of {words}, as given")


def _peak(text: str) -> tuple[float, str]:
    """FLOP/s of a device by its name, or by a number of TFLOP/s, and in words."""
    try:
        number = positive("--peak", float(text))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
    else:
        return TERA * number, f"{number:g} TFLOP/s"
    from isoflop.fitting.forecasting.stocks import load_stocks  # here, as few plans ask for it

    try:
        stock = load_stocks().find("devices", text)
    except InputError as error:
        raise InputError(f"--peak {text}: {error}; or give its peak in TFLOP/s") from None
    source = "its data sheet" if stock.verified else "a number that was not verified"
    return stock.value, f"the {stock.value / TERA:,.0f} TFLOP/s of {stock.name} by {source}"


def seconds_text(seconds: float) -> str:
    """A duration, with two digits below ten seconds."""
    return f"{seconds:.2g} s" if seconds < 10 else duration_text(seconds)


def devices_text(costs: Costs) -> str:
    """Such as "2 CPU cores" or "1 GPU"."""
    first, *rest = costs.kind.split(" ")
    many = " ".join([f"{first}s", *rest]) if rest[:1] == ["of"] else f"{costs.kind}s"
    return f"{costs.devices} {costs.kind if costs.devices == 1 else many}"


def time_text(costs: Costs) -> str:
    """What is still to be spent, such as "about 95 s on 2 CPU cores"."""
    bill = costs.to_go
    if bill.cells == 0:
        return "all trained already"
    words = f"about {seconds_text(bill.wall_seconds)} on {devices_text(costs)}"
    return words if not costs.over else f"{bill.cells} to go, {words}"


def cost_lines(costs: Costs) -> list[str]:
    """The bill of what is to go, beside the whole where some cells are over; and where the seconds are from."""
    lines = [f"Cost of the sweep: {_bill_text(costs.whole, costs)}."]
    if costs.over:
        trained = f"{len(costs.over)} of {len(costs.plan.cells)} cells have a record"
        left = _bill_text(costs.to_go, costs) if costs.to_go.cells else "nothing"
        lines.append(f"To go: {left}; {trained}.")
    lines.append(f"Seconds are {costs.source}; starting workers and the fit are not in them.")
    return lines


def _money(price: float) -> str:
    return f"{price:,.2f}" if price >= 1 else f"{price:.2g}"


def _bill_text(bill: Bill, costs: Costs) -> str:
    price = "" if bill.price is None else f", {_money(bill.price)} at {costs.price_per_hour:g} a device-hour"
    return (
        f"about {seconds_text(bill.wall_seconds)} on {devices_text(costs)}, {bill.device_hours:.3g} device-hours{price}"
    )
