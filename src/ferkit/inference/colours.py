"""A colour for each expression, told apart by colour-blind eyes too.

Source: Okabe and Ito, 2008, https://jfly.uni-koeln.de/color/; on which expression has which colour we decided.
"""

from collections.abc import Sequence

from ferkit.labels import UNCERTAIN

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

COLOURS: dict[str, Colour] = {
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "happy": (240, 228, 66),
    "sad": (0, 114, 178),
    "surprise": (86, 180, 233),
    "neutral": (178, 178, 178),
    UNCERTAIN: (255, 255, 255),
}

_SPARE: Sequence[Colour] = ((230, 159, 0), (90, 90, 90), (120, 60, 20), (20, 60, 20))


def colour_of(name: str, classes: Sequence[str] = ()) -> Colour:
    """Return the colour of ``name``; of a class that FER2013 has not, one by its place among ``classes``."""
    if name in COLOURS:
        return COLOURS[name]
    strange = [other for other in classes if other not in COLOURS]
    return _SPARE[strange.index(name) % len(_SPARE)] if name in strange else _SPARE[0]


def ink_on(colour: Colour) -> Colour:
    """Return black or white, whichever is easier to read on ``colour``."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else (255, 255, 255)
