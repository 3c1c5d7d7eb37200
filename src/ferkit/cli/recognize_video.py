"""``ferkit recognize`` for a video or a camera: readings as text, CSV or JSON lines, and files to keep."""

import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from ferkit.cli import signals
from ferkit.cli.jobs import names_apart
from ferkit.cli.readings import STDOUT, bar, named_stdout, rounded
from ferkit.cli.screen import Screen
from ferkit.cli.terminal import list_errors, shown
from ferkit.errors import ImageError
from ferkit.files import HOPELESS

if TYPE_CHECKING:
    from rich.table import Table

    from ferkit.inference.history import History
    from ferkit.inference.recognizer import Recognizer
    from ferkit.inference.recording import Recording
    from ferkit.inference.sources import Source
    from ferkit.inference.tracks import Reading
    from ferkit.inference.video import Frame

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""

LIVE_SECONDS = 0.1
"""Between two changes of the live view; ten times as much between two lines where there is no terminal."""

_BAR = 24  # characters of a full bar


@dataclass(frozen=True, slots=True)
class Part:
    """Of a video or of a camera's film, in seconds."""

    start: float = 0.0
    end: float | None = None

    def __str__(self) -> str:
        """Return what the names of files about it have and those about the whole have not."""
        if (self.start, self.end) == (0, None):
            return ""
        return f"-{self.start:.10g}-{'end' if self.end is None else f'{self.end:.10g}'}"


WHOLE = Part()


def run(
    source: "str | Path | int | Source",
    recognizer: "Recognizer",
    *,
    every: int | None = None,
    smoothing: float | None = None,
    part: Part = WHOLE,
    save: Path | None = None,
    name: str | None = None,
    output: str = "table",
) -> None:
    """Recognise the faces of a video or a camera and print what they express.

    Args:
        source: A file, the number of a camera, or an open source.
        recognizer: Finds and reads faces; its ``min_confidence`` counts after smoothing.
        every: Look at each so many-th frame; None: every frame, or ten a second of a large video.
        smoothing: Time constant in seconds; 0 for none; None: half a second.
        part: Of a source that is not open.
        save: Folder for CSV, timeline and annotated video.
        name: With which the names of those files begin; None: the video's, or one of the camera and the time.
        output: ``table`` for a summary, ``json`` for a line a frame, ``csv`` for a line a reading.

    Raises:
        ImageError: There is no such video or camera, it cannot be read, or ``save`` cannot be written to.
        typer.Exit: With 130 or 128 + n, when a camera was stopped by Ctrl-C or signal n, after everything was written.
    """
    from ferkit.inference.history import History
    from ferkit.inference.recording import Recording
    from ferkit.inference.sources import Source
    from ferkit.inference.tracks import SMOOTHING
    from ferkit.inference.video import open_source, usual_every

    with source if isinstance(source, Source) else open_source(source, start=part.start, end=part.end) as opened:
        history = History(recognizer.card.classes, opened.start)
        settings = Settings(
            usual_every(opened) if every is None else every,
            SMOOTHING if smoothing is None else smoothing,
            output,
        )
        recording = None if save is None else Recording(save, name or _name(opened, part, save), opened, history)
        try:
            stopped = _watch(opened, recognizer, history, settings, recording)
        except BrokenPipeError:
            raise
        except (OSError, ImageError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(error, OSError):
                if save is None or error.filename == STDOUT:
                    raise
                error = ImageError(f"{save}: cannot be written to ({error.strerror or error})")
            if history.closed:  # all was read, and is not lost with a file
                _tell(opened, history, recording, output)
            raise error from cause
    _tell(opened, history, recording, output)
    if stopped:
        raise typer.Exit(stopped)


def run_several(
    videos: Sequence[str],
    recognizer: "Recognizer",
    *,
    every: int | None = None,
    smoothing: float | None = None,
    part: Part = WHOLE,
    save: Path | None = None,
) -> None:
    """Recognise the faces of one video after another, as :func:`run` does, and print a summary of each.

    A video that cannot be read does not stop the others; a full disk does.

    Raises:
        typer.Exit: With 1, when one could not be read or its files not written; they are listed before.
    """
    what = "could not be read or written" if save is not None else "could not be read"
    failed: list[str] = []
    done, summed_up = 0, False
    names = names_apart(Path(f"{Path(video).stem}{part}.csv") for video in videos)

    def say() -> None:
        list_errors(failed, what, several=True)
        if done < len(videos):
            typer.echo(f"stopped after {done} of {len(videos)} videos", err=True)

    for video, name in zip(videos, names, strict=True):
        if summed_up:
            typer.echo()
        summed_up = False
        try:
            run(
                video,
                recognizer,
                every=every,
                smoothing=smoothing,
                part=part,
                save=save,
                name=name.name[: -len(".csv")],
            )
            summed_up = True
        except ImageError as error:
            failed.append(str(error))
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in HOPELESS:
                done += 1
                break
        except (KeyboardInterrupt, SystemExit):
            say()
            raise
        done += 1
    say()
    if failed:
        raise typer.Exit(1)


def _tell(source: "Source", history: "History", recording: "Recording | None", output: str) -> None:
    """Print how a source ended, what was seen and which files were written."""
    if source.remark is not None:
        typer.echo(f"warning: {shown(source.remark)}", err=True)
    if output == "table":
        with named_stdout():
            print_summary(history, shown(source.name))
    if recording is not None and recording.written:
        typer.echo(f"saved: {shown(', '.join(map(str, recording.written)))}", err=output != "table")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to watch and what to print."""

    step: int
    """From one look to the next, in frames."""
    smoothing: float
    """Time constant in seconds."""
    output: str
    """``table``, ``json`` or ``csv``."""


def _watch(
    source: "Source",
    recognizer: "Recognizer",
    history: "History",
    settings: Settings,
    recording: "Recording | None",
) -> int:
    """Read ``source`` into ``history``; return the exit code where Ctrl-C or a signal ended a camera, 0 otherwise."""
    from ferkit.inference.recording import ReadingsCsv
    from ferkit.inference.video import read_video

    with named_stdout():
        lines = ReadingsCsv(sys.stdout, history.classes) if settings.output == "csv" else None
    stopped, last = 0, 0.0
    unheard: OSError | None = None
    with ExitStack() as stack:
        if recording is not None:
            stack.enter_context(recording)
        view = stack.enter_context(_view(source, settings))
        draw = None if recording is None else recording.draw
        try:
            for frame in read_video(source, recognizer, settings.step, smoothing=settings.smoothing, draw=draw):
                signals.check()
                last = frame.seconds
                history.add(frame)
                if recording is not None:
                    recording.add(frame)
                with named_stdout():
                    if lines is not None:
                        lines.add(frame)
                        sys.stdout.flush()  # a program may be reading along
                    elif settings.output == "json":
                        typer.echo(json.dumps(rounded(frame.to_dict())))
                view.show(frame)
        except (KeyboardInterrupt, SystemExit) as end:  # the latter by a signal
            if not source.live:
                raise
            stopped = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 130
        except OSError as error:  # nobody reads along any more, as where a terminal is closed
            if not source.live or recording is None or error.filename != STDOUT:
                raise
            unheard = error
        history.close(_end(source, last, settings.step))
    if unheard is not None:
        raise unheard
    return stopped


def print_summary(history: "History", name: str) -> None:
    """Print each track: when it was seen, and what share of that time it expressed what."""
    from ferkit.inference.history import BRIEF, without_brief
    from ferkit.inference.timeline import clock
    from ferkit.inference.tracks import SURE

    tracks = history.tracks()
    if not tracks:
        typer.echo(f"{name}: no face found in {history.end - history.start:.1f} s")
        return
    count = "1 track" if len(tracks) == 1 else f"{len(tracks)} tracks"
    typer.echo(f"{name}: {count} in {history.end - history.start:.1f} s")
    longer = without_brief(tracks)
    for track in longer:
        when = f"{clock(track.first, tenths=True)} to {clock(track.last, tenths=True)}"
        looks = "1 look" if track.looks == 1 else f"{track.looks} looks"
        typer.echo(f"\ntrack {track.number}: {when}, seen for {track.seconds:.1f} s in {looks}")
        for expression, share in track.shares.items():
            typer.echo(f"  {expression:<10}{share:>5.0%}  {bar(share, _BAR)}")
    if len(longer) < len(tracks):
        more = f"\nnot shown: {len(tracks) - len(longer)} more"
        typer.echo(f"{more}, each seen for less than {BRIEF} s or in fewer than {SURE} looks")


class _View(AbstractContextManager["_View"]):
    """Shows nothing; the others show what is going on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        pass

    def show(self, frame: "Frame") -> None:
        pass


class _Progress(_View):
    """A bar with the time left on a terminal, lines elsewhere; both on stderr."""

    def __init__(self, source: "Source", step: int) -> None:
        from ferkit.inference.timeline import clock

        self._clock = clock
        length = source.expected / source.fps if source.expected else math.inf
        end = max(source.start, min(source.until, length))
        self._end = clock(end) if end < math.inf else "?"
        self._first = round(source.start * source.fps)
        self._expected = round(end * source.fps) - self._first if end < math.inf else 0
        self._screen = Screen("{task.fields[faces]}")
        self._began = self._said = time.monotonic()
        looks = "every frame" if step == 1 else f"1 frame in {step}"
        rate = f"{source.fps:.4g} frame{'' if source.fps == 1 else 's'}/s"
        size = f"{source.width} x {source.height}, {rate}, {clock(length) if source.expected else '?'}"
        part = f"from {clock(source.start)} to {self._end}, " if source.start or source.until < math.inf else ""
        self._opening = f"{shown(source.name)}: {size}; {part}looking at {looks}"

    def __enter__(self) -> Self:
        self._screen.say(self._opening, whole=True)
        self._screen.begin("video", "00:00", self._expected or None, faces="")
        return self

    def __exit__(self, *what: object) -> None:
        self._screen.close()

    def show(self, frame: "Frame") -> None:
        done, now = max(1, frame.number + 1 - self._first), time.monotonic()
        where = f"{self._clock(frame.seconds)}/{self._end}"
        if self._screen.is_terminal:
            faces = "1 face" if len(frame.readings) == 1 else f"{len(frame.readings)} faces"
            self._screen.advance("video", done, where, faces=faces)
        elif now - self._said >= LINE_SECONDS:
            self._said = now
            left = ""
            if self._expected:
                left = f", {self._clock((now - self._began) / done * max(0, self._expected - done))} left"
            self._screen.say(f"{where}, frame {frame.number + 1}{left}")


class _Live(_View):
    """The faces of this moment: a table on a terminal, a line a second elsewhere; both on stdout."""

    def __init__(self, source: "Source") -> None:
        from rich.console import Console
        from rich.live import Live

        self._name = shown(source.name)
        self._console = Console(highlight=False)
        self._table = Live(console=self._console, auto_refresh=False, transient=True)
        self._shown = -math.inf
        self._first: dict[int, float] = {}
        self._looks = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._table.start()
        return self

    def __exit__(self, *what: object) -> None:
        if self._console.is_terminal:
            with suppress(OSError):  # of a terminal that is closed
                self._table.stop()

    def show(self, frame: "Frame") -> None:
        from ferkit.inference.tracks import SURE

        self._looks += 1
        readings = [reading for reading in frame.readings if reading.looks >= SURE]
        self._first = {r.track: self._first.get(r.track, frame.seconds) for r in readings}
        terminal = self._console.is_terminal
        if frame.seconds - self._shown < (LIVE_SECONDS if terminal else 10 * LIVE_SECONDS):
            return
        self._shown = frame.seconds
        with named_stdout():
            if terminal:
                self._table.update(self._draw(frame, readings), refresh=True)
            else:
                faces = [f"{r.track} {r.face.guess} {r.face.confidence:.0%}" for r in readings]
                self._console.print(
                    f"{frame.seconds:7.1f} s  {', '.join(faces) or 'no face'}", markup=False, soft_wrap=True
                )

    def _draw(self, frame: "Frame", readings: "list[Reading]") -> "Table":
        from rich.table import Table
        from rich.text import Text

        from ferkit.inference.colours import colour_of

        missed = frame.number + 1 - self._looks
        speed = f"{self._looks / max(frame.seconds, 1):.1f} looks/s"
        caption = f"{frame.seconds:.0f} s, {speed}, {missed} pictures left out; Ctrl-C ends"
        table = Table(title=self._name, caption=caption, min_width=64)
        table.add_column("track", justify="right")
        table.add_column("expression", min_width=11)
        table.add_column("confidence", min_width=_BAR + 5)
        table.add_column("seen for", justify="right")
        for reading in readings:
            face = reading.face
            red, green, blue = colour_of(face.expression, tuple(face.probabilities))
            filled = bar(face.confidence, _BAR, self._console.encoding)
            drawn = Text(f"{filled:<{_BAR}}", style=f"rgb({red},{green},{blue})")
            drawn.append(f" {face.confidence:4.0%}", style="default")
            seen = f"{frame.seconds - self._first[reading.track]:.1f} s"
            table.add_row(str(reading.track), Text(face.guess), drawn, seen)
        if not readings:
            table.add_row("", "no face", "", "")
        return table


def _view(source: "Source", settings: Settings) -> _View:
    if source.live:
        return _Live(source) if settings.output == "table" else _View()
    return _Progress(source, settings.step)


def _name(source: "Source", part: Part, folder: Path) -> str:
    """Return what the saved files' names begin with: a new one for a camera, whose pictures do not come again."""
    if not source.live:
        return f"{Path(source.name).stem}{part}"
    name = f"{source.name.replace(' ', '-')}-{datetime.now():%Y-%m-%d-%H%M%S}"
    names = (name, *(f"{name}-{number}" for number in range(2, 1000)))
    return next((each for each in names if not (folder / f"{each}.csv").exists()), name)


def _end(source: "Source", last: float, step: int) -> float:
    """Return until when the last readings hold: the next look, or the end of the video."""
    return max(last + 1 / source.fps, min(last + step / source.fps, source.end))
