"""A recipe and data to weights."""
