"""One door to the data set, whatever its form."""

from dataclasses import replace
from pathlib import Path

from ferkit.data import cache
from ferkit.data.csv import read_csv
from ferkit.data.faces import Fer2013
from ferkit.data.folder import folder_notes, read_folder
from ferkit.errors import DataError
from ferkit.files import expanded


def read_fer2013(path: str | Path, *, use_cache: bool = True) -> Fer2013:
    """Read FER2013 from a file or a folder; the second time from the cache.

    Args:
        path: ``fer2013.csv`` or ``icml_face_data.csv``, plain, gzipped, zipped or in a tar.gz; or a folder that holds
            ``train/<class>/*.jpg|png`` and ``test/<class>/...``.
        use_cache: Read from and write to the user's cache folder.

    Raises:
        DataError: There is no such file, or it is not FER2013; the message names the file and the line.
    """
    source = expanded(path)
    try:
        if not source.exists():
            raise DataError(f"{path}: no such file or folder")
        if not source.is_file() and not source.is_dir():
            raise DataError(f"{path}: expected a file or folder, got a device or pipe")
        return _read_with_cache(source) if use_cache else _read(source)
    except OSError as error:
        raise DataError(f"{error.filename or path}: {error.strerror or error}") from None


def _read_with_cache(source: Path) -> Fer2013:
    stamp = cache.stamp(source)
    digest = cache.fingerprint(source, stamp)
    data = cache.load(digest, source)
    if data is None:
        data = _read(source)
        if cache.stamp(source) != stamp:
            return data  # the source changed under our hands: what was read has another digest
        cache.store(digest, data)
    elif source.is_dir():  # what is passed over may be another today
        data = replace(data, notes=folder_notes(source))
    cache.remember(source, stamp, digest)
    return data


def _read(source: Path) -> Fer2013:
    return read_folder(source) if source.is_dir() else read_csv(source)
