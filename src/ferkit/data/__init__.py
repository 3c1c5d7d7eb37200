"""fer2013.csv to arrays: read, checked, audited, split."""

from ferkit.data.audit import Audit, audit
from ferkit.data.faces import Faces, Fer2013
from ferkit.data.read import read_fer2013
from ferkit.data.splits import Protocol, Split

__all__ = ["Audit", "Faces", "Fer2013", "Protocol", "Split", "audit", "read_fer2013"]
