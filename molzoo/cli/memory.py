"""Memory that a process frees and keeps: the next step of a training wants just as much.

The C library of Linux gives large blocks back to the system, which clears every page again at its first use: a seventh of a
training step of PaiNN with 64 molecules. A command is a process of its own, so it may choose; imported, molzoo does not.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc

_LARGEST = 2**30
"""Bytes from which on a block goes back all the same."""


def keep_freed() -> bool:
    """Keep what is freed, in blocks of less than a gigabyte; whether this C library can.

    >>> keep_freed() in (True, False)
    True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another library than glibc, another system
        return False
    return bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_MMAP_THRESHOLD, _LARGEST))
