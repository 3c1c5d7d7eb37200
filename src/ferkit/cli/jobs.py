"""Which pictures ``ferkit recognize`` reads, and what their annotated copies are called."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from ferkit.cli.terminal import shown
from ferkit.files import is_folder
from ferkit.inference.find import ENDINGS, VIDEO_ENDINGS, find_images, find_linked, is_video

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Job:
    """A picture to read."""

    name: str
    path: Path | None
    """None: standard input."""
    inside: Path
    """Its name below the folder it was found in."""
    copy: Path | None = None
    """Where the annotated copy goes."""


def names_a_file(save: Path) -> bool:
    """Return whether ``save`` is called as a picture or a video is, and no folder."""
    return is_video(str(save)) or (save.suffix.lower() in ENDINGS and not save.is_dir())


def plan(sources: Iterable[str], save: Path | None) -> tuple[list[Job], list[str]]:
    """Return the pictures to read, with the names of their copies, and what is wrong with sources that have none.

    Says on stderr that videos, linked folders and what earlier calls left in folders are not read.

    Raises:
        ImageError: A copy would take the place of a picture that is read, or ``save`` cannot be what it names.
    """
    from ferkit.errors import ImageError
    from ferkit.inference.annotate import is_copy

    jobs: list[Job] = []
    failed: list[str] = []
    videos: list[Path] = []
    drawn: list[Path] = []
    links: list[Path] = []
    sources = list(sources)
    several = sum(map(is_folder, sources)) > 1
    for source in sources:
        path = Path(source)
        if not source:
            raise ImageError("expected the name of a picture or a folder, got an empty one")
        if source == STDIN:
            if any(job.path is None for job in jobs):
                raise ImageError("standard input holds one picture; expected - only once")
            jobs.append(Job("standard input", None, Path("stdin.png")))
        elif is_folder(path):
            found: list[Path] = []
            for each in find_images(path, save, ENDINGS | VIDEO_ENDINGS):
                (drawn if is_copy(each) else videos if is_video(str(each)) else found).append(each)
            links += find_linked(path, save)
            if not found:
                failed.append(f"{path}: expected a folder with pictures, found none in it")
            top = Path(path.resolve().name if several else "")  # each with its own tree of copies
            jobs += [Job(str(each), each, top / each.relative_to(path)) for each in found]
        else:
            jobs.append(Job(source, path, Path(path.name)))
    for what, how, left in (
        ("video", "videos are read by their names, without photos beside them", videos),
        ("linked folder", "a link is followed only when it is named", links),
        ("annotated file", "a copy is read only when it is named", drawn),
    ):
        if left:
            number = f"1 {what}" if len(left) == 1 else f"{len(left)} {what}s"
            typer.echo(f"left out: {number}, such as {shown(str(left[0]))}; {how}", err=True)
    return (jobs if save is None else _with_copies(jobs, save)), failed


def _with_copies(jobs: list[Job], save: Path) -> list[Job]:
    from ferkit.errors import ImageError
    from ferkit.inference.annotate import WRITABLE, is_replaceable

    ending = save.suffix.lower()
    if ending in ENDINGS and not save.is_dir():
        if ending not in WRITABLE:
            raise ImageError(f"--save {save}: expected a folder or a name that ends in {', '.join(WRITABLE)}")
        if len(jobs) > 1:
            raise ImageError(f"--save {save}: expected a folder for the copies of {len(jobs)} pictures, got a file")
        copies = [save] * len(jobs)
    elif save.exists() and not save.is_dir():
        raise ImageError(
            f"--save {save}: expected a folder or the name of a picture, got an existing file of another kind"
        )
    else:
        copies = [save / name for name in names_apart(map(_named, jobs))]
    paths = [job.path for job in jobs if job.path is not None]
    read = {*map(_place, paths), *map(os.path.realpath, paths)}  # a link, and what it leads to
    for copy in copies:
        if _place(copy) in read:
            raise ImageError(
                f"--save {save}: the copy {copy} would overwrite a picture that is read; choose another folder"
            )
        if not is_replaceable(copy):
            raise ImageError(
                f"--save {save}: the copy {copy} would overwrite a file that is no annotated copy; "
                "choose another folder"
            )
    return [Job(job.name, job.path, job.inside, copy) for job, copy in zip(jobs, copies, strict=True)]


def names_apart(names: Iterable[Path]) -> Iterator[Path]:
    """Yield the names, with a number where one was there before, on file systems that ignore case, too."""
    taken: set[str] = set()
    for name in names:
        each, number = name, 1
        while (key := unicodedata.normalize("NFC", str(each)).casefold()) in taken:
            number += 1
            each = name.with_name(f"{name.stem}-{number}{name.suffix}")
        taken.add(key)
        yield each


def _named(job: Job) -> Path:
    from ferkit.inference.annotate import JPEG

    return job.inside if job.inside.suffix.lower() in JPEG else job.inside.with_suffix(".png")


def _place(path: Path) -> str:
    return str(Path(os.path.realpath(path.parent), path.name))
