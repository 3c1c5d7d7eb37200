"""Trained networks to files that run without torch."""

from ferkit.export.onnx import Exported, export_run

__all__ = ["Exported", "export_run"]
