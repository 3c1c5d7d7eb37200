"""``ferkit recognize``: photos, folders, a video or a camera to faces and what they express."""

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ferkit.cli import signals
from ferkit.cli.jobs import Job, names_a_file, plan
from ferkit.cli.options import Detector, DetectorModel, Network, Views, parse_seconds
from ferkit.cli.pool import read_pictures
from ferkit.cli.readings import Done, named_stdout, printer
from ferkit.cli.terminal import Progress, list_errors, shown
from ferkit.inference.find import is_video
from ferkit.processors import MOST_THREADS, usable_processors

if TYPE_CHECKING:
    from ferkit.inference.recognizer import Recognizer

AT_ONCE = 8
"""Pictures that are read at the same time at most, where nobody says how many; each is held in memory."""


def recognize(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO...|DIR|VIDEO...|-",
            help="Photos and folders of photos, videos, or - for a picture on standard input.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a JSON object a line: for each picture, or each frame of a video that is looked at."
        ),
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each face.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            help="Folder for annotated copies, and of a video for CSV and timeline, too; for one picture also the "
            "name of the copy.",
        ),
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option("--min-confidence", min=0, max=1, help="Answer `uncertain` for faces with a lower confidence."),
    ] = 0.0,
    detector: Detector = "haar",
    detector_model: DetectorModel = None,
    smallest_face: Annotated[
        int | None,
        typer.Option(
            "--smallest-face",
            min=1,
            metavar="PIXELS",
            help="Smallest face to look for, in pixels of the picture as it is (haar: 15 at least, yunet: 16); if "
            "left out, 30 in a picture of a million pixels, and more in larger ones.",
        ),
    ] = None,
    model: Network = None,
    max_pixels: Annotated[
        int | None, typer.Option("--max-pixels", min=1, help="Refuse larger pictures; 200 million if left out.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=MOST_THREADS,
            help="Processor threads, and pictures read at the same time; if left out, as many pictures as cores, at "
            "most 8.",
        ),
    ] = None,
    views: Views = "",
    camera: Annotated[
        int | None,
        typer.Option("--camera", min=0, max=99, help="Number of a camera, 0 for the first.", show_default=False),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", min=1, max=1_000_000, help="Look at every N-th frame of a video."),
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option("--smoothing", min=0, help="Seconds over which the readings of a video are smoothed; 0 for none."),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            "--start",
            parser=parse_seconds,
            metavar="TIME",
            help="Read a video from there on: seconds, or a time such as 1:30.",
        ),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option("--end", parser=parse_seconds, metavar="TIME", help="Stop reading a video or a camera there."),
    ] = None,
) -> None:
    """Find the faces in pictures and read their expressions.

    Folders are searched with their subfolders. A picture or a video that cannot be read does not stop the others: it is
    listed at the end, and the exit code is 1. A picture without a face is no error.
    """
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    if not sources and camera is None:
        raise typer.BadParameter("expected photos, a folder, a video, - or --camera")
    videos = [source for source in sources or [] if is_video(source)]
    if (camera is not None and sources) or (videos and len(videos) < len(sources or [])):
        raise typer.BadParameter("a camera is read alone, and videos without photos beside them")
    if len(videos) > 1 and (as_json or as_csv):
        raise typer.BadParameter("--json and --csv print what one video shows; --save writes a CSV of each")
    if not (every is smoothing is start is end is None) and not videos and camera is None:
        raise typer.BadParameter("--every, --smoothing, --start and --end are for a video or a camera")
    _check_part(start, end, camera)
    if (videos or camera is not None) and save is not None and names_a_file(save):
        raise typer.BadParameter(
            f"--save {shown(str(save))}: expected a folder, for the annotated video and what goes with it"
        )
    jobs, failed = ([], []) if videos or camera is not None else plan(sources or [], save)
    from ferkit.errors import ImageError
    from ferkit.inference.quiet import silent_libraries

    with silent_libraries():
        recognizer = _recognizer(
            model, detector, detector_model, min_confidence, max_pixels, threads, views, smallest_face
        )
        output = "json" if as_json else "csv" if as_csv else "table"
        if as_csv and isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")  # names of files for programs, whatever a terminal could show
        if videos or camera is not None:
            from ferkit.cli import recognize_video

            part = recognize_video.Part(start or 0.0, end)
            if len(videos) > 1:
                recognize_video.run_several(videos, recognizer, every=every, smoothing=smoothing, part=part, save=save)
                return
            recognize_video.run(
                camera if camera is not None else videos[0],
                recognizer,
                every=every,
                smoothing=smoothing,
                part=part,
                save=save,
                output=output,
            )
            return
        outcome = _Outcome(unread=failed)
        threads = threads or min(usable_processors(), AT_ONCE)
        try:
            _read(jobs, recognizer, save, max_pixels, output, threads, outcome)
        except (KeyboardInterrupt, SystemExit, ImageError):  # stopped, or the disk is full
            _say(jobs, outcome, save, output)
            raise
    _say(jobs, outcome, save, output)
    if outcome.unread or outcome.uncopied:
        raise typer.Exit(1)


def _check_part(start: float | None, end: float | None, camera: int | None) -> None:
    """Refuse a part that is none, or that a camera does not have."""
    if camera is not None and start is not None:
        raise typer.BadParameter("--start is for a video; a camera begins with its first picture")
    if end is not None and end <= (start or 0):
        raise typer.BadParameter("--end: expected a time after the start")


def _recognizer(
    model: str | None,
    detector: str,
    detector_model: Path | None,
    min_confidence: float,
    max_pixels: int | None,
    threads: int | None,
    views: str,
    smallest_face: int | None,
) -> "Recognizer":
    from ferkit.inference.recognizer import Recognizer
    from ferkit.inference.views import parse_views

    if threads is not None:
        import cv2

        cv2.setNumThreads(threads)
    more = {} if max_pixels is None else {"max_pixels": max_pixels}
    return Recognizer(
        model,
        detector=detector,
        detector_model=detector_model,
        min_confidence=min_confidence,
        threads=threads or 1,
        views=parse_views(views),
        smallest_face=smallest_face,
        **more,
    )


@dataclass(slots=True)
class _Outcome:
    """What became of the pictures so far."""

    pictures: int = 0
    """That are done with."""
    copies: int = 0
    unread: list[str] = field(default_factory=list)
    """Why, each a line."""
    uncopied: list[str] = field(default_factory=list)
    """Why, each a line."""


def _read(
    jobs: list[Job],
    recognizer: "Recognizer",
    save: Path | None,
    max_pixels: int | None,
    output: str,
    threads: int,
    outcome: _Outcome,
) -> None:
    """Read, print and copy the pictures, and note in ``outcome`` what became of them."""
    from ferkit.errors import ImageError

    out = printer(output, jobs, recognizer.card.classes)
    progress = Progress(len(jobs))
    try:
        with named_stdout():
            out.begin()
        for number, done in enumerate(read_pictures(jobs, recognizer, max_pixels, threads), start=1):
            signals.check()
            problem, hopeless = _copy(done, save)
            shown_as = replace(done, job=replace(done.job, copy=None)) if problem else done
            progress.clear()
            with named_stdout():
                out.picture(shown_as)
            if hopeless:
                raise ImageError(problem)
            if problem:
                outcome.uncopied.append(problem)
            elif done.drawn is not None:
                outcome.copies += 1
            if done.error is not None:
                outcome.unread.append(str(done.error))
            outcome.pictures = number
            progress.show(number)
    finally:
        progress.clear()


def _copy(done: Done, save: Path | None) -> tuple[str, bool]:
    """Write the annotated copy, below ``save``; return why that failed, and whether every other would too."""
    from ferkit.files import HOPELESS, write_bytes

    copy = done.job.copy
    if copy is None or save is None or done.drawn is None:
        return done.undrawn, False
    try:
        write_bytes(copy, done.drawn)
    except OSError as error:  # the disk is full, or the folder cannot be written to
        hopeless = error.errno in HOPELESS or not os.access(save, os.W_OK)
        return f"{copy}: cannot be written ({error.strerror or error})", hopeless
    return "", False


def _say(jobs: Sequence[Job], outcome: _Outcome, save: Path | None, output: str) -> None:
    """Say where the copies are, what went wrong and what is left."""
    if outcome.copies:
        typer.echo(f"annotated: {shown(str(save if len(jobs) != 1 else jobs[0].copy))}", err=output != "table")
    for what, lines in (("could not be read", outcome.unread), ("could not be copied", outcome.uncopied)):
        list_errors(lines, what, several=len(jobs) > 1)
    if outcome.pictures < len(jobs) != 1:
        typer.echo(f"stopped after {outcome.pictures} of {len(jobs)} pictures", err=True)
