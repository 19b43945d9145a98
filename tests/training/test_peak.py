"""The matmul peak: a positive rate, measured once, that leaves the process as it was."""

from __future__ import annotations

import pytest
import torch

from isoflop.training.peak import matmul_peak


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_a_rate_measured_once(precision: str) -> None:
    peak = matmul_peak("cpu", precision, 1)
    assert 1e8 < peak < 1e15
    assert matmul_peak(torch.device("cpu"), precision, 1) == peak  # not measured again


def test_threads_and_random_numbers_are_left_as_they_were() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    matmul_peak("cpu", "fp32", threads + 1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_faster_in_bf16_than_in_fp32() -> None:
    assert matmul_peak("cuda", "bf16", 1) > matmul_peak("cuda", "fp32", 1) > 1e11
