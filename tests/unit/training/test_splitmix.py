"""Random bits as a function of what they are for: the right numbers, even and independent."""

import pytest
import torch
from scipy import stats

from ferkit.training.splitmix import random_fields, random_words

ENOUGH = 1e-4
"""Probability below which a difference is no accident; the numbers are fixed, so a test either fails or it does not."""


def keys(n=4000):
    return random_words(torch.tensor(7), torch.arange(n))


def test_the_numbers_are_those_of_the_reference_implementation():
    words = random_words(torch.tensor(1234567), torch.arange(5))
    assert [word % 2**64 for word in words.tolist()] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_a_number_does_not_depend_on_the_others_asked_for():
    states = keys(50)
    several = random_words(states[:, None], torch.arange(40))
    assert random_words(states[17], torch.tensor(31)) == several[17, 31]
    assert torch.equal(random_fields(states, 0, 40)[17:20, 4 * 5 : 4 * 9], random_fields(states[17:20], 5, 9))


def test_a_field_is_sixteen_bits_of_its_word():
    states = keys(3)
    word = random_words(states, torch.tensor(2)).tolist()
    fields = random_fields(states, 2, 3).tolist()
    assert [sum(field << 16 * place for place, field in enumerate(row)) for row in fields] == [w % 2**64 for w in word]


@pytest.mark.parametrize("shift", [0, 4, 8, 12], ids=lambda shift: f"bits {shift} to {shift + 3}")
def test_fields_are_even(shift):
    nibbles = (random_fields(keys(), 0, 8) >> shift) & 15
    counts = torch.bincount(nibbles.flatten(), minlength=16)
    assert stats.chisquare(counts.numpy()).pvalue > ENOUGH


def fields_of(seed=0, epoch=0, samples=range(20_000)):
    """Return the first field of every sample, as training derives it."""
    run = random_words(random_words(torch.tensor(0), torch.tensor(seed)), torch.tensor(epoch))
    return random_fields(random_words(run, torch.tensor(list(samples))), 0, 2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(fields_of()[:, 0], fields_of(seed=1)[:, 0], id="two seeds"),
        pytest.param(fields_of()[:, 0], fields_of(epoch=1)[:, 0], id="two epochs"),
        pytest.param(fields_of()[:, 0], fields_of(samples=range(1, 20_001))[:, 0], id="two samples"),
        pytest.param(fields_of(seed=1)[:, 0], fields_of(epoch=1)[:, 0], id="seed and epoch"),
        pytest.param(fields_of()[:, 0], fields_of()[:, 1], id="two fields of a word"),
        pytest.param(fields_of()[:, 3], fields_of()[:, 4], id="two words"),
    ],
)
def test_neighbours_are_independent(one, other):
    pairs = torch.bincount((one >> 12) * 16 + (other >> 12), minlength=256)
    assert stats.chisquare(pairs.numpy()).pvalue > ENOUGH
    low = torch.bincount((one & 15) * 16 + (other & 15), minlength=256)
    assert stats.chisquare(low.numpy()).pvalue > ENOUGH
