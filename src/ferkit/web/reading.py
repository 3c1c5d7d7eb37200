"""From the pictures of a request to its answer: the part that computes, in threads."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from ferkit.errors import ImageError
from ferkit.inference.annotate import annotate
from ferkit.inference.images import RGB, decode
from ferkit.inference.quiet import quiet_opencv
from ferkit.inference.recognizer import Face, Recognizer
from ferkit.web.meters import Meters
from ferkit.web.refusals import BAD_PICTURE, TOO_SLOW, Refusal
from ferkit.web.uploads import Upload


class Reader:
    """Reads uploads; several threads share it."""

    def __init__(self, recognizer: Recognizer, sha256: str, pixels: int, seconds: float, meters: Meters) -> None:
        self.recognizer, self._pixels, self._seconds, self._meters = recognizer, pixels, seconds, meters
        self._model = {"name": recognizer.card.name, "sha256": sha256}

    def answer(self, uploads: Sequence[Upload], min_confidence: float, began: float) -> dict[str, Any]:
        """Return the answer to a request.

        Args:
            uploads: Its pictures.
            min_confidence: Confidence below which an expression is uncertain.
            began: When the request was whole, by ``time.perf_counter``.

        Raises:
            Refusal: A picture is damaged or too large, or there is no time left for all of them.
        """
        sizes: list[tuple[int, int]] = []
        with self._meters.reading.time():
            found = self.recognizer.recognize_batch(self._decoded(uploads, sizes, began))
        self._count(found)
        images = [
            {
                "name": upload.name,
                "width": width,
                "height": height,
                "faces": [_doubted(face, min_confidence).to_dict() for face in faces],
            }
            for upload, (width, height), faces in zip(uploads, sizes, found, strict=True)
        ]
        milliseconds = round(1000 * (time.perf_counter() - began), 2)
        return {"model": self._model, "milliseconds": milliseconds, "images": images}

    def drawn(self, upload: Upload, min_confidence: float) -> bytes:
        """Return a PNG of the picture with its faces.

        Raises:
            Refusal: The picture is damaged or too large, or does not go into a PNG.
        """
        with self._meters.reading.time():
            picture = self._picture(upload)
            faces = self.recognizer.recognize(picture)
            canvas = annotate(picture, [_doubted(face, min_confidence) for face in faces])
            with quiet_opencv():
                done, content = cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))
        if not done:
            raise Refusal(BAD_PICTURE, f"{upload.name}: too wide or too high for a PNG.")
        self._count([faces])
        return bytes(content.tobytes())

    def frame(self, content: bytes) -> tuple[RGB, list[Face]]:
        """Return a picture of a stream and its faces.

        Raises:
            Refusal: The picture is damaged or too large.
        """
        with self._meters.reading.time():
            picture = self._picture(Upload("frame", content))
            faces = self.recognizer.recognize(picture)
        self._count([faces])
        return picture, faces

    def warm_up(self) -> None:
        """Read a grey picture, so that the first request need not wait for what is loaded late."""
        self.recognizer.recognize(np.full((96, 96, 3), 128, np.uint8))
        self.recognizer.recognize_crops(np.full((1, 48, 48), 128, np.uint8))

    def _decoded(self, uploads: Sequence[Upload], sizes: list[tuple[int, int]], began: float) -> Iterator[RGB]:
        for upload in uploads:
            if time.perf_counter() - began > self._seconds:  # nobody waits for the answer any more
                raise Refusal(TOO_SLOW, f"Reading took longer than {self._seconds:g} seconds.", 1)
            picture = self._picture(upload)
            sizes.append((picture.shape[1], picture.shape[0]))
            yield picture

    def _picture(self, upload: Upload) -> RGB:
        try:
            return decode(upload.content, upload.name, self._pixels)
        except ImageError as error:
            raise Refusal(BAD_PICTURE, f"{error}.") from None

    def _count(self, found: Sequence[Sequence[Face]]) -> None:
        self._meters.pictures.inc(len(found))
        self._meters.faces.inc(sum(map(len, found)))


def _doubted(face: Face, min_confidence: float) -> Face:
    return Face.from_probabilities(face.box, face.probabilities, min_confidence)
