"""``python -m dwikit`` is the command ``dwikit``."""

import sys

from dwikit.cli import main

sys.exit(main())
