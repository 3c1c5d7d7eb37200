"""Random bits that are a function of what they are for, on any device.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, https://doi.org/10.1145/2660193.2660195,
and the reference implementation of SplitMix64, https://prng.di.unimi.it/splitmix64.c. The n-th number of that generator
is a function of its state and n alone, so nothing has to be drawn in order. It is made of sums, products and shifts
modulo 2 to the 64, which torch's int64 does exactly and alike on every device.
"""

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)  # constants of the source, as torch's signed numbers
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


def random_words(states: Tensor, numbers: Tensor) -> Tensor:
    """Return 64 random bits, as int64, for each pair of a state and a number.

    Args:
        states: Int64 of any shape: the states of generators.
        numbers: Int64, at least 0, of a shape that broadcasts with it: which number of that generator, from 0.

    Example:
        >>> random_words(torch.tensor(1234567), torch.arange(2)).tolist()
        [6457827717110365317, 3203168211198807973]
    """
    words = states + (numbers + 1) * _GAMMA
    words ^= _shifted(words, 30)
    words *= _FIRST
    words ^= _shifted(words, 27)
    words *= _SECOND
    words ^= _shifted(words, 31)
    return words


def random_fields(states: Tensor, first: int, last: int) -> Tensor:
    """Return the numbers ``first`` to ``last``, exclusive, of every generator, cut into fields of 16 bits.

    Args:
        states: ``(N,)`` int64.
        first: From 0.
        last: Above ``first``.

    Returns:
        ``(N, 4 (last - first))`` int32, each value in 0..65535.
    """
    words = random_words(states[:, None], torch.arange(first, last, device=states.device))
    return words.view(torch.int16).to(torch.int32) & 0xFFFF


def _shifted(words: Tensor, bits: int) -> Tensor:
    """Return ``words`` shifted right with zeros coming in, which torch has no operator for."""
    return (words >> bits).bitwise_and_((1 << (64 - bits)) - 1)
