"""``ferkit`` and ``python -m ferkit``: the program, loaded where Ctrl-C already ends it without a word."""

import sys


def main() -> None:
    """Run the program; see :mod:`ferkit.cli.main`."""
    try:
        from ferkit.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
