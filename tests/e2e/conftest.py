"""What the tests of commands share."""

import pytest

from ferkit.cli.main import main


@pytest.fixture
def ferkit(monkeypatch, capsys):
    """Return a function that runs a command in this process and returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["ferkit", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        output = capsys.readouterr()
        return code, output.out, output.err

    return run
