"""The ``ferkit`` program: one file a command, parsing and printing only."""
