"""``python -m undiffuse``."""

import sys

from undiffuse.cli import main

sys.exit(main())
