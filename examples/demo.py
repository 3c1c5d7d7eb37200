"""Recognise the faces in two portraits in the public domain, and write annotated copies.

Run:  make demo, or: python examples/demo.py [--out FOLDER] [--model FILE]

The portraits come with scikit-image (Eileen Collins) and Matplotlib (Grace Hopper), both photographed for the United
States government; neither library is imported.
"""

import argparse
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from ferkit.cli.main import main as ferkit

PORTRAITS = {"skimage": "data/astronaut.png", "matplotlib": "mpl-data/sample_data/grace_hopper.jpg"}
"""By the package that brings it."""


def main() -> None:
    """Copy the portraits, show the command and run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the pictures")
    parser.add_argument("--model", help="another network than the shipped one")
    asked = parser.parse_args()
    try:
        photos = copy_portraits(asked.out)
    except OSError as error:
        sys.exit(f"error: {asked.out}: cannot be written to ({error.strerror or error})")
    if not photos:
        sys.exit('error: expected scikit-image or Matplotlib; run: pip install ".[demo]"')
    command = ["recognize", *map(str, photos), "--save", str(asked.out / "annotated")]
    command += [] if asked.model is None else ["--model", asked.model]
    print("$ ferkit", *command, flush=True)
    sys.argv = ["ferkit", *command]
    ferkit()


def copy_portraits(folder: Path) -> list[Path]:
    """Return the portraits that are installed, copied to ``folder``."""
    photos = []
    for package, inside in PORTRAITS.items():
        spec = find_spec(package)
        photo = Path(spec.origin).parent / inside if spec is not None and spec.origin is not None else None
        if photo is not None and photo.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            photos.append(Path(shutil.copy(photo, folder)))
    return photos


if __name__ == "__main__":
    main()
