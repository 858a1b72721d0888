"""Save and load a Predictor: tensors and JSON in one file, no pickled classes and no import paths."""

import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from molzoo import __version__
from molzoo.data.facts import DataFacts
from molzoo.models import TABLE
from molzoo.predictor import Predictor

FORMAT = 1
CONVENTIONS = {
    "units": "eV, Å, e",
    "o3": "e3nn 0.6",
    "edges": "[0] sends, [1] receives; r_ij = pos[j] + shift·cell − pos[i]",
}


def save(predictor: Predictor, path: str | Path, config: dict[str, Any] | None = None) -> None:
    """Write ``predictor`` to ``path``; a file already there is replaced only once the new one is complete.

    Args:
        predictor: with a model of the zoo.
        path: usually ``model.pt``.
        config: the run's resolved configuration, kept for the reader.

    Raises:
        ValueError: the model is not of the zoo, so that nobody could load the file.
    """
    name = predictor.model_name
    if name not in TABLE or TABLE[name].load() is not type(predictor.model):
        raise ValueError(f"{name} is not a model of the zoo; give it a row in molzoo.models, or save its state_dict yourself")
    card = {
        "format": FORMAT,
        "molzoo": __version__,
        "torch": torch.__version__,
        "conventions": CONVENTIONS,
        "model": predictor.model_name,
        "arguments": predictor.arguments,
        "names": list(predictor.names),
        "facts": predictor.facts.to_dict(),
        "dtype": str(predictor.model.dtype).removeprefix("torch."),
        "config": config,
    }
    tensors = {name: value.detach().cpu().clone() for name, value in predictor.state_dict().items()}
    write_atomically(path, lambda file: torch.save({"card": json.dumps(card), "tensors": tensors}, file))


def load(path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Predictor:
    """The Predictor saved at ``path``, ready to predict.

    Args:
        path: a ``model.pt``.
        device: where to put it.
        dtype: precision; by default the one it was trained in.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or not a molzoo model, or there is no such device.
    """
    check_device(device)
    card, tensors = read(path)
    try:
        predictor = Predictor(card["model"], card["names"], card["arguments"], DataFacts.from_dict(card["facts"]))
        predictor.to(getattr(torch, card["dtype"]))
        predictor.load_state_dict(tensors)
    except (LookupError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        raise ValueError(_damaged(path, error)) from error
    return predictor.to(device=device, dtype=dtype).eval()


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The card and the tensors in a model file. Nothing in the file is executed."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}; training writes model.pt into its run folder")
    try:
        stored = read_torch(path)
        card = json.loads(stored["card"])
        tensors, newer = dict(stored["tensors"]), card["format"] > FORMAT
        if not newer and (missing := {"model", "arguments", "names", "facts", "dtype"} - set(card)):
            raise KeyError(*missing)
    except Exception as error:
        raise ValueError(_damaged(path, error)) from error
    if newer:
        raise ValueError(
            f"{str(path)!r} was written by molzoo {card.get('molzoo')}; install that version or a newer one to read it"
        )
    return card, tensors


def read_torch(path: str | Path) -> Any:
    """What ``torch.save`` wrote to ``path``, on the CPU; only tensors and plain values, and each as it was written.

    Raises:
        Exception: of any kind; the file is damaged, or would execute something.
    """
    with zipfile.ZipFile(path) as archive:
        # torch writes checksums but compares none, and an entry that is marked as a folder leaves its tensor unfilled.
        if archive.testzip() or any(entry.external_attr for entry in archive.infolist()):
            raise zipfile.BadZipFile("a checksum is wrong")
    return torch.load(path, map_location="cpu", weights_only=True)


def _damaged(path: str | Path, error: Exception) -> str:
    return f"{str(path)!r} is not a molzoo model or is damaged ({type(error).__name__}); give a model.pt"


def check_device(device: str | torch.device) -> None:
    """Refuse a device that is not there, in a sentence."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"there is no device {str(device)!r} here ({str(error).splitlines()[0]}); type cpu") from error


def write_atomically(path: str | Path, write: Callable[[Any], None]) -> None:
    """Call ``write`` with a file beside ``path``, then rename it: whoever reads ``path`` never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
