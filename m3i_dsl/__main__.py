"""`python -m m3i_dsl` is `m3ic`."""

import sys

from m3i_dsl.cli.main import main

sys.exit(main())
