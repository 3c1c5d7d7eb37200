"""Mixup and CutMix: how faces and labels are laid over each other, or one put into the other."""

import numpy as np
import pytest
import torch
from torch import nn

from ferkit.training.mixing import Mix, draw_mix


def test_faces_are_mixed_with_the_one_before():
    x = torch.tensor([0.0, 1.0, 0.5])[:, None, None, None].expand(3, 3, 2, 2)
    mixed = Mix(0.75).faces(x)
    torch.testing.assert_close(mixed[:, 0, 0, 0], torch.tensor([0.75 * 0 + 0.25 * 0.5, 0.75, 0.75 * 0.5 + 0.25]))


def test_the_loss_is_that_of_the_mixed_labels():
    log_probs = torch.log_softmax(torch.randn(4, 7, generator=torch.Generator().manual_seed(0)), 1)
    labels = torch.tensor([0, 3, 3, 6])
    soft = 0.75 * nn.functional.one_hot(labels, 7) + 0.25 * nn.functional.one_hot(labels.roll(1), 7)
    expected = -(soft * log_probs).sum(1).mean()
    torch.testing.assert_close(Mix(0.75).loss(nn.NLLLoss(), log_probs, labels), expected)


def test_without_mixup_nothing_is_touched():
    x = torch.rand(2, 3, 4, 4)
    mix = draw_mix(0.0, 0.0, 48, seed=3)
    assert mix.share == 1
    assert mix.faces(x) is x


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_follow_the_beta_distribution(alpha):
    from scipy.stats import beta, kstest

    shares = [draw_mix(alpha, 0.0, 48, seed).share for seed in range(1000)]
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.01


def test_the_same_seed_mixes_the_same():
    assert draw_mix(0.2, 1.0, 48, 5) == draw_mix(0.2, 1.0, 48, 5) != draw_mix(0.2, 1.0, 48, 6)


def test_shares_lie_between_none_and_all():
    shares = np.array([draw_mix(0.2, 0.0, 48, seed).share for seed in range(200)])
    assert ((shares >= 0) & (shares <= 1)).all()


@pytest.mark.parametrize(("share", "expected"), [(0.6, [1, 2, 3]), (0.4, [3, 1, 2])])
def test_the_label_that_weighs_more_is_counted(share, expected):
    assert Mix(share).main_labels(torch.tensor([1, 2, 3])).tolist() == expected


def test_a_cut_face_holds_a_rectangle_of_the_one_before_and_the_share_says_how_much_is_left():
    x = torch.arange(3.0)[:, None, None, None].expand(3, 3, 48, 48)
    for seed in range(50):
        mix = draw_mix(0.0, 1.0, 48, seed)
        mixed = mix.faces(x)
        assert torch.equal(mixed.unique(), x.unique())
        foreign = mixed[1, 0] == 0
        assert mix.share == pytest.approx(1 - foreign.float().mean().item(), abs=1e-6)
        rows, columns = foreign.any(1).nonzero(), foreign.any(0).nonzero()
        if len(rows):  # it is one whole rectangle
            assert foreign[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
            assert foreign.sum() == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    assert torch.equal(x[:, 0, 0, 0], torch.arange(3.0))


def test_with_both_about_every_second_batch_is_cut():
    cut = sum(draw_mix(0.2, 1.0, 48, seed).box is not None for seed in range(1000))
    assert 440 < cut < 560
