"""`python -m tlkeras` is the command line `tlkeras`."""

import sys

from tlkeras.cli import main

if __name__ == "__main__":
    sys.exit(main())
