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
for _ in range(4):
    torch.ones(2**24)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print("pages", faults[-1] - faults[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of the C library of Linux")
def test_blocks_that_were_freed_need_no_new_pages():
    pages = {}
    for who in ("command", "library"):
        command = [sys.executable, "-W", "ignore", "-c", ROUNDS, who]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        pages[who] = int(done.stdout.split()[-1])
    assert pages["command"] < 20 < pages["library"]  # two blocks of 64 MiB: 32,768 pages of 4 KiB, or 64 of 2 MiB
