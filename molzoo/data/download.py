"""Files that are not here yet: mirrors in order, verified, complete or not at all, and unpacked member by member.

A file appears under its name only when it is whole (``.part`` first, renamed at the end), so a file that exists is used
without asking anybody: a cluster without network needs the files, not the servers.
"""

import hashlib
import os
import shutil
import ssl
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_BLOCK = 1 << 20


class _WrongFileError(Exception):
    """A file came whole, but it is not the published one."""


@dataclass(frozen=True)
class Download:
    """A published file and where it can be had.

    Args:
        name: file name to keep it under.
        mirrors: URLs, the preferred one first.
        sha256: of the whole file, where it is known.
    """

    name: str
    mirrors: tuple[str, ...]
    sha256: str | None = None


def need(folder: Path, names: list[str], download: Download) -> list[Path]:
    """The files ``names`` under ``folder``, fetched and (from an archive) unpacked if any is missing.

    Raises:
        FileNotFoundError: a file could be had nowhere; the message says what to do by hand.
    """
    paths = [folder / name for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        target = fetch(download.mirrors, folder / download.name, download.sha256)
        if target not in missing:
            unpack(target, missing)
    return paths


def fetch(
    mirrors: tuple[str, ...],
    target: Path,
    sha256: str | None = None,
    *,
    offline: bool | None = None,
    tries: int = 3,
    timeout: float = 30.0,
) -> Path:
    """``target``, downloaded from the first mirror that gives it whole; nothing is asked if it exists.

    Args:
        mirrors: URLs, tried in order.
        target: where it shall be.
        sha256: what its content must hash to, where that is known.
        offline: ask no server; by default as the environment's MOLZOO_OFFLINE says.
        tries: for each mirror, after errors that may pass.
        timeout: seconds without an answer.

    Raises:
        FileNotFoundError: no mirror gave it; the message names each with its reason, and the path for doing it by hand.
    """
    if target.is_file():
        return target
    if offline if offline is not None else os.environ.get("MOLZOO_OFFLINE", "0") not in ("", "0"):
        raise FileNotFoundError(_by_hand(target, [f"{url}: not asked, MOLZOO_OFFLINE is set" for url in mirrors]))
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in mirrors:
        reason = _try(url, target, sha256, tries, timeout)
        if not reason:
            return target
        reasons.append(f"{url}: {reason}")
    raise FileNotFoundError(_by_hand(target, reasons))


def _by_hand(target: Path, reasons: list[str]) -> str:
    listed = "".join(f"\n  {reason}" for reason in reasons)
    return f"{target.name} could not be downloaded:{listed}\nDownload it by hand and put it at {target}"


def _try(url: str, target: Path, sha256: str | None, tries: int, timeout: float) -> str:
    """What went wrong in the end with this mirror; empty if ``target`` is now there."""
    reason = ""
    for _ in range(tries):
        try:
            with _whole_or_nothing(target) as part:
                found = _copy(url, part, timeout)
                if sha256 and found != sha256.lower():
                    raise _WrongFileError(f"its sha256 is {found}, not {sha256}")
            return ""
        except _WrongFileError as error:
            return str(error)  # another try would bring the same file
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if 400 <= error.code < 500:
                return reason  # refused or not there: it will not come by asking again
        except OSError as error:
            reason = str(getattr(error, "reason", None) or error)
    return reason


@contextmanager
def _whole_or_nothing(target: Path) -> "Iterator[IO[bytes]]":
    """A file that is renamed to ``target`` if the block ends well and removed if it does not."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")  # the ranks of one job may download side by side
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copy(url: str, part: IO[bytes], timeout: float) -> str:
    """Write ``url`` to ``part``; gives the sha256. OSError if fewer bytes come than were announced."""
    request = urllib.request.Request(url, headers={"User-Agent": "molzoo"})
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(request, timeout=timeout, context=ssl.create_default_context()) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            part.write(block)
            digest.update(block)
            done += len(block)
            _progress(url, done, size)
    if size and done != size:
        raise OSError(f"the connection ended after {done} of {size} bytes")
    return digest.hexdigest()


def _progress(url: str, done: int, size: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == size else ""
        print(f"\r{url}: {done / 1e6:.1f} of {size / 1e6:.1f} MB", end=end, file=sys.stderr, flush=True)


def unpack(archive: Path, targets: list[Path]) -> None:
    """Take the members named like ``targets`` out of a zip or tar file, and nothing else.

    Where a member lands is said by the caller alone, so no path inside the archive can lead outside.

    Raises:
        FileNotFoundError: the archive lacks one of them.
    """
    wanted = {target.name: target for target in targets}
    for name, content in _zipped(archive, wanted) if zipfile.is_zipfile(archive) else _tarred(archive, wanted):
        target = wanted.pop(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _whole_or_nothing(target) as part:
            shutil.copyfileobj(content, part)
    if wanted:
        raise FileNotFoundError(f"{archive} holds no {', '.join(wanted)}; remove it to download it anew")


def _zipped(archive: Path, wanted: dict[str, Path]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            name = member.filename.rpartition("/")[2]
            if name in wanted:
                with file.open(member) as content:
                    yield name, content


def _tarred(archive: Path, wanted: dict[str, Path]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive) as file:
        for member in file:
            name = member.name.rpartition("/")[2]
            content = file.extractfile(member) if name in wanted and member.isfile() else None
            if content is not None:
                yield name, content
            if not wanted:  # the rest of a large archive need not be read
                return
