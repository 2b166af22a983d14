"""Freed memory stays in the process inside the block, and goes back after it."""

import inspect
import resource
import subprocess
import sys

import numpy as np
import pytest

from latently.training.memory import find_glibc, keep_freed_memory

pytestmark = pytest.mark.skipif(find_glibc() is None, reason="the thresholds are glibc's")
BLOCK = 2**24  # bytes, 4,096 pages


def page_faults(n_blocks: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_blocks):
        np.empty(BLOCK, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_block_that_was_freed_is_taken_again_without_the_kernel():
    with keep_freed_memory():
        page_faults(2)
        assert page_faults(20) < 100, "twenty blocks of 4,096 pages came from the kernel anew"


GOES_BACK = f"""
import numpy as np
from latently.training.memory import keep_freed_memory
RESIDENT

with keep_freed_memory():
    blocks = [np.full({BLOCK}, 1, np.uint8) for _ in range(16)]
    del blocks
    held = resident_bytes()
print((held - resident_bytes()) // {BLOCK})
"""


def test_what_was_freed_goes_back_afterwards():
    """In a process of its own: where the tests before it left holes in the heap depends on their order."""
    code = GOES_BACK.replace("RESIDENT", inspect.getsource(resident_bytes))
    code = f"import resource\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 8, "blocks, of 16"
