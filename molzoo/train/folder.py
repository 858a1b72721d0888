"""The folder of a run: one run at a time, nothing of a killed one, and sentences where it cannot be written."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from molzoo.train.callbacks import LAST, MODEL


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for the block alone; halves of files that a killed run has left are removed.

    The lock is the system's and ends with the process, however that ends.

    Raises:
        ValueError: another run is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".running"
    with path.open("w") as file:
        _lock(file.fileno(), folder)
        for left in (*folder.glob(f".{MODEL}.*"), *folder.glob(f".{LAST}*")):
            left.unlink(missing_ok=True)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(file: int, folder: Path) -> None:
    with suppress(ImportError):  # on systems without it, two runs are not told apart
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):  # others: a file system that knows no locks
                raise ValueError(f"another run is writing into {folder}; wait for its end, or name another --folder") from None


@contextmanager
def written_into(folder: Path) -> Iterator[None]:
    """Errors of writing within the block become one sentence; what was complete stays complete.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        ours = isinstance(error, OSError) and error.errno is None  # a sentence already
        if ours or (isinstance(error, RuntimeError) and not re.search("PytorchStreamWriter|unexpected pos", str(error))):
            raise
        said = getattr(error, "strerror", None) or "the disk may be full"  # torch's writer does not know
        raise OSError(
            f"files of the run cannot be written into {folder} ({said}); make room there, then add --resume: "
            f"{LAST} and {MODEL}, where they exist, are whole"
        ) from error
