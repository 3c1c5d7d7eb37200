"""A run's log, and its failures in one line each."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from ferkit.errors import TrainingError, UntrainableError
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe

# What tells that a process has gone:
_GONE = (
    "DataLoader worker (pid",  # one that prepares batches, to PyTorch
    "by peer",  # one of DDP, to gloo
    "Broken pipe",
    "remote process exit",  # to NCCL
    "remote server shutdown",  # to what they meet through
)


_LOST = "a process of this run has gone, perhaps for want of memory if it does not say why"


@contextmanager
def logged(folder: RunFolder, *, active: bool) -> Iterator[logging.Logger]:
    """Yield the log of a run, which goes to its folder where ``active``, and nowhere in its other processes."""
    log = logging.getLogger(f"ferkit.run.{id(folder)}")
    log.propagate = False
    log.setLevel(logging.INFO)
    handler = _LogFile(folder.log, encoding="utf-8") if active else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    except Exception as error:
        with suppress(OSError):  # the disk is full: that is what failed, and is said
            log.error("failed: %s", error)  # noqa: TRY400
        raise
    finally:
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class _LogFile(logging.FileHandler):
    """Raises where a line cannot be written, instead of printing a traceback and going on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the base class calls it so
        raise  # noqa: PLE0704 - it is called where the error is handled


@contextmanager
def told_plainly(recipe: Recipe, folder: RunFolder) -> Iterator[None]:
    """Turn the many ways of running out of memory or disk space, or of losing a process to that, into one line."""
    try:
        yield
    except TrainingError as error:
        raise type(error)(f"{error}; {_let_go(folder)}") from None
    except (ConnectionError, EOFError):  # of a pipe to a process
        raise TrainingError(f"{_LOST}; {_let_go(folder)}") from None
    except OSError as error:
        raise TrainingError(f"{folder.path}: {error.strerror or error}; {_let_go(folder)}") from None
    except (MemoryError, RuntimeError) as error:
        if any(sign in str(error) for sign in _GONE):
            raise TrainingError(f"{_LOST}; {_let_go(folder)}") from None
        out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out_of_memory and not any(sign in str(error) for sign in ("can't allocate memory", "out of memory")):
            raise
        raise UntrainableError(
            f"out of memory with batches of {recipe.batch_size} faces; try --set batch_size="
            f"{max(2, recipe.batch_size // 2)}, or a smaller network; {_let_go(folder)}"
        ) from None


def _let_go(folder: RunFolder) -> str:
    """Free the folder of a run that failed before it had saved anything; return what is left of the run, in words."""
    if folder.last.exists():
        return "the last checkpoint is intact"
    folder.forget()
    return "nothing had been saved"
