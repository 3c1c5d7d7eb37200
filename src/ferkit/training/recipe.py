"""Every choice that shapes one training run, as a value."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field
from pydantic.dataclasses import dataclass

from ferkit.data.splits import Protocol
from ferkit.errors import RecipeError, UnknownNameError


@dataclass(frozen=True, kw_only=True, config=pydantic.ConfigDict(extra="forbid", allow_inf_nan=False))
class Recipe:
    """Settings of one run; vary one with :func:`dataclasses.replace`.

    Raises:
        pydantic.ValidationError: A setting is out of its range; :func:`make_recipe` turns it into a RecipeError.
    """

    model: Annotated[str, Field(description="network, a name printed by `ferkit models`")]

    options: Annotated[
        dict[str, Any], Field(description="options of the network, such as kernel or dropout; its defaults if left out")
    ] = Field(default_factory=dict)

    optimizer: Annotated[
        Literal["sgd", "nesterov", "adam", "adamw", "muon"],
        Field(
            description="update rule; sgd has momentum 0.9 (OneCycleLR moves it, see scheduler), nesterov is sgd with "
            "Nesterov's momentum, adamw is adam with decoupled weight decay, muon orthogonalises what momentum "
            "gathered for each convolution and leaves all else to nesterov"
        ),
    ] = "sgd"

    lr: Annotated[
        float, Field(strict=True, gt=0, le=1e30, description="learning rate; the peak where the scheduler is onecycle")
    ] = 0.002

    weight_decay: Annotated[
        float | None,
        Field(
            strict=True,
            ge=0,
            le=1e30,
            description="L2 penalty; if left out 0.0009 with sgd, 0.0005 with nesterov, 0 with adam, 0.05 with adamw, "
            "0.01 with muon",
        ),
    ] = None

    loss: Annotated[
        Literal["nll", "cross_entropy", "gce"],
        Field(
            description="criterion; on log-probabilities, which all networks return, nll and cross_entropy are the "
            "same function; gce is the generalised cross entropy (q = 0.7), which wrong labels sway less"
        ),
    ] = "nll"

    label_smoothing: Annotated[
        float, Field(strict=True, ge=0, lt=1, description="share of a label that is spread over all classes")
    ] = 0.0

    mixup: Annotated[
        float,
        Field(
            strict=True, ge=0, description="alpha of the Beta distribution by which pairs of faces are mixed; 0: none"
        ),
    ] = 0.0

    cutmix: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            description="like mixup, but a rectangle of one face is pasted into the other; if both are set, each batch "
            "gets one of the two, with equal chance; 0: none",
        ),
    ] = 0.0

    sam: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            description="radius of sharpness-aware minimisation (SAM): how far the weights are moved up the gradient "
            "before each step; doubles the cost; 0: none",
        ),
    ] = 0.0

    balance: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=1,
            description="how much more often faces of rare classes are drawn; 0: an epoch shows each face once, 1: all "
            "classes are equally frequent; a face is drawn in proportion to (frequency of its class) ** -balance",
        ),
    ] = 0.0

    drop_copies: Annotated[
        bool,
        Field(
            strict=True,
            description="leave out Training faces that also appear, pixel for pixel, in another split of the data that "
            "is given; `ferkit search` and ablations give data without the test split",
        ),
    ] = False

    init: Annotated[
        str,
        Field(
            description="network whose weights the run begins with: the first digits of their SHA-256, which "
            "`ferkit train --init RUN` fills in; a network that is wider inside is pruned, the channels of a narrower "
            "one are repeated; if left out, the weights are random, drawn from the seed"
        ),
    ] = ""

    teachers: Annotated[
        tuple[str, ...],
        Field(
            description="networks whose probabilities are learnt beside the labels: the first digits of the SHA-256 of "
            "their weights; `ferkit train --teacher RUN` writes them"
        ),
    ] = ()

    votes: Annotated[
        str,
        Field(
            description="FER+ votes that are learnt beside the labels: the first digits of the SHA-256 of their "
            "counts; `ferkit train --votes FILE` writes them; never together with teachers"
        ),
    ] = ""

    lessons: Annotated[
        Literal["once", "every_batch"],
        Field(
            description="which faces the teachers see; once: each Training face and its mirror image, before the run; "
            "every_batch: the faces of every batch, augmented and mixed exactly as the network sees them, which costs "
            "a forward pass of each teacher in every batch"
        ),
    ] = "once"

    distill: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=1,
            description="weight of what teachers or votes say in the loss; the labels have the rest",
        ),
    ] = 0.5

    average: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            lt=1,
            description="decay per update of the exponential moving average of the weights; the average is what is "
            "validated and kept; 0: none",
        ),
    ] = 0.0

    scheduler: Annotated[
        Literal["onecycle", "warmup", "cosine", "none"],
        Field(
            description="onecycle: a step a batch, momentum from 0.95 to 0.85 and back, as is torch's default; "
            "warmup: a step a batch, up over the first 5 % of them, then down to 0 along a cosine; "
            "cosine: a step an epoch, down to 0; none: a constant rate"
        ),
    ] = "onecycle"

    batch_size: Annotated[
        int, Field(strict=True, ge=2, le=1_000_000, description="faces an update, over all processes together")
    ] = 64

    epochs: Annotated[int, Field(strict=True, ge=1, le=1_000_000, description="passes over Training")] = 10

    augmentation: Annotated[
        Literal["report", "faces", "camera", "none"],
        Field(
            description="random changes of the Training faces; report: its five transforms; faces: shift, size, small "
            "rotation, mirror image, light and a covered part, batched only; camera: the same, and half of the faces "
            "also get little light, blur, noise and JPEG"
        ),
    ] = "report"

    mirror: Annotated[
        Literal["random", "alternating"],
        Field(
            description="when augmentation faces or camera mirrors a face: by chance, or every other epoch, half of "
            "them in each"
        ),
    ] = "random"

    augment_backend: Annotated[
        Literal["auto", "albumentations", "batched"],
        Field(
            description="what computes the augmentation; albumentations: Albumentations, face by face; batched: torch, "
            "many faces at once on the device, from the same distribution; auto: batched, the only one for "
            "augmentation faces and camera"
        ),
    ] = "auto"

    protocol: Annotated[
        Protocol,
        Field(description="standard: PublicTest validates, PrivateTest tests; report: the reverse"),
    ] = Protocol.STANDARD

    keep: Annotated[
        Literal["best", "last"],
        Field(description="weights to keep: of the epoch with the best validation accuracy, or of the last epoch"),
    ] = "best"

    seed: Annotated[
        int,
        Field(strict=True, ge=0, lt=2**31, description="seed of initialisation, shuffling, augmentation and dropout"),
    ] = 0

    precision: Annotated[
        Literal["auto", "float32", "bf16"],
        Field(description="arithmetic of the forward and backward pass; auto: bf16 where the hardware has it"),
    ] = "auto"

    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field(description="where to train; auto: cuda if there is one")
    ] = "auto"

    @pydantic.field_validator("options")
    @classmethod
    def _lists_are_tuples(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Make equal what TOML and Python write differently."""
        return {name: tuple(value) if isinstance(value, list) else value for name, value in sorted(options.items())}

    @pydantic.model_validator(mode="after")
    def _faces_are_batched(self) -> "Recipe":
        ours = self.augmentation in {"faces", "camera"}
        if ours and self.augment_backend == "albumentations":
            raise ValueError(
                f"augmentation {self.augmentation} has no Albumentations backend; leave augment_backend at auto"
            )
        if self.mirror == "alternating" and not ours:
            raise ValueError(
                f"mirror alternating belongs to augmentation faces or camera, got augmentation {self.augmentation}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _one_way_with_labels(self) -> "Recipe":
        if self.teachers and self.votes:
            raise ValueError("a network learns from teachers or from votes, not from both")
        if self.lessons == "every_batch" and self.votes:
            raise ValueError("votes are of faces as they are; set lessons to once")
        if self.loss == "gce" and self.label_smoothing > 0:
            raise ValueError("loss gce takes labels as they are; set label_smoothing to 0")
        return self

    @property
    def advisers(self) -> tuple[str, ...]:
        """Names of what is learnt from beside the labels: networks, or votes."""
        return self.teachers or ((self.votes,) if self.votes else ())

    @property
    def others(self) -> tuple[str, ...]:
        """What it takes from others than Training and its labels, in words."""
        return others_in({"teachers": self.teachers, "votes": self.votes, "init": self.init})

    @property
    def follows(self) -> bool:
        """Whether it asks its teachers about every batch."""
        return bool(self.teachers) and self.lessons == "every_batch"

    @property
    def decay(self) -> float:
        """The weight decay in force."""
        if self.weight_decay is not None:
            return self.weight_decay
        return {"sgd": 9e-4, "nesterov": 5e-4, "adam": 0.0, "adamw": 0.05, "muon": 0.01}[self.optimizer]

    def key(self) -> str:
        """Return 16 hexadecimal digits that name what is trained, whatever the seed and the device.

        Settings at their default do not enter, so a field or an option that is added later leaves old keys as they
        are. Nor does it matter which of two names a setting was given: the networks return log-probabilities, and
        there ``nll`` and ``cross_entropy`` are the same function; a weight decay may be written out or left out; both
        augmentation backends draw from one distribution. Options count as the network takes them, ``kernel=3.0`` as 3.
        ``distill`` and ``lessons`` enter even where no teacher is named: a row of a table names its teachers only once
        they are trained.

        Example:
            >>> a = Recipe(model="model3", seed=3)
            >>> a.key() == Recipe(model="model3", options={"width": 1}, loss="cross_entropy", weight_decay=9e-4).key()
            True
        """
        from ferkit.models import checked_options, model_options

        settings = self.to_dict()
        defaults = {f.name: f.default for f in fields(self)}
        changed = {
            name: value for name, value in settings.items() if name not in _NOT_IN_KEY and value != defaults[name]
        }
        if self.loss == "gce":
            changed["loss"] = self.loss
        changed["protocol"] = self.protocol.value
        changed["weight_decay"] = self.decay
        known = model_options(self.model)
        options = checked_options(self.model, self.options)
        changed["options"] = {name: _plain(value) for name, value in options.items() if value != known[name]}
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, without those that are ``None``."""
        settings = asdict(self)
        settings["protocol"] = self.protocol.value
        settings["options"] = {name: _plain(value) for name, value in sorted(self.options.items())}
        return {name: value for name, value in settings.items() if value is not None}

    def to_toml(self) -> str:
        """Return the settings as TOML; :func:`recipe_from_toml` reads it back."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


WEIGHTS_DIGITS = 16
"""Hexadecimal digits of the SHA-256 of a run's weights that name its network."""

_NOT_IN_KEY = {"seed", "device", "augment_backend", "loss", "options", "protocol", "weight_decay"}
"""Fields that do not enter the key, or enter it in a form of their own."""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def field_help() -> dict[str, str]:
    """Return what each field of a recipe means, in order."""
    return {name: str(info.description) for name, info in Recipe.__pydantic_fields__.items()}  # type: ignore[attr-defined]


def others_in(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return :attr:`Recipe.others` of the settings in a result, which need not be those of this version.

    Example:
        >>> others_in({"model": "compact", "teachers": ["c2273172177e1ee1"], "init": "ab14b8bb747f50eb"})
        ('taught by c2273172', 'begun with ab14b8bb')
    """
    taught = ", ".join(name[:8] for name in settings.get("teachers", ()))
    ways = {
        "taught by": taught,
        "beside FER+ votes": settings.get("votes", "")[:8],
        "begun with": settings.get("init", "")[:8],
    }
    return tuple(f"{how} {name}" for how, name in ways.items() if name)


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """Return a checked recipe from plain values, such as a TOML file holds.

    Raises:
        UnknownNameError: There is no such field, model or option of the model.
        RecipeError: A value is out of its range; the message names the field.
    """
    for name in settings:
        if name not in field_help():
            raise UnknownNameError("recipe field", name, field_help())
    try:
        recipe = Recipe(**settings)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        if not problem["loc"]:  # two settings that exclude each other
            raise RecipeError(str(problem["ctx"]["error"])) from None
        where = ".".join(str(part) for part in problem["loc"])
        got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
        raise RecipeError(f"{where}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{got}") from None
    return replace(recipe, options=_checked_options(recipe))


def _checked_options(recipe: Recipe) -> dict[str, Any]:
    from ferkit.models import checked_options

    options = checked_options(recipe.model, recipe.options)
    _build_once(recipe.model, tuple(options.items()))
    return options


@cache
def _build_once(model: str, options: tuple[tuple[str, Any], ...]) -> None:
    """Check options together: build the network, which allocates nothing; of many runs with the same ones once."""
    import torch

    from ferkit.data.faces import SIDE
    from ferkit.inference.preprocess import CHANNELS
    from ferkit.labels import NUM_CLASSES
    from ferkit.models import build_model

    with torch.device("meta"):
        said = build_model(model, **dict(options)).eval()(torch.empty(1, CHANNELS, SIDE, SIDE))
    if said.shape != (1, NUM_CLASSES):
        raise RecipeError(f"{model}: expected log-probabilities (B, {NUM_CLASSES}), got {tuple(said.shape)} for a face")
