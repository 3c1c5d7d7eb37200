"""What each way to train brings, alone: the compact network for a few epochs, changed in one thing at a time.

Run:      ferkit reproduce ablations --data CSV --seeds 3
Costs:    about a quarter of an hour a run on one of two busy cores; wider, sharpness-aware and ConvNeXt rows more.
Expected: nothing; PublicTest decides, and the test split is never read.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.report.table import Row, Table
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import COMPACT

BASE = replace(COMPACT, epochs=8)

_WAYS: dict[str, tuple[str, Recipe]] = {
    "base": ("the recipe `compact` without a teacher, 8 epochs", BASE),
    "full-stem": ("first layer at full size", replace(BASE, options={"stem": "full"})),
    "deep": ("narrower and deeper, equal cost", replace(BASE, options={"width": 0.75, "depths": (2, 3, 3, 2)})),
    "shallow": ("wider and shallower, equal cost", replace(BASE, options={"width": 1.25, "depths": (1, 1, 1, 1)})),
    "full-size": (
        "half the channels at twice the side, equal cost",
        replace(BASE, model="residual", options={"width": 0.25, "depths": (1, 2, 2, 1)}),
    ),
    "convnext": ("ConvNeXt in place of the residual network", replace(BASE, model="convnext", options={})),
    "convnext-adamw": (
        "ConvNeXt, trained with AdamW at a rate of 0.002",
        replace(BASE, model="convnext", options={}, optimizer="adamw", lr=0.002),
    ),
    "blur": ("anti-aliased pooling, at 1.4 times the cost", replace(BASE, options={"blur": True})),
    "wider": ("half as wide again", replace(BASE, options={"width": 1.5})),
    "no-augmentation": ("no augmentation", replace(BASE, augmentation="none")),
    "report-augmentation": (
        "the report's augmentation",
        replace(BASE, augmentation="report", augment_backend="batched"),
    ),
    "alternating": ("alternating mirror images", replace(BASE, mirror="alternating")),
    "label-smoothing": ("label smoothing 0.1", replace(BASE, label_smoothing=0.1)),
    "mixup": ("mixup 0.2", replace(BASE, mixup=0.2)),
    "cutmix": ("CutMix 1.0", replace(BASE, cutmix=1.0)),
    "gce": ("generalised cross entropy", replace(BASE, loss="gce")),
    "balance": ("square-root balanced classes", replace(BASE, balance=0.5)),
    "no-average": ("no average of the weights", replace(BASE, average=0.0)),
    "sam": ("sharpness-aware steps, 0.05", replace(BASE, sam=0.05)),
    "adamw": ("AdamW, rate 0.003", replace(BASE, optimizer="adamw", lr=0.003)),
    "muon": ("Muon, rate 0.02", replace(BASE, optimizer="muon", lr=0.02)),
    "warmup": ("warm-up and cosine", replace(BASE, scheduler="warmup")),
    "drop-copies": ("without copies of PublicTest", replace(BASE, drop_copies=True)),
}

TABLE = Table(
    name="ablations",
    title="What each way to train brings",
    source="ferkit",
    unclear=(
        "Every row is the first one changed in one thing, save two: ConvNeXt's second has the optimizer its authors",
        "chose, and the one at twice the side is the network `residual`, whose stem is another, too, and whose blocks",
        "begin with their last norm at zero. Eight epochs are a short run: what holds a network back from learning by",
        "heart (mixup, CutMix, smoothing) can cost here and pay in a long run. Rows of equal cost do as many",
        "multiplications for a face as the first one, 56 to 57 million; ConvNeXt does 65, as counted by",
        "`ferkit models NAME --summary`. The runs had one thread each; the list below says on",
        "which processor each was trained, as far as it tells its name",
        "(*AMD EPYC* may be several): on another the same seed is another draw. Many were trained beside other work,",
        "those of more than a quarter of an hour among them, and some stood still meanwhile: minutes say little.",
    ),
    rows=tuple(Row(slug=slug, label=label, recipe=recipe) for slug, (label, recipe) in _WAYS.items()),
    baseline="base",
)
