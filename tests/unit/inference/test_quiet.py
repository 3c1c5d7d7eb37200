"""OpenCV keeps silence for as long as anybody wants it."""

from ferkit.inference.quiet import quiet_opencv


def test_opencv_says_again_what_it_said_before_once_all_are_done_with_silence():
    from cv2.utils import logging

    before = logging.getLogLevel()
    one, other = quiet_opencv(), quiet_opencv()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)  # not in the order of their beginning, as it is with threads
    assert logging.getLogLevel() == logging.LOG_LEVEL_SILENT != before
    other.__exit__(None, None, None)
    assert logging.getLogLevel() == before
