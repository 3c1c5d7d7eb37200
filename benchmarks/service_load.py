"""What the simulated users of ``service.py`` do; read by Locust, which must be installed.

Environment: LOAD_PHOTO the file each request sends, LOAD_RATE requests a second of one user (0: one after the other).
Refused requests are counted under a name of their own, so that the times of the served ones stay apart.
"""

import os
import random
import time
from pathlib import Path

from locust import HttpUser, task

PHOTO = Path(os.environ["LOAD_PHOTO"]).read_bytes()
RATE = float(os.environ["LOAD_RATE"])


class Client(HttpUser):
    """Sends one photo again and again."""

    def on_start(self) -> None:
        """Begin at a moment of its own."""
        self.turn = time.monotonic()
        if RATE:
            self.turn += random.random() / RATE
            time.sleep(max(0.0, self.turn - time.monotonic()))

    def wait_time(self) -> float:
        """Return the seconds until its next turn, from request to request, not from answer to request.

        Locust's own pacing counts the first turn from where all users begin, and so brings them together there.
        """
        self.turn += 1 / RATE if RATE else 0
        return max(0.0, self.turn - time.monotonic())

    @task
    def recognize(self) -> None:
        """Send the photo."""
        files = {"images": ("photo.jpg", PHOTO, "image/jpeg")}
        with self.client.post("/v1/recognize", files=files, name="served", catch_response=True) as answer:
            if answer.status_code == 503:
                answer.request_meta["name"] = "refused"
                answer.success()
