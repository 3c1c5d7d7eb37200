"""A folder of photos to a folder of faces, cut as FER2013's are, for a network to be trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ferkit.errors import ImageError
from ferkit.files import is_folder, write_bytes
from ferkit.inference.crops import cut
from ferkit.inference.detect import Detector
from ferkit.inference.find import find_images
from ferkit.inference.images import MAX_PIXELS, enough_memory, read_image


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of a photo."""

    photo: Path
    faces: tuple[Path, ...] = ()
    """The files written; none where no face was found."""
    error: str = ""
    """Why it could not be read."""


def list_photos(folder: Path, out: Path) -> list[Path]:
    """Return the photos below ``folder``, sorted, and make sure that ``out`` has no files that faces would replace.

    Raises:
        ImageError: ``folder`` is none or has no photos, or ``out`` is not a new or empty folder.
    """
    if not is_folder(folder):
        raise ImageError(f"{folder}: expected a folder with photos")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ImageError(f"{out}: expected a new or an empty folder for the faces")
    if not (photos := find_images(folder, out)):
        raise ImageError(f"{folder}: expected a folder with pictures, found none in it")
    return photos


def cut_faces(
    folder: Path, photos: list[Path], out: Path, detector: Detector, *, every_face: bool = False
) -> Iterator[Cut]:
    """Cut the faces out of photos, and write each as a PNG of 48 x 48 grey pixels below ``out``.

    The folders are those of the photos. A face is called as its photo, which is still told by its ending:
    ``happy/me.jpg`` becomes ``happy/me.jpg.png``, and where there are several ``happy/me.jpg-2.png`` and so on.

    Args:
        folder: Where the photos are.
        photos: Of :func:`list_photos`.
        out: The folder of the faces.
        detector: Finds them, the largest first.
        every_face: Take all faces of a photo; else the largest alone.

    Yields:
        What became of each photo, in order.

    Raises:
        ImageError: A face cannot be written.
    """
    import cv2

    for photo in photos:
        try:
            picture = read_image(photo, MAX_PIXELS)
            with enough_memory(str(photo), picture.shape[1], picture.shape[0]):
                boxes = detector(picture) if every_face else detector(picture)[:1]
        except ImageError as error:
            yield Cut(photo, error=str(error))
            continue
        place = out / photo.relative_to(folder)
        faces = [place.with_name(f"{place.name}{f'-{n}' * (n > 1)}.png") for n in range(1, len(boxes) + 1)]
        for face, box in zip(faces, boxes, strict=True):
            try:
                face.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(face, cv2.imencode(".png", cut(picture, box))[1].tobytes())
            except OSError as error:
                raise ImageError(f"{face}: cannot be written ({error.strerror or error})") from None
        yield Cut(photo, tuple(faces))
