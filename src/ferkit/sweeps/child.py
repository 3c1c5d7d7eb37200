"""Trains one run in a process of its own: ``python -m ferkit.sweeps.child FOLDER``.

Reads a line of JSON on stdin: ``recipe``; ``data``, the path of the data set; ``teachers``, run folders to learn from;
``init``, the run folder whose weights to begin with, and ``votes``, the file of FER+ votes, or nothing; ``tested``,
whether it may read the test split; and ``peak``, operations a second of the device, or nothing. Writes lines of JSON to
stdout: ``{"progress": share}`` at most once a second, at last ``{"finished": true}``, ``{"stopped": where}`` or
``{"failed": reason}``. Stdin stays open while the parent lives; when it closes, the run is saved and stops, so that
nothing trains on unwatched after the parent was killed.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ferkit.errors import FerkitError, RunError
from ferkit.files import write_text

if TYPE_CHECKING:
    from ferkit.training.folder import RunFolder
    from ferkit.training.recipe import Recipe

LOCK_SECONDS = 60.0
"""How long to wait for a process that is still saving the same run."""

_TELL_SECONDS = 1.0

Tell = Callable[[dict[str, Any]], None]


def main() -> int:
    """Run as the module says; return the exit code."""
    tell = _private_stdout()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _run(request, Path(sys.argv[1]), tell)
    except FerkitError as error:
        tell({"failed": str(error)})
        return 1
    except Exception as error:  # a bug: the traceback goes to the file that holds our stderr
        traceback.print_exc()
        tell({"failed": f"{type(error).__name__}: {str(error).partition(os.linesep)[0]}"})
        return 1
    return 0


def _run(request: dict[str, Any], folder: Path, tell: Tell) -> None:
    from ferkit.data import read_fer2013
    from ferkit.training.events import Finished, Started, Stopped
    from ferkit.training.folder import RunFolder
    from ferkit.training.loop import Step
    from ferkit.training.needs import ask_others
    from ferkit.training.recipe import make_recipe
    from ferkit.training.run import train

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            own = RunFolder(folder)
            recipe = _as_begun(make_recipe(request["recipe"]), own)
            data = read_fer2013(Path(request["data"]))
            recipe, others = ask_others(recipe, data, own, **_others(request, recipe, own))
            if not request["tested"]:
                data = data.without(recipe.protocol.test)
            steps, told = 1, 0.0
            for event in train(recipe, data, folder, resume=True, others=others, peak=request["peak"]):
                match event:
                    case Started():
                        steps = event.steps
                        tell({"progress": (event.epoch + event.step / steps) / recipe.epochs})
                    case Step():
                        if time.monotonic() - told >= _TELL_SECONDS:
                            told = time.monotonic()
                            tell({"progress": (event.epoch - 1 + event.step / steps) / recipe.epochs})
                    case Stopped():
                        tell({"stopped": f"after epoch {event.epoch}, batch {event.step}"})
                    case Finished():
                        tell({"finished": True})
    except Timeout:
        raise RunError(f"{folder}: another process has been training here for {LOCK_SECONDS:.0f} s") from None


def _others(request: dict[str, Any], recipe: "Recipe", folder: "RunFolder") -> dict[str, Any]:
    """Return what :func:`ask_others` is given: a run that has what it needs goes on where the others are gone."""
    taught, begun = folder.lesson.exists(), folder.last.exists()
    return {
        "teachers": [] if taught or (begun and recipe.follows) else [Path(run) for run in request["teachers"]],
        "votes": Path(request["votes"]) if request["votes"] and recipe.votes and not taught else None,
        "init": Path(request["init"]) if request["init"] and not begun else None,
    }


def _as_begun(recipe: "Recipe", folder: "RunFolder") -> "Recipe":
    """Return the recipe to go on with: as the folder has it where that is the same run, on the device asked for now."""
    if not folder.recipe.exists():
        return recipe
    begun = folder.read_recipe()
    if (begun.key(), begun.seed) != (recipe.key(), recipe.seed):
        return recipe  # train() refuses it, and says why
    if begun.device != recipe.device:
        begun = replace(begun, device=recipe.device)
        write_text(folder.recipe, begun.to_toml())
    return begun


def _private_stdout() -> Tell:
    """Keep stdout to ourselves: whatever else prints goes to stderr."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(message: dict[str, Any]) -> None:
        with suppress(OSError):  # the parent has gone; the watch on stdin takes care of that
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()

    return tell


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
