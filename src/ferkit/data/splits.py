"""The three splits of FER2013, and who validates and who tests.

The contest meant PublicTest for choosing and PrivateTest for the final score. The report does the reverse: the supports
of its Figure 3 (467 / 56 / 496 / 895 / 653 / 415 / 607) are the class counts of PublicTest. Both are named protocols.
"""

from enum import StrEnum


class Split(StrEnum):
    """A value of the ``Usage`` column."""

    TRAINING = "Training"
    PUBLIC_TEST = "PublicTest"
    PRIVATE_TEST = "PrivateTest"


class Protocol(StrEnum):
    """Which test set chooses, and which one is read once at the end."""

    STANDARD = "standard"
    REPORT = "report"

    @property
    def validation(self) -> Split:
        """The split that may be looked at while choosing.

        Example:
            >>> Protocol.REPORT.validation.value
            'PrivateTest'
        """
        return Split.PUBLIC_TEST if self is Protocol.STANDARD else Split.PRIVATE_TEST

    @property
    def test(self) -> Split:
        """The split that is read once, at the end."""
        return Split.PRIVATE_TEST if self is Protocol.STANDARD else Split.PUBLIC_TEST

    @property
    def roles(self) -> dict[str, Split]:
        """Both by what they are for: ``validation`` and ``test``."""
        return {"validation": self.validation, "test": self.test}
