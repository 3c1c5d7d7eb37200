"""Operations of a face and the share of the peak."""

import time

import pytest
import torch

from ferkit.models import build_model
from ferkit.models.flops import training_flops
from ferkit.training.speed import peak_flops, peak_share


def products_of_layers():
    """Count the network with 4 layers by hand: outputs times inputs of each, for a face."""
    return 48 * 48 * 8 * (3 * 9) + 48 * 48 * 16 * (8 * 9) + 24 * 24 * 32 * (16 * 9) + 7 * 32


def test_operations_are_two_a_product_and_three_passes_but_for_the_gradient_of_the_face():
    first = 48 * 48 * 8 * (3 * 9)
    assert training_flops("layers", depth=4) == 2 * (3 * products_of_layers() - first)


def test_operations_know_the_options_of_the_network_and_allocate_nothing():
    began = time.perf_counter()
    doubled = training_flops("model3", width=2.0)
    assert 3.9 < doubled / training_flops("model3") < 4.0
    assert time.perf_counter() - began < 10


def test_every_network_can_be_counted_where_another_device_is_the_default():
    assert training_flops("model2") > 1e9
    assert all(p.device.type == "cpu" for p in build_model("model2").parameters())


@pytest.mark.alone
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_peak_of_a_cpu_is_measured_soon_and_once(precision):
    peak = peak_flops("cpu", precision)
    assert 1e8 < peak < 1e15
    began = time.perf_counter()
    assert peak_flops("cpu", precision) == peak
    assert time.perf_counter() - began < 0.01


def test_the_share_is_the_work_done_over_the_peak_of_all_devices():
    peak = peak_flops("cpu", "float32")
    assert peak_share(2_000_000, peak / 4_000_000, peak) == pytest.approx(0.5)
    assert peak_share(2_000_000, peak / 4_000_000, peak, processes=2) == pytest.approx(0.25)
    assert peak_share(2_000_000, peak / 1_000_000, peak) is None  # no run does more than its device can


def test_counting_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    training_flops("layers", depth=5)
    assert torch.equal(torch.get_rng_state(), before)
