"""What a running service consists of."""

import json

from starlette.requests import HTTPConnection

from ferkit.files import file_sha256
from ferkit.inference.recognizer import Recognizer
from ferkit.inference.weights import network_file
from ferkit.web.desk import Desk
from ferkit.web.keys import Keys
from ferkit.web.meters import Meters
from ferkit.web.reading import Reader
from ferkit.web.refusals import STARTING, Refusal
from ferkit.web.settings import Settings
from ferkit.web.stream import Streams


class Service:
    """Network, threads and meters of one process."""

    def __init__(self, settings: Settings, keys: Keys, meters: Meters) -> None:
        """Load the network.

        Raises:
            FerkitError: As :class:`ferkit.Recognizer`.
        """
        self.settings, self.meters = settings, meters
        recognizer = Recognizer(
            settings.model,
            detector=settings.detector,
            detector_model=settings.detector_model,
            max_pixels=settings.pixels,
            views=settings.views,
        )
        sha256 = file_sha256(network_file(settings.model))
        self.reader = Reader(recognizer, sha256, settings.pixels, settings.seconds, meters)
        self.desk = Desk(settings.threads, settings.waiting, settings.seconds, meters.taken)
        self.streams = Streams(self.reader, self.desk, keys, settings, meters)
        limits = {name: getattr(settings, name) for name in ("body_bytes", "frame_bytes", "pixels", "images")}
        self.card = {
            **json.loads(recognizer.card.to_json()),
            "sha256": sha256,
            "limits": limits,
            "min_confidence": settings.min_confidence,
            "views": settings.views,
        }

    def min_confidence(self, asked: float | None) -> float:
        """Return the confidence below which a reading is uncertain: what a request asked for, or the service's own."""
        return self.settings.min_confidence if asked is None else asked

    @classmethod
    def of(cls, connection: HTTPConnection) -> "Service":
        """Return the service that a request reached.

        Raises:
            Refusal: It was never started, as where an application that mounts it does not hand on its lifespan.
        """
        service: Service | None = getattr(connection.app.state, "service", None)
        if service is None:
            sentence = "The service was not started; an application that mounts it has to run its lifespan."
            raise Refusal(STARTING, sentence)
        return service
