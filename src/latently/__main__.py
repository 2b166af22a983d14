"""`python -m latently`."""

import os
import sys

from latently.cli.main import main
from latently.common.console import n_processes

if __name__ == "__main__":
    code = main()
    if n_processes() > 1:  # under torchrun, gloo's threads may abort the interpreter at exit
        sys.stdout.flush()  # (github.com/pytorch/pytorch/pull/179291)
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
