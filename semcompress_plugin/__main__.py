"""``python -m semcompress_plugin``."""

import sys

from semcompress_plugin.cli import main

sys.exit(main())
