"""``python -m ferkit``: the same program as ``ferkit``."""

from ferkit.cli.main import main

if __name__ == "__main__":
    main()
