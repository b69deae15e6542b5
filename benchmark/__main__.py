"""`python -m benchmark`."""

import sys

from benchmark.main import main

sys.exit(main(sys.argv[1:]))
