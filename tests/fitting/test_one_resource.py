"""What one column cannot tell alone: sweeps of N and D are no law of one, whatever their columns are called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isoflop.fitting.errors import InputError
from isoflop.fitting.one_dimensional import PowerQuestion, analyse_power


def isoflop_table(names: str = "n_params tokens flops loss") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    c = np.repeat([1e18, 1e19, 1e20, 1e21], 5)
    n = np.tile(np.geomspace(3e7, 6e8, 5), 4) * (c / 1e18) ** 0.5
    columns = (n, c / (6 * n), c * rng.uniform(0.95, 1.05, 20), 1.7 + 400 * n**-0.34 + 410 * (6 * n / c) ** 0.28)
    return pd.DataFrame(dict(zip(names.split(), columns, strict=True)))


def test_what_stands_for_a_resource_is_refused_as_the_resource_is():
    """Widths, other counts of parameters, budgets, steps and ratios of an isoFLOP sweep are no law of their own."""
    frame = isoflop_table()
    n, d = frame["n_params"], frame["tokens"]
    frame = frame.assign(
        n_params_non_embedding=n - 3e6 * (n / 3e7) ** 0.5,
        width=np.round((n / 2e3) ** 0.5),
        steps=d / 1e4 / (n / 1e8) ** 0.3,
        budget=np.repeat([1e18, 1e19, 1e20, 1e21], 5),
        flops_6nd=6 * n * d,
        ratio=d / n * np.tile([0.95, 1.0, 1.05, 1.02, 0.98], 4),
        node_hours=frame["flops"] / 1e17,
    )
    cases = {
        "n_params_non_embedding": r"stands for the parameters: tokens varies.*L\(N\)",
        "width": r"stands for the parameters: tokens varies",
        "steps": r"stands for the tokens: n_params varies",
        "budget": r"L\(C\) is a law along one path",
        "flops_6nd": r"L\(C\) is a law along one path",
        "node_hours": r"L\(C\) is a law along one path",
        "ratio": r"L\(D/N\) is a law at one N",
    }
    for x, says in cases.items():
        with pytest.raises(InputError, match=says):
            analyse_power(frame, PowerQuestion(x, "loss"))


@pytest.mark.parametrize(
    "names",
    [
        "non_embedding_params train_tokens compute eval_loss",
        "Params_(M) Tokens_(B) FLOPs Loss",
        "size data C L",
        "whatever tokens flops loss",
    ],
)
def test_isoflop_rows_are_refused_under_names_of_others(names):
    frame = isoflop_table(names)
    frame.columns = [str(name).replace("_(", " (") for name in frame.columns]
    n, d, c, y = frame.columns
    for x in (n, d, c):
        with pytest.raises(InputError, match=r"a law at one|one path of sizes|the two multiplied are C"):
            analyse_power(frame, PowerQuestion(x, y))
    # Without the FLOPs the product is not known: names that are none are warned of.
    if n in ("size", "whatever"):
        warnings = analyse_power(frame.drop(columns=c), PowerQuestion(d, y)).warnings
        assert any(f"{n} varies, and no column is known to count" in each.text for each in warnings)


def test_at_one_token_count_whatever_counts_the_parameters_is_a_law():
    n = np.geomspace(1e7, 1e10, 8)
    frame = pd.DataFrame({"n_params": n, "tokens": 3e11 + 0 * n, "loss": 2 + 300 * n**-0.3})
    frame = frame.assign(n_params_non_embedding=n * 0.9, width=n**0.5, flops=6 * n * 3e11, seconds=n * 1.1)
    for x in ("n_params_non_embedding", "width", "flops", "seconds"):
        found = analyse_power(frame, PowerQuestion(x, "loss"))
        assert found.fit.exponent.value == pytest.approx(0.6 if x == "width" else 0.3, rel=1e-3)
