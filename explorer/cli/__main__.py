"""``python -m explorer.cli``: the same as ``skipscope``."""

import sys

from explorer.cli import main

sys.exit(main())
