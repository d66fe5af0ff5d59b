"""`python -m petfmri`."""

import sys

from petfmri.cli import main

if __name__ == "__main__":
    sys.exit(main())
