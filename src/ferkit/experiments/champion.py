"""The best networks: one, an ensemble, a small one taught by it, and the quickest to train.

Run:      ferkit reproduce champion --data CSV --seeds 3
Costs:    on one H200 champion trained at 8,000 faces a second (benchmarks/reports/gpu-2026-11-27.md), an epoch in under
          four seconds, when it had squeeze and excitation and stochastic depth; no row has been trained to its end on a
          GPU. The variations, which are not meant for one, took 13 to 122 minutes on two cores.
Expected: aims, no results: 75 % with one network, 77 % with the ensemble, 74 % with the small one, 72 % with the quick.
Unclear:  see TABLE.unclear.
"""

from dataclasses import replace

from ferkit.report.table import Ensemble, Published, Row, Table
from ferkit.training.recipes import (
    CHAMPION,
    COMPACT,
    COMPACT_2,
    COMPACT_3,
    COMPACT_4,
    COMPACT_5,
    COMPACT_6,
    COMPACT_7,
    COMPACT_8,
    COMPACT_9,
    COMPACT_10,
    COMPACT_11,
    COMPACT_12,
    COMPACT_13,
    COMPACT_14,
    COMPACT_VOTES,
    ENSEMBLE,
    SHORT,
    SHORT_NARROW,
    SHORT_WIDE,
    SPEEDRUN,
    TEACHER,
    TEACHER_2,
    TEACHER_3,
    TEACHER_4,
)

FER_PLUS = "ac0a2e6fa4f416b0"
"""How a recipe names the votes of ``fer2013new.csv``."""

TAUGHT = replace(
    COMPACT,
    epochs=80,
    augmentation="camera",
    drop_copies=True,
    mixup=0.2,
    lessons="every_batch",
    distill=0.8,
    keep="last",
)

_VGG = "Pramerdorfer and Kampel, 2016, https://arxiv.org/abs/1612.02903"
_RMN = "Pham et al., 2020, https://github.com/phamquiluan/ResidualMaskingNetwork"

TABLE = Table(
    name="champion",
    title="The best networks on FER2013",
    source="ferkit",
    part="test",
    unclear=(
        "Protocol `standard`: Training alone is trained on (where the settings say *without copies*, without",
        "the faces that also stand in a test); PublicTest chooses settings, and epochs where a recipe keeps the",
        "best and not the last; PrivateTest is the test, as",
        "read at the end of training. No images and no weights from elsewhere; *with FER+ votes* learns from ten",
        "people's opinion of the same images, and is measured by the labels, which often say something else, like all",
        "others (`compact-votes`, shipped, by the votes too, in [its card](../../MODEL_CARD.md)). Rows",
        "that say *two cores* were trained on a processor. Some networks that these begin with or learn from",
        "were no longer at hand and were read back from exported files of 8-bit integers (`tools/reopen.py`;",
        "[which](../concepts/compact.md)); recipes name such a network by the digest of what had been trained.",
    ),
    rows=(
        Row(slug="champion", label="champion", recipe=CHAMPION),
        Row(
            slug="member",
            label="ensemble's members",
            recipe=ENSEMBLE,
            taught_by=("champion",),
        ),
        Row(slug="compact-taught", label="compact, taught by champion", recipe=TAUGHT, taught_by=("champion",)),
        Row(
            slug="compact-taught-narrow",
            label="compact, narrower, taught by champion",
            recipe=replace(TAUGHT, options={"bottleneck": 0.5}),
            taught_by=("champion",),
        ),
        Row(
            slug="compact-beside-votes",
            label="compact, with FER+ votes",
            recipe=replace(COMPACT, votes=FER_PLUS),
        ),
        Row(slug="speedrun", label="speedrun", recipe=SPEEDRUN),
    ),
    variations=(
        Row(slug="cpu-teacher", label="compact's teacher, two cores", recipe=TEACHER),
        Row(
            slug="cpu-compact",
            label="compact, two cores",
            recipe=COMPACT,
            taught_by=("cpu-teacher",),
        ),
        Row(
            slug="cpu-compact-2",
            label="compact once more, two cores",
            recipe=COMPACT_2,
            taught_by=("cpu-teacher", "cpu-compact"),
            begun_by="cpu-compact",
        ),
        Row(
            slug="cpu-compact-3",
            label="compact a third time, two cores",
            recipe=COMPACT_3,
            taught_by=("cpu-teacher", "cpu-compact-2"),
            begun_by="cpu-compact-2",
        ),
        Row(
            slug="cpu-compact-4",
            label="compact on poor pictures, two cores",
            recipe=COMPACT_4,
            taught_by=("cpu-teacher", "cpu-compact-3"),
            begun_by="cpu-compact-3",
        ),
        Row(
            slug="cpu-compact-5",
            label="compact, narrower, two cores",
            recipe=COMPACT_5,
            taught_by=("cpu-compact-3", "cpu-compact-4"),
            begun_by="cpu-compact-4",
        ),
        Row(
            slug="cpu-compact-6",
            label="compact, narrower, taught by one, two cores",
            recipe=COMPACT_6,
            taught_by=("cpu-compact-4",),
            begun_by="cpu-compact-5",
        ),
        Row(
            slug="cpu-teacher-2",
            label="teacher half as wide again, two cores",
            recipe=TEACHER_2,
            taught_by=("cpu-compact-4",),
        ),
        Row(
            slug="cpu-teacher-3",
            label="teacher with Muon, two cores",
            recipe=TEACHER_3,
            taught_by=("cpu-compact-4",),
        ),
        Row(
            slug="cpu-compact-7",
            label="compact, narrower, taught by two, two cores",
            recipe=COMPACT_7,
            taught_by=("cpu-compact-4", "cpu-teacher-3"),
            begun_by="cpu-compact-6",
        ),
        Row(
            slug="cpu-compact-8",
            label="compact, narrower, once more, two cores",
            recipe=COMPACT_8,
            taught_by=("cpu-compact-4", "cpu-compact-7"),
            begun_by="cpu-compact-7",
        ),
        Row(
            slug="cpu-compact-9",
            label="compact, wide once more, two cores",
            recipe=COMPACT_9,
            taught_by=("cpu-compact-4", "cpu-compact-8"),
            begun_by="cpu-compact-4",
        ),
        Row(
            slug="cpu-teacher-4",
            label="teacher twice as wide, two cores",
            recipe=TEACHER_4,
            taught_by=("cpu-compact-4", "cpu-compact-8"),
            begun_by="cpu-compact-8",
        ),
        Row(
            slug="cpu-compact-10",
            label="compact, narrower, taught by the teacher twice as wide, two cores",
            recipe=COMPACT_10,
            taught_by=("cpu-compact-4", "cpu-teacher-4"),
            begun_by="cpu-compact-8",
        ),
        Row(slug="cpu-short-narrow", label="compact, narrower, from fresh weights, one core", recipe=SHORT_NARROW),
        Row(slug="cpu-short-wide", label="compact, anti-aliased, from fresh weights, one core", recipe=SHORT_WIDE),
        Row(
            slug="cpu-short",
            label="compact, anti-aliased, taught by those two, two cores",
            recipe=SHORT,
            taught_by=("cpu-short-narrow", "cpu-short-wide"),
            begun_by="cpu-short-wide",
        ),
        Row(
            slug="cpu-compact-11",
            label="compact, anti-aliased, narrower, taught by that and the teacher twice as wide, two cores",
            recipe=COMPACT_11,
            taught_by=("cpu-short", "cpu-teacher-4"),
            begun_by="cpu-short",
        ),
        Row(
            slug="cpu-compact-12",
            label="compact, narrower, taught by the same two, two cores",
            recipe=COMPACT_12,
            taught_by=("cpu-short", "cpu-teacher-4"),
            begun_by="cpu-compact-10",
        ),
        Row(
            slug="cpu-compact-13",
            label="compact, narrower, once more at a lower rate, two cores",
            recipe=COMPACT_13,
            taught_by=("cpu-short", "cpu-teacher-4"),
            begun_by="cpu-compact-12",
        ),
        Row(
            slug="cpu-compact-14",
            label="compact, half as wide again inside, taught by the same two, two cores",
            recipe=COMPACT_14,
            taught_by=("cpu-short", "cpu-teacher-4"),
            begun_by="cpu-compact-12",
        ),
        Row(
            slug="cpu-compact-votes",
            label="compact, narrower, with FER+ votes alone, two cores",
            recipe=replace(COMPACT_VOTES, votes=FER_PLUS),
            begun_by="cpu-compact-7",
        ),
    ),
    ensembles=(
        Ensemble(slug="champions", label="all champions", members=("champion",)),
        Ensemble(slug="champions-mirror", label="all champions, two views", members=("champion",), views=("mirror",)),
        Ensemble(slug="ensemble", label="ensemble", members=("champion", "member")),
        Ensemble(
            slug="ensemble-mirror", label="ensemble, two views", members=("champion", "member"), views=("mirror",)
        ),
    ),
    published=(
        Published(
            label="VGG",
            networks=1,
            accuracy=72.7,
            split="PrivateTest",
            outside="",
            source=_VGG,
        ),
        Published(
            label="VGG, Inception, ResNet", networks=8, accuracy=75.2, split="PrivateTest", outside="", source=_VGG
        ),
        Published(
            label="Residual Masking Network",
            networks=1,
            accuracy=74.1,
            split="PrivateTest",
            outside="ImageNet weights",
            source=_RMN,
        ),
        Published(
            label="Residual Masking Network and six others",
            networks=7,
            accuracy=76.8,
            split="PrivateTest",
            outside="ImageNet weights",
            source=_RMN,
        ),
        Published(
            label="VGGNet, tuned",
            networks=1,
            accuracy=73.3,
            split="PublicTest",
            outside="",
            source="Khaireddin and Chen, 2021, https://arxiv.org/abs/2105.03588",
            remark="often quoted beside the others, but measured on PublicTest.",
        ),
        Published(
            label="ResNet18, tuned",
            networks=1,
            accuracy=73.7,
            split="PrivateTest",
            outside="",
            source="Yuan, 2021, https://github.com/LetheSec/Fer2013-Facial-Emotion-Recognition-Pytorch",
            remark="as its page says; how its epoch was chosen was not checked.",
        ),
    ),
)
