"""Runs ferkit and notes every use of the network: ``python quiet_ferkit.py NOTES ARGUMENT...``.

Several commands follow each other with ``THEN`` between them, in one process; the first that fails is the last.

An audit hook sees each attempt in this process and, inherited by fork, in its helpers, whoever makes it; addresses
outside the loopback are refused.
"""

import os
import sys
from itertools import groupby
from pathlib import Path

THEN = "--then--"


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
    commands = [list(part) for then, part in groupby(sys.argv[2:], lambda word: word == THEN) if not then]

    from ferkit.cli.main import main

    for arguments in commands:
        sys.argv = ["ferkit", *arguments]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
