"""The console script `isthmus`: hands over to the command that is inside the package."""

import os
import pathlib
import sys


def main():
    command = pathlib.Path(__file__).parent / "bin" / "isthmus"
    os.environ.setdefault("ISTHMUS_PYTHON", sys.executable)
    try:
        os.execv(command, [str(command), *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"isthmus: cannot run {command}: {error.strerror}; install the package again")
