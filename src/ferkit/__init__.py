"""ferkit: facial expression recognition, from fer2013.csv to measured networks."""

from importlib.metadata import version

__version__ = version("ferkit")
