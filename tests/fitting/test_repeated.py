"""The optimum with so many unique tokens: the paper's own, brute force, and compute without end."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.fitting import ChinchillaLaw, InputError
from isoflop.fitting.forecasting.repeated import constrained_optimum, muennighoff, with_published_repeats
from isoflop.fitting.laws import DataConstrainedLaw

UNEVEN = DataConstrainedLaw(ChinchillaLaw(E=1.7, A=900.0, B=150.0, alpha=0.42, beta=0.25), R_D=40.0, R_N=1.5)
laws = st.builds(
    DataConstrainedLaw,
    st.builds(
        ChinchillaLaw,
        E=st.floats(0, 3),
        A=st.floats(10, 1e4),
        B=st.floats(10, 1e4),
        alpha=st.floats(0.1, 0.9),
        beta=st.floats(0.1, 0.9),
    ),
    R_D=st.floats(0.1, 100),
    R_N=st.floats(0.1, 100),
)


def searched(law, flops, unique):
    """(n_params, loss) of least loss over a dense grid of sizes, those that leave tokens unseen among them."""
    sizes = float(law.base.optimum(flops)[0]) * np.geomspace(1e-4, 1e4, 40001)
    losses = law.loss(sizes, flops / 6 / sizes, unique)
    best = int(np.argmin(losses))
    return float(sizes[best]), float(losses[best])


def test_the_papers_example_of_25_billion_tokens():
    # github.com/huggingface/datablations, README: 9.1 epochs of 25B tokens, 227B in all, by 6.8B parameters.
    found = constrained_optimum(muennighoff(), 9.26e21, 25e9)
    assert found.n_params == pytest.approx(6.8e9, rel=0.01)
    assert found.tokens == pytest.approx(227e9, rel=0.01)
    assert found.epochs == pytest.approx(9.1, abs=0.05)
    assert found.remark == "9.07 epochs; one more token is worth 0.59 of a fresh one"


@pytest.mark.parametrize("law", [muennighoff(), UNEVEN])
@pytest.mark.parametrize("over", [1.5, 30.0, 1e3])
def test_no_other_size_does_better(law, over):
    unique = 3e9
    flops = over * 6 * unique * float(law.matching_params(unique))
    found = constrained_optimum(law, flops, unique)
    size, least = searched(law, flops, unique)
    assert found.loss <= least + 1e-12
    assert found.loss == pytest.approx(least, abs=1e-6)
    assert found.n_params == pytest.approx(size, rel=1e-2)
    assert found.loss == pytest.approx(float(law.loss(found.n_params, found.tokens, unique)))


@settings(deadline=None, max_examples=50)
@given(laws, st.floats(1e7, 1e13), st.floats(0.01, 1e4))
def test_nothing_on_a_grid_beats_it_for_any_law(law, unique, over):
    flops = over * 6 * unique * float(law.matching_params(unique))
    found = constrained_optimum(law, flops, unique)
    grid = found.n_params * np.geomspace(1e-3, 1e3, 301)
    others = law.loss(grid, flops / 6 / grid, unique)
    assert float(law.loss(found.n_params, found.tokens, unique)) <= others.min() * (1 + 1e-9)
    assert found.loss >= found.fresh_loss
    assert 6 * found.n_params * found.tokens == pytest.approx(flops)
    if over > 1:
        assert found.epochs >= 1
        assert found.flops_needed <= flops * (1 + 1e-9)


def test_enough_tokens_change_nothing():
    found = constrained_optimum(muennighoff(), 1e20, 1e12)
    n_params, tokens = muennighoff().base.optimum(1e20)
    assert (found.n_params, found.tokens, found.excess_loss) == (n_params, tokens, 0)
    assert found.flops < found.runs_out_flops
    assert found.flops_needed == found.flops
    assert found.remark == ""


def test_tokens_run_out_where_the_optimum_asks_for_all_of_them():
    found = constrained_optimum(UNEVEN, 1e21, 1e10)
    assert UNEVEN.base.optimum(found.runs_out_flops)[1] == pytest.approx(1e10)
    at = constrained_optimum(UNEVEN, found.runs_out_flops, 1e10)
    assert at.epochs == pytest.approx(1)
    assert at.excess_loss == pytest.approx(0, abs=1e-9)


def test_few_repeats_cost_little_and_more_cost_ever_more():
    # arXiv:2305.16264, section 6: up to four epochs are nearly as good as fresh tokens.
    law = muennighoff()
    found = [constrained_optimum(law, flops, 1e10) for flops in np.geomspace(1e19, 1e24, 40)]
    epochs = np.array([each.epochs for each in found])
    excess = np.array([each.excess_loss for each in found])
    assert np.all(np.diff(epochs) > 0)
    assert np.all(np.diff(excess[epochs > 1]) > 0)
    assert excess[epochs < 4].max() < 0.02 < excess.max()


@pytest.mark.parametrize("flops", [1e25, 1e32, 1e60])
def test_compute_that_repeats_cannot_use_is_answered_and_said(flops):
    found = constrained_optimum(muennighoff(), flops, 1e10)
    assert found.exhausted
    assert found.loss == pytest.approx(found.loss_floor, abs=1e-6)
    assert found.flops_needed < 1e22
    assert found.remark == "more compute is worth nothing: the loss with these tokens ends at 2.266"


def test_the_published_repeats_stand_on_any_law():
    base = ChinchillaLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
    law = with_published_repeats(base)
    assert (law.R_D, law.R_N) == (15.388, 5.310)  # arXiv:2305.16264, section 6
    assert constrained_optimum(law, 1e23, 1e11).epochs > 2


@pytest.mark.parametrize(
    ("law", "flops", "unique", "message"),
    [
        (muennighoff(), math.nan, 1e9, "the compute is nan"),
        (muennighoff(), 1e20, 0.0, "the number of unique tokens is 0, must be a finite number above 0"),
        (DataConstrainedLaw(UNEVEN.base, -1.0, 5.0), 1e20, 1e9, r"R_D\* is -1"),
        (DataConstrainedLaw(ChinchillaLaw(1.7, 0.0, 10, 0.3, 0.3), 15.0, 5.0), 1e20, 1e9, "lacks a power term"),
    ],
)
def test_what_has_no_answer_is_one_line(law, flops, unique, message):
    with pytest.raises(InputError, match=message):
        constrained_optimum(law, flops, unique)
