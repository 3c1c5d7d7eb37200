"""Use a detector of your own: any function from a picture to boxes. This one takes the upper half as one face.

Run:  python examples/own_detector.py PHOTO [NETWORK]
"""

import sys

from ferkit import Box, Recognizer
from ferkit.errors import FerkitError
from ferkit.inference.images import RGB


def upper_half(picture: RGB) -> list[Box]:
    """Return a square in the middle of the upper half."""
    height, width = picture.shape[:2]
    size = min(height // 2, width)
    return [Box((width - size) // 2, 0, size)]


if len(sys.argv) not in (2, 3):
    sys.exit("usage: python examples/own_detector.py PHOTO [NETWORK]")
photo, *network = sys.argv[1:]

try:
    (face,) = Recognizer(*network, detector=upper_half).recognize(photo)
except FerkitError as error:
    sys.exit(f"error: {error}")
for expression, probability in face.probabilities.items():
    print(f"{expression:9} {probability:.3f}")
