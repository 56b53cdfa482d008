"""`python -m oidkit` is the command `oid`."""

import sys

from oidkit.cli import main

sys.exit(main())
