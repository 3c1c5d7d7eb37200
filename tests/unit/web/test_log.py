"""The log of a service."""

import logging
import os
import subprocess
import sys

from ferkit.web.log import _Writer

START = """
import logging, os, sys
from ferkit.web.log import LINES, log_handler
log = logging.getLogger("x")
log.addHandler(log_handler())
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
"""


def run(code, **how):
    return subprocess.run([sys.executable, "-c", START + code], check=True, timeout=30, **how)


def test_the_last_lines_are_written_before_the_process_ends_though_stderr_leads_nowhere():
    done = run("os.write(2, b'a library'); log.error('one'); log.error('two')", capture_output=True, text=True)
    assert done.stderr == "one\ntwo\n"


def test_a_line_that_cannot_be_written_does_not_end_the_log():
    descriptor = os.open(os.devnull, os.O_RDONLY)  # as good as a disk that is full
    reader, writer = os.pipe()
    try:
        handler = _Writer(descriptor)
        handler.handle(logging.makeLogRecord({"msg": "lost"}))
        os.dup2(writer, descriptor)
        handler.handle(logging.makeLogRecord({"msg": "kept"}))
        assert os.read(reader, 100) == b"kept\n"
    finally:
        for number in (descriptor, reader, writer):
            os.close(number)


def test_a_log_that_nobody_reads_holds_nobody_up():
    reader, writer = os.pipe()
    try:
        done = run(
            "[log.error('%s', 'x' * 1000) for _ in range(3 * LINES)]; print('on we go')",
            stderr=writer, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        os.close(reader)
        os.close(writer)
    assert done.stdout == "on we go\n"
