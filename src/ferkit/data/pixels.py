"""Reads rows of grey levels from text, some at a time: twice as fast as ``numpy.fromstring``.

Shape letters: N rows, T bytes of text, P numbers.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ferkit.data.faces import SIDE

PIXELS = SIDE * SIDE
"""P, the numbers in a row: 2304."""

LONGEST = 5 * PIXELS
"""Characters that are too many for a row: four for each number are needed, spaces included."""

_LEVEL = re.compile(rb"0*[0-9]{1,3}")


def parse_pixels(rows: Sequence[bytes]) -> NDArray[np.uint8] | None:
    """Return the grey levels of ``rows``, ``(N, 2304)``, or ``None`` where one of them needs a closer look.

    Args:
        rows: Decimal numbers between spaces.

    Example:
        >>> parse_pixels([b"7 " * 2303 + b"255"])[0, -3:]
        array([  7,   7, 255], dtype=uint8)
        >>> parse_pixels([b"7 " * 2303 + b"256"]) is None
        True
    """
    text_T = np.frombuffer(b"\n\n" + b"\n".join(rows) + b"\n", np.uint8)
    value_T = text_T - np.uint8(ord("0"))  # wraps: what is not a digit becomes large
    digit_T = value_T < 10
    if np.count_nonzero(digit_T) + np.count_nonzero(text_T == ord(" ")) + len(rows) + 2 != len(text_T):
        return None
    value_T *= digit_T
    # From here on every array speaks of a window of three characters: the last digits of a number, if they are digits.
    two_T = digit_T[:-1] & digit_T[1:]
    three_T = two_T[:-1] & two_T[1:]
    hundreds_T = value_T[:-2] * three_T
    rest_T = np.uint8(10) * value_T[1:-1] + value_T[2:]
    four_digits = three_T[:-1] & three_T[1:]
    if four_digits.any() or ((hundreds_T > 2) | ((hundreds_T == 2) & (rest_T > 55))).any():
        return None
    rest_T += np.uint8(100) * hundreds_T
    ends_P = np.flatnonzero(digit_T[2:-1] > digit_T[3:])  # windows that end where a number does
    row_ends = np.cumsum([len(row) + 1 for row in rows])
    if not np.array_equal(np.searchsorted(ends_P, row_ends), np.arange(1, len(rows) + 1) * PIXELS):
        return None
    values_NP: NDArray[np.uint8] = rest_T.take(ends_P).reshape(len(rows), PIXELS)
    return values_NP


def parse_row(row: bytes) -> list[int]:
    """Return the 2304 grey levels of one row, between white space of any kind.

    Raises:
        ValueError: The message says what is wrong with the row, not where it stands.

    Example:
        >>> parse_row(b"70 80.0 82")
        Traceback (most recent call last):
        ValueError: a pixel must be a whole number from 0 to 255, got '80.0'
    """
    if len(row) >= LONGEST:
        raise ValueError(f"expected {PIXELS} pixels, got {LONGEST} characters or more")
    words = row.split()
    for word in words:
        if not _LEVEL.fullmatch(word) or _level(word) > 255:
            raise ValueError(f"a pixel must be a whole number from 0 to 255, got {shown(word)}")
    if len(words) != PIXELS:
        raise ValueError(f"expected {PIXELS} pixels, got {len(words)}")
    return [_level(word) for word in words]


def _level(word: bytes) -> int:
    return int(word.lstrip(b"0") or b"0")  # Python reads no number of more than 4,300 digits, zeros or not


def shown(field: bytes) -> str:
    """Return what stands in a field, shortened, for a message.

    Example:
        >>> shown(b"Test"), shown(b"")
        ("'Test'", 'nothing')
    """
    return repr(field[:20].decode("utf-8", "backslashreplace")) if field else "nothing"
