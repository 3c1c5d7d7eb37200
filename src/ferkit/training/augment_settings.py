"""The numbers of the report's augmentation, shared by its two forms: Albumentations and batched.

Source: the report, section 2.1, gives names and probabilities. It gives no parameters, so they are the defaults of the
Albumentations of 2021: rotation by up to 90 degrees with mirrored borders, eight black holes of 8 x 8 pixels, noise of
variance 10 to 50 on grey levels 0..255.
"""

HORIZONTAL_FLIP = 0.5
"""Probability, as all that follow without a unit."""

VERTICAL_FLIP = 0.3

ROTATION = 0.2

LARGEST_ANGLE = 90
"""Degrees, to either side."""

DROPOUT = 0.2

HOLES = 8
"""Cut out of one face; they may overlap."""

HOLE_SIDE = 8
"""Pixels."""

NOISE = 0.2

NOISE_STD = (10**0.5, 50**0.5)
"""Grey levels: between these the standard deviation is drawn evenly."""
