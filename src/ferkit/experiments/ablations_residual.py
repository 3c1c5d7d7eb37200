"""What the options of the residual network bring, alone: a small one for a few epochs, changed in one thing at a time.

Run:      ferkit reproduce ablations-residual --data CSV --seeds 3
Costs:    5 to 10 minutes a run on one core of an AMD EPYC with bf16, beside other work.
Expected: nothing; PublicTest decides, and the test split is never read.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.report.table import Row, Table
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import SPEEDRUN

SMALL = {**SPEEDRUN.options, "width": 0.25}
BASE = replace(
    SPEEDRUN,
    options=SMALL,
    optimizer="nesterov",
    lr=0.1,
    batch_size=128,
    epochs=8,
    average=0.0,
    drop_copies=False,
)

_WAYS: dict[str, tuple[str, Recipe]] = {
    "base": ("the network of `speedrun`, a quarter as wide, 8 epochs", BASE),
    "squeeze": ("squeeze and excitation", replace(BASE, options={**SMALL, "squeeze": True})),
    "blur": ("anti-aliased pooling", replace(BASE, options={**SMALL, "blur": True})),
    "drop-path": ("stochastic depth, 0.1", replace(BASE, options={**SMALL, "drop_path": 0.1})),
    "no-dropout": ("no dropout", replace(BASE, options={**SMALL, "dropout": 0.0})),
    "muon": ("Muon, rate 0.02", replace(BASE, optimizer="muon", lr=0.02)),
    "camera": ("half of the faces as a poor camera takes them", replace(BASE, augmentation="camera")),
    "enlarged": ("faces enlarged to 64 pixels a side", replace(BASE, options={**SMALL, "side": 64})),
    "longer": ("twice as long", replace(BASE, epochs=16)),
}

TABLE = Table(
    name="ablations-residual",
    title="What the options of the residual network bring",
    source="ferkit",
    unclear=(
        "`champion`, the ensemble's members and `speedrun` are residual networks for a GPU; here one that a core of a",
        "processor trains in minutes, on a one-cycle schedule with Nesterov's momentum and without an average of the",
        "weights. Every row is the first one changed in one thing. What helps a small network for a few epochs need",
        "not help a large one for many, nor the reverse. *Taught* learns, as much as from the labels, from what the",
        "runs of the first row say of the Training faces, which they have learnt. What poor cameras do is learnt for",
        "poor pictures, and judged here by good ones. The runs had one thread each and were trained beside other work;",
        "those of more than an hour stood still most of it.",
    ),
    rows=(
        *(Row(slug=slug, label=label, recipe=recipe) for slug, (label, recipe) in _WAYS.items()),
        Row(slug="taught", label="taught by the runs of the first row, too", recipe=BASE, taught_by=("base",)),
    ),
    baseline="base",
)
