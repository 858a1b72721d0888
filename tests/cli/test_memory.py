"""What a command keeps of the memory that it frees."""

import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys, torch
from molzoo.cli import main
if sys.argv[1] == "command":
    main(["list"])
faults = []
for _ in range(41):
    torch.ones(2**24)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print("rounds", sum(after - before > 4 for before, after in zip(faults, faults[1:])))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of the C library of Linux")
def test_blocks_that_were_freed_seldom_need_new_pages():
    rounds = {}
    for who in ("command", "library"):
        command = [sys.executable, "-W", "ignore", "-c", ROUNDS, who]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        rounds[who] = int(done.stdout.split()[-1])
    # A block has 16,384 pages, or 32 large ones. Some are new, until the heap has room beside what else is there.
    assert rounds["command"] <= 10 < 38 <= rounds["library"]
