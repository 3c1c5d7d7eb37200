"""Recognise the faces in one photo, and write an annotated copy.

Run:  python examples/recognize_photo.py PHOTO COPY [NETWORK]
"""

import sys
from pathlib import Path

from ferkit import Recognizer
from ferkit.errors import FerkitError
from ferkit.inference.annotate import is_replaceable, write_annotated
from ferkit.inference.images import read_image

if len(sys.argv) not in (3, 4):
    sys.exit("usage: python examples/recognize_photo.py PHOTO COPY [NETWORK]")
photo, copy, *network = sys.argv[1:]
if not is_replaceable(Path(copy)):
    sys.exit(f"{copy}: is no annotated copy, and would be replaced; choose another name")

try:
    recognizer = Recognizer(*network, min_confidence=0.4)
    picture = read_image(photo)  # RGB, upright, 8 bits
    faces = recognizer.recognize(picture)
    for face in faces:
        print(f"{face.expression} ({face.confidence:.0%}) at {face.box.x}, {face.box.y}, {face.box.size} pixels wide")
    write_annotated(Path(copy), picture, faces)
except FerkitError as error:  # one line that says what was expected, and what came
    sys.exit(f"error: {error}")
