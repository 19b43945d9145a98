"""published.csv reproduces its papers: their tables and printed laws, with the digits they print."""

import math

import pytest

from isoflop.fitting.prediction import Scaling, published_predictor
from isoflop.fitting.published import published_estimate

PF_DAY = 8.64e19  # FLOPs

# N -> FLOPs and tokens of each approach, arXiv:2203.15556: Table 3 (approach 1) and Table A3 (approaches 2 and 3).
PROJECTIONS = {
    "hoffmann_approach1": {
        400e6: (1.92e19, 8.0e9),
        1e9: (1.21e20, 20.2e9),
        10e9: (1.23e22, 205.1e9),
        67e9: (5.76e23, 1.5e12),
        175e9: (3.85e24, 3.7e12),
        280e9: (9.90e24, 5.9e12),
        520e9: (3.43e25, 11.0e12),
        1e12: (1.27e26, 21.2e12),
    },
    "hoffmann_approach2": {
        400e6: (1.84e19, 7.7e9),
        1e9: (1.20e20, 20.0e9),
        10e9: (1.32e22, 219.5e9),
        67e9: (6.88e23, 1.7e12),
        175e9: (4.54e24, 4.3e12),
        280e9: (1.18e25, 7.1e12),
        520e9: (4.19e25, 13.4e12),
        1e12: (1.59e26, 26.5e12),
    },
    "hoffmann_approach3": {
        400e6: (2.21e19, 9.2e9),
        1e9: (1.62e20, 27.1e9),
        10e9: (2.46e22, 410.1e9),
        67e9: (1.71e24, 4.1e12),
        175e9: (1.26e24, 12.0e12),  # a misprint, see below
        280e9: (3.52e25, 20.1e12),
        520e9: (1.36e26, 43.5e12),
        1e12: (5.65e26, 94.1e12),
    },
}
MISPRINTED = {("hoffmann_approach3", 175e9)}
WITHIN = {"hoffmann_approach1": 0.10, "hoffmann_approach2": 0.10, "hoffmann_approach3": 0.16}


@pytest.mark.parametrize(
    ("name", "n_params"),
    [(name, n) for name, rows in PROJECTIONS.items() for n in rows if (name, n) not in MISPRINTED],
)
def test_hoffmanns_projections(name: str, n_params: float) -> None:
    flops, tokens = PROJECTIONS[name][n_params]
    law = published_predictor(name).scaling
    assert flops_at(law, n_params) == pytest.approx(flops, rel=WITHIN[name])
    assert law.tokens(flops) == pytest.approx(tokens, rel=WITHIN[name])


def flops_at(law: Scaling, n_params: float) -> float:
    """The compute that the size is optimal for."""
    line = law.params_law
    assert line is not None
    return (n_params / line.coefficient) ** (1 / line.exponent)


def test_one_row_of_approach_3_is_a_misprint() -> None:
    off = {
        (name, n): round(6 * n * tokens / flops)
        for name, rows in PROJECTIONS.items()
        for n, (flops, tokens) in rows.items()
        if not 0.9 < 6 * n * tokens / flops < 1.1
    }
    assert off == dict.fromkeys(MISPRINTED, 10)  # 6 N D is 1.26e25, ten times what is printed
    assert flops_at(published_predictor("hoffmann_approach3").scaling, 175e9) == pytest.approx(1.26e25, rel=0.16)


@pytest.mark.parametrize(
    ("name", "n_params", "per_param"), [("besiroglu", 854e6, 22.9), ("hoffmann_approach3", 774e6, 27.8)]
)
def test_parametric_laws_place_the_optimum_of_1e20(name: str, n_params: float, per_param: float) -> None:
    # Equation 4 of arXiv:2203.15556 at the constants of arXiv:2404.10102, Table 1.
    law = published_predictor(name).scaling
    assert law.n_params(1e20) == pytest.approx(n_params, rel=2e-3)
    assert law.tokens_per_param(1e20) == pytest.approx(per_param, rel=2e-3)


def test_rounding_two_exponents_moves_tokens_per_parameter_from_59_to_93() -> None:
    full, rounded = (published_predictor(f"hoffmann_approach3{which}").scaling for which in ("", "_rounded"))
    assert full.tokens_per_param(5.76e23) == pytest.approx(59.1, abs=0.1)
    assert rounded.tokens_per_param(5.76e23) == pytest.approx(92.6, abs=0.1)


@pytest.mark.parametrize("pf_days", [1e-4, 1.0, 10.0])
def test_kaplans_laws_in_pf_days(pf_days: float) -> None:
    # arXiv:2001.08361, equations 1.3, 1.7 and 1.8 and the summary table of its appendix.
    law = published_predictor("kaplan").scaling
    assert law.n_params(pf_days * PF_DAY) == pytest.approx(1.3e9 * pf_days**0.73, rel=1e-4)
    assert law.tokens(pf_days * PF_DAY) == pytest.approx(2e10 * pf_days**0.27, rel=1e-4)
    assert law.loss(pf_days * PF_DAY) == pytest.approx((3.1e8 / pf_days) ** 0.050, rel=1e-6)
    naive = published_predictor("kaplan_fixed_batch").scaling
    assert naive.n_params(pf_days * PF_DAY) == pytest.approx(1.6e9 * pf_days**0.88, rel=1e-4)
    assert naive.loss(pf_days * PF_DAY) == pytest.approx((1.6e7 / pf_days) ** 0.057, rel=1e-6)


def test_kaplans_joint_law() -> None:
    # Equation 1.5 with Table 2; without end of size and data it is the two laws of one variable.
    law = published_predictor("kaplan_joint").scaling
    n, d = 1e8, 1e10
    assert law.loss_of(n, d) == pytest.approx(((6.4e13 / n) ** (0.076 / 0.103) + 1.8e13 / d) ** 0.103, rel=1e-9)
    assert law.loss_of(n, math.inf) == pytest.approx((6.4e13 / n) ** 0.076, rel=1e-9)
    sizes = [law.n_params(1e20) * factor for factor in (0.9, 1.0, 1.1)]
    losses = [law.loss_of(size, 1e20 / 6 / size) for size in sizes]
    assert min(losses) == losses[1]  # its optimum, not the paper's .73


def test_deepseeks_scales() -> None:
    # arXiv:2401.02954, equation 4: C = M D.
    law = published_predictor("deepseek").scaling
    for flops in (1e17, 3e20):
        assert law.n_params(flops) == pytest.approx(0.1715 * flops**0.5243, rel=1e-9)
        assert law.n_params(flops) * law.tokens(flops) == pytest.approx(flops, rel=2e-3)


def test_llama_3s_figure_gives_its_flagship_and_its_text_does_not() -> None:
    # arXiv:2407.21783, section 3.2.1: 402B parameters on 16.55T tokens at 3.8e25.
    assert published_predictor("llama3_figure").scaling.tokens(3.8e25) == pytest.approx(16.55e12, rel=0.03)
    assert published_predictor("llama3_figure").scaling.n_params(3.8e25) == pytest.approx(402e9, rel=0.05)
    assert published_predictor("llama3").scaling.tokens(3.8e25) < 12e12


def test_porians_rungs() -> None:
    # arXiv:2406.19146, figure 1: a falls rung by rung, and with it N* at 5.88e23.
    names = ["kaplan_setting", "head_counted", "warmup", "decay", "tuned"]
    rows = [published_estimate(f"porian_{name}") for name in names]
    assert [row.params_exponent for row in rows] == [0.835, 0.7065, 0.602, 0.5715, 0.4969]
    at_gopher = [published_predictor(row.name).scaling.n_params(5.88e23) for row in rows]
    assert at_gopher == pytest.approx([3.03e12, 787e9, 292e9, 183e9, 76.9e9], rel=1e-3)
    assert all(row.interval == "95 %" for row in rows)


def test_besiroglus_standard_errors() -> None:
    row = published_estimate("besiroglu")  # arXiv:2404.10102, Table 1
    assert (row.E_se, row.A_se, row.B_se, row.alpha_se, row.beta_se) == (0.03, 124.58, 1293.23, 0.02, 0.02)


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("kaplan", "critical_batch"),
        ("kaplan_fixed_batch", "fixed_batch"),
        ("hoffmann_approach2", "matched"),
        ("porian_kaplan_setting", "untuned"),
        ("porian_tuned", "tuned"),
        ("gemstones_approach_3", "hot"),
        ("pearce_song_non_embedding", "simulated"),
    ],
)
def test_what_training_held_fixed(name: str, training: str) -> None:
    assert published_estimate(name).training == training


def test_second_hand_rows_are_doubtful() -> None:
    assert published_estimate("xlstm").doubtful  # which N is not verified
    assert published_estimate("hoffmann_approach3").doubtful  # TeX digits, through another paper
    assert not published_estimate("hoffmann_approach2").doubtful


def test_predictors_say_what_a_reader_must_know() -> None:
    assert any("FLOPs per token" in note for note in published_predictor("deepseek").notes)
    assert any("C = 6 N D" in note for note in published_predictor("besiroglu").notes)
    assert published_predictor("besiroglu").beyond(1e24) == pytest.approx(math.log10(1e24 / 1.3e22))
