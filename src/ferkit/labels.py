"""The seven expressions of FER2013: their numbers, names and order; and the answer that is none of them.

Source: Goodfellow et al., 2013, https://arxiv.org/abs/1307.0414, section 4; the numbering is the data set's own.
"""

from enum import IntEnum


class Expression(IntEnum):
    """A class of FER2013; the value is the number in the ``emotion`` column."""

    ANGRY = 0
    DISGUST = 1
    FEAR = 2
    HAPPY = 3
    SAD = 4
    SURPRISE = 5
    NEUTRAL = 6

    @property
    def label(self) -> str:
        """Lower-case English name, as printed and as used for folder names.

        Example:
            >>> Expression(3).label
            'happy'
        """
        return self.name.lower()


EXPRESSIONS: tuple[str, ...] = tuple(e.label for e in Expression)
"""Names in class order, ``angry`` to ``neutral``."""

UNCERTAIN = "uncertain"
"""The answer where the confidence is below what was asked for."""

NUM_CLASSES = len(EXPRESSIONS)
"""K, the number of classes: 7."""
