"""Weights to expressions, without torch; so far the definition of a network's input."""
