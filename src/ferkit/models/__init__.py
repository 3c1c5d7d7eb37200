"""Architectures: one a file, built by name."""

from ferkit.models import layers, model1, model2, model3
from ferkit.models.registry import build_model, model_names, model_options, model_summary

__all__ = ["build_model", "model_names", "model_options", "model_summary"]

del layers, model1, model2, model3  # imported for their names in the registry
