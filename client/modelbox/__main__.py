"""`python -m modelbox`, where the program itself is not in the path."""

import sys

from modelbox.cli.main import main

sys.exit(main())
