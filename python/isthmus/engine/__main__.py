"""`python -m isthmus.engine KIND --channel FD`."""

import sys

from isthmus.engine.worker import main

sys.exit(main(sys.argv[1:]))
