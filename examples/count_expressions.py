"""Count the expressions in a folder of photos.

Run:  python examples/count_expressions.py FOLDER [NETWORK]
"""

import sys
from collections import Counter
from pathlib import Path

from ferkit import Recognizer
from ferkit.errors import FerkitError, ImageError
from ferkit.inference.find import find_images

if len(sys.argv) not in (2, 3):
    sys.exit("usage: python examples/count_expressions.py FOLDER [NETWORK]")
folder, *network = sys.argv[1:]

try:
    recognizer = Recognizer(*network)
except FerkitError as error:
    sys.exit(f"error: {error}")
counts: Counter[str] = Counter()
unread = 0
for path in find_images(Path(folder)):
    try:
        counts.update(face.expression for face in recognizer.recognize(path))
    except ImageError as error:  # one line that names the file; the others go on
        print(error, file=sys.stderr)
        unread += 1
for expression, count in counts.most_common():
    print(f"{expression:9} {count}")
if not counts:
    print("no face was found", file=sys.stderr)
sys.exit(1 if unread else 0)
