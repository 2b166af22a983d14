import sys

from latently.cli import main

sys.exit(main())
