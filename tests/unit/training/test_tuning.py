"""How PyTorch is set while training and while measuring."""

import torch

from ferkit.training.tuning import exact_float32, tune_gpu, untimed


def settings():
    cudnn = torch.backends.cudnn
    return cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()


def test_what_is_set_for_measuring_is_set_back():
    before = settings()
    try:
        tune_gpu()
        assert settings() == (True, before[1], "high")
        with untimed():
            assert settings() == (False, before[1], "high")
        with exact_float32():
            assert settings() == (False, False, "highest")
        assert settings() == (True, before[1], "high")
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = before[:2]
        torch.set_float32_matmul_precision(before[2])
