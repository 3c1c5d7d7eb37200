"""What tests of the service share."""

import io
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

from PIL import Image

from networks import grey_of

KEY = "correct horse battery staple"


def picture(name="happy", size=(60, 50), form="PNG"):
    """Return the bytes of a picture that is one face of this expression."""
    content = io.BytesIO()
    Image.new("RGB", size, (grey_of(name),) * 3).save(content, form)
    return content.getvalue()


class Service:
    """A running ``ferkit serve``."""

    def __init__(self, process, address):
        self.process, self.address = process, address

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=20) as answer:
            return answer.read()

    def recognize(self, content=None):
        body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        body += (picture() if content is None else content) + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        request = urllib.request.Request(self.address + "/v1/recognize", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])


@contextmanager
def serving(*arguments, command=("-m", "ferkit"), environment=None):
    """Yield a service that listens on a free port."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command), "serve", "--port", "0", *map(str, arguments)],
        stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        line = process.stderr.readline()
        assert line.startswith("ferkit serves on http://127.0.0.1:"), line + process.stderr.read()
        yield Service(process, line.split()[3].rstrip(";,"))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
