"""Architectures: one a file, built by name."""

from ferkit.models import compact as compact
from ferkit.models import convnext as convnext
from ferkit.models import layers as layers
from ferkit.models import model1 as model1
from ferkit.models import model2 as model2
from ferkit.models import model3 as model3
from ferkit.models import residual as residual
from ferkit.models.pruning import pruned
from ferkit.models.registry import build_model, checked_options, model_names, model_options, model_summary
from ferkit.models.widening import widened

__all__ = ["build_model", "checked_options", "model_names", "model_options", "model_summary", "pruned", "widened"]
