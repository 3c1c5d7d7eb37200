"""What one contender of ``recognition.py`` and ``photographs.py`` does, in a process and an environment of its own.

Needs NumPy and the contender, nothing else of this checkout. Prints one line of JSON; with ``cold`` it prints the first
expression, as soon as it is known.

Letters: N faces, K classes, H height, W width.
"""

import argparse
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The order of every probability that is handed back; FER2013's own."""

Crops = NDArray[np.uint8]
Reader = Callable[[Crops], NDArray[np.float32]]
"""From grey crops ``(N, 48, 48)`` to probabilities ``(N, K)`` in the contender's own order."""


def ferkit(threads: int, views: Sequence[str] = ()) -> Reader:
    """Read through the public class, with a result object for each face."""
    from ferkit import Recognizer

    recognizer = Recognizer(threads=threads, views=views)

    def read(crops: Crops) -> NDArray[np.float32]:
        faces = recognizer.recognize_crops(crops)
        return np.array([[face.probabilities[name] for name in EXPRESSIONS] for face in faces], np.float32)

    return read


def ferkit_mirror(threads: int) -> Reader:
    """Read as ``ferkit``, each face with its mirror image."""
    return ferkit(threads, ("mirror",))


def ferkit_session(threads: int) -> Reader:
    """Read with the network alone."""
    from ferkit.inference.session import Session

    session = Session(threads=threads)
    return _in_our_order(session, session.card.classes)


def fer_tflite(_: int) -> Reader:
    """Read with the network fer uses unless told otherwise."""
    return _fer(use_tflite=True)


def fer_keras(_: int) -> Reader:
    """Read with the network fer's TFLite file was made from."""
    return _fer(use_tflite=False)


CONTENDERS: dict[str, Callable[[int], Reader]] = {
    "ferkit": ferkit,
    "ferkit (network alone)": ferkit_session,
    "ferkit (mirror images)": ferkit_mirror,
    "fer (TFLite)": fer_tflite,
    "fer (Keras)": fer_keras,
}

VOTES = "ferkit (compact-votes)"
"""Reads photographs alone: crops of FER2013 are compared by their labels, which it has not learnt."""


def _in_our_order(read: Reader, names: Any) -> Reader:
    order = [list(names).index(name) for name in EXPRESSIONS]
    if order == list(range(len(order))):
        return read
    return lambda crops: read(crops)[:, order]


def _fer(use_tflite: bool) -> Reader:
    """Do with crops what ``FER.detect_emotions`` does with the faces it cut out; it rounds, this does not."""
    import cv2

    recognizer: Any = importlib.import_module("fer.fer").FER(use_tflite=use_tflite)
    side = (64, 64)

    def read(crops: Crops) -> NDArray[np.float32]:
        faces = np.array([cv2.resize(crop, side) for crop in crops], np.float32)
        return np.asarray(recognizer._classify_emotions((faces / 255.0 - 0.5) * 2.0), np.float32)

    labels = recognizer._get_labels()
    return _in_our_order(read, [labels[number] for number in range(len(labels))])


def differs_from_public(contender: str, read: Reader, crops: Crops) -> float | None:
    """Return the largest difference from what fer's public method says of the same crops; it rounds to 0.01."""
    if not contender.startswith("fer "):
        return None
    public: Any = importlib.import_module("fer.fer").FER(use_tflite=contender == "fer (TFLite)", offsets=(0, 0))
    box = (0, 0, crops.shape[2], crops.shape[1])
    faces = [public.detect_emotions(np.repeat(crop[..., None], 3, axis=2), [box])[0]["emotions"] for crop in crops]
    rounded = np.array([[face[name] for name in EXPRESSIONS] for face in faces])
    return float(np.abs(rounded - read(crops)).max())


def photograph_reader(contender: str, threads: int = 1) -> Callable[[Path], str | None]:
    """Return a function that says what the largest face of a photograph expresses, with the contender's own detector.

    It returns ``None`` where there is no face, or where the contender fails.
    """
    if contender.startswith("ferkit"):
        from ferkit import Recognizer
        from ferkit.errors import FerkitError

        model = "compact-votes" if contender == VOTES else None
        ours = Recognizer(model, threads=threads, views=("mirror",) if "mirror" in contender else ())

        def read(photo: Path) -> str | None:
            try:
                faces = ours.recognize(photo)
            except FerkitError as error:
                print(error, file=sys.stderr)
                return None
            return faces[0].likeliest if faces else None

        return read
    theirs: Any = importlib.import_module("fer.fer").FER(use_tflite=contender == "fer (TFLite)")

    def read_theirs(photo: Path) -> str | None:
        try:
            faces = theirs.detect_emotions(str(photo))
        except Exception as error:  # whatever it is, there is no answer
            print(photo, repr(error), file=sys.stderr)
            return None
        emotions = max(faces, key=lambda face: int(face["box"][2]))["emotions"] if faces else {}
        return str(max(emotions, key=emotions.__getitem__)) if emotions else None

    return read_theirs


def read_photographs(contender: str, threads: int, photos: Sequence[Path]) -> dict[str, Any]:
    """Return the expression of each photograph, ``None`` where no face is found, and the milliseconds of a photograph.

    Those are processor time, the median.
    """
    read = photograph_reader(contender, threads)
    said: list[str | None] = []
    took: list[float] = []
    for photo in photos:
        began = time.process_time()
        said.append(read(photo))
        took.append(1000 * (time.process_time() - began))
    return {"said": said, "milliseconds": float(np.median(took))}


def time_calls(read: Callable[[Any], object], inputs: list[Any], seconds: float) -> dict[str, Any]:
    """Call ``read`` on one input after another; return median and shortest call in ms. The first calls do not count."""
    for given in inputs[:3]:
        read(given)
    took: list[float] = []
    stop = time.perf_counter() + seconds
    while len(took) < 5 or time.perf_counter() < stop:
        given = inputs[len(took) % len(inputs)]
        began = time.perf_counter()
        read(given)
        took.append(1000 * (time.perf_counter() - began))
    return {"median": float(np.median(took)), "shortest": min(took), "calls": len(took)}


def time_product(file: Path, threads: int, seconds: float) -> dict[str, Any]:
    """Time a matrix product that ``recognition_peak.py`` wrote, as the contenders are timed."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, which begins it
    import onnxruntime as ort  # type: ignore[import-untyped, unused-ignore]

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    kind = np.uint8 if "uint8" in given.type else np.float32
    matrix = np.random.default_rng(0).integers(0, 128, given.shape).astype(kind)
    return time_calls(lambda a: session.run(None, {given.name: a}), [matrix], seconds)


def peak_memory() -> int:
    """Return the most bytes this process held; it does not count what the one that started it held."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("read", "time", "photographs", "product", "cold", "versions"))
    parser.add_argument("--contender", choices=(*CONTENDERS, VOTES))
    parser.add_argument("--file", type=Path, help="crops as .npy, a photograph, a list of some, or a matrix product")
    parser.add_argument("--out", type=Path, help="for the probabilities")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--packages", nargs="*", default=[])
    asked = parser.parse_args()
    if asked.contender == VOTES and asked.task != "photographs":
        parser.error(f"{VOTES} reads photographs alone")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-asked.threads :])
    if asked.task == "versions":
        print(json.dumps({name: version(name) for name in asked.packages}))
    elif asked.task == "cold":
        print(photograph_reader(asked.contender)(asked.file), flush=True)
        print(json.dumps({"peak_bytes": peak_memory()}))
    elif asked.task == "photographs":
        names = asked.file.read_text(encoding="utf-8").splitlines()
        print(json.dumps(read_photographs(asked.contender, asked.threads, [Path(name) for name in names])))
    elif asked.task == "product":
        print(json.dumps(time_product(asked.file, asked.threads, asked.seconds)))
    else:
        read, crops = CONTENDERS[asked.contender](asked.threads), np.load(asked.file)
        parts = [crops[start : start + asked.batch] for start in range(0, len(crops), asked.batch)]
        if asked.task == "time":
            whole = [part for part in parts if len(part) == asked.batch]
            print(json.dumps(time_calls(read, whole, asked.seconds)))
        else:
            np.save(asked.out, np.concatenate([read(part) for part in parts]))
            used = peak_memory()
            print(json.dumps({"peak_bytes": used, "differs": differs_from_public(asked.contender, read, crops[:32])}))


if __name__ == "__main__":
    main()
