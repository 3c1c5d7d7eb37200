"""Runs ferkit and notes every use of the network: ``python quiet_ferkit.py NOTES ARGUMENT...``.

An audit hook sees each attempt in this process and, inherited by fork, in its helpers, whoever makes it; addresses
outside the loopback are refused.
"""

import os
import sys
from pathlib import Path


def watch(event, arguments):
    if event not in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"}:
        return
    where = str(arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0])
    if isinstance(arguments[-1], (str, bytes)) and event == "socket.connect":  # a socket file of the data loader
        return
    if any(name in where for name in ("127.0.0.1", "localhost", "::1")):
        return
    with Path(NOTES).open("a") as sink:
        sink.write(f"{os.getpid()} {event} {where}\n")
    raise PermissionError(f"no network in this test: {event} {where}")


if __name__ == "__main__":
    NOTES = sys.argv[1]
    sys.addaudithook(watch)
    sys.argv = ["ferkit", *sys.argv[2:]]

    from ferkit.cli.main import main

    main()
