"""The data card: what is about to be trained on, in figures and units, and the refusal of labels that are not there."""

from typing import Any

import torch

from molzoo.data.facts import DataFacts
from molzoo.data.frames import Frames, Indices
from molzoo.data.source import Source
from molzoo.data.splits import PARTS, Splits
from molzoo.quantities import QUANTITIES, nearest, quantity
from molzoo.shapes import Float, Int, Tensor


def check_labels(
    source: Source, rows: Indices, names: list[str], *, allow_missing: bool = False, allow_constant: bool = False
) -> None:
    """Nothing, if each of the frames ``rows`` has a usable value of each quantity in ``names``.

    Args:
        source: the frames, and for the message their file and its keys.
        rows: the frames that will be used.
        names: quantities that will be trained on.
        allow_missing: frames may lack labels; they count as NaN and are left out of the loss.
        allow_constant: labels may all be zero, or all the same.

    Raises:
        ValueError: a label is unknown, lacking, all zero or constant; the message names file, frame, keys and the nearest one.
    """
    frames, rows = source.frames, torch.as_tensor(rows)
    for name in names:
        _check_name(name)
        values = frames.labels.get(name)
        if values is None:
            raise ValueError(_absent(source, name, "any frame"))
        lacking = _by_frame(frames, name, values.isnan())[rows]
        if bool(lacking.all()) or (bool(lacking.any()) and not allow_missing):
            frame = int(rows[lacking.nonzero()[0, 0]])
            count = f"frame {frame} (counted from 0; {int(lacking.sum())} of {len(rows)} frames lack it)"
            raise ValueError(_absent(source, name, count) + ("" if bool(lacking.all()) else ", or set allow_missing: true"))
        if not allow_constant:
            _check_constant(source, name, rows)


def _check_name(name: Any) -> None:
    if str(name).isdigit():
        from molzoo.data.qm9 import TARGETS

        number = int(name)
        hint = f"; QM9's target {number} is {TARGETS[number]!r}, type that" if number < len(TARGETS) else ""
        raise ValueError(f"quantities have names, not numbers such as {number}{hint}")
    quantity(name)


def _absent(source: Source, name: str, where: str) -> str:
    key = source.sought.get(name, name)
    what = repr(key) if key == name else f"{key!r} for {name}"
    known = list(dict.fromkeys([*source.keys, *source.frames.labels]))
    guess = nearest(key, known)
    guess = guess if "mean" in guess else ""
    return f"{source.path or source.name}: there is no {what} in {where}{guess}; its keys are {', '.join(known)}"


def _by_frame(frames: Frames, name: str, flags: Tensor) -> Tensor:
    """Whether a flag is set anywhere in each frame."""
    flags = flags.flatten(1).any(1) if flags.ndim > 1 else flags
    if QUANTITIES[name].per == "graph":
        return flags
    return torch.zeros(len(frames), dtype=torch.long).index_add(0, frames.frame_of_atom, flags.long()) > 0


def _check_constant(source: Source, name: str, rows: Int[Tensor, " rows"]) -> None:
    values = source.frames.keep([name]).select(rows).labels[name].flatten(1 if QUANTITIES[name].shape else 0)
    known = values[~values.isnan()] if values.ndim == 1 else values[~values.isnan().any(1)]
    where = f"{source.path or source.name}: {name!r}"
    if not known.any():
        raise ValueError(f"{where} is zero in every frame; correct the label, or set allow_constant: true")
    if len(rows) > 1 and bool((known == known[0]).all()):
        raise ValueError(f"{where} is the same in every frame; correct the label, or set allow_constant: true")


def card_dict(source: Source, splits: Splits, facts: DataFacts, names: list[str]) -> dict[str, Any]:
    """The card as JSON takes it: counts, hashes, and min, mean, max, std of each label over all frames of the split."""
    frames = source.frames.keep(names).select(torch.cat([splits[part] for part in PARTS]))
    atoms = frames.n_atoms
    return {
        "source": source.name,
        "path": source.path,
        "splits": {part: {"n": len(splits[part]), "sha256": splits.hashes[part]} for part in PARTS},
        "elements": facts.elements,
        "atoms": [int(atoms.min()), float(atoms.double().mean()), int(atoms.max())],
        "charges": facts.charges,
        "cutoff": facts.cutoff,
        "avg_n_neighbours": facts.avg_n_neighbours,
        "labels": {title: row for name in names if name in frames.labels for title, row in _label_rows(frames, name)},
        "references": facts.to_dict()["references"],
        "means": facts.means,
        "scales": facts.scales,
        "notes": [*source.notes, *facts.notes],
    }


def _label_rows(frames: Frames, name: str) -> list[tuple[str, dict[str, Any]]]:
    row, values = QUANTITIES[name], frames.labels[name]
    if row.shape:
        values = values.flatten(1).norm(dim=1)
    rows = [(f"|{name}|" if row.shape else name, _statistics(values, row.unit))]
    if row.extensive and row.unit == "eV":
        rows.append((f"{name}/atom", _statistics(values / frames.n_atoms, row.unit)))
    return rows


def _statistics(values: Float[Tensor, " rows"], unit: str) -> dict[str, Any]:
    known = values[~values.isnan()]
    figures = [known.min(), known.mean(), known.max(), known.std(correction=0)] if len(known) else [torch.nan] * 4
    named = dict(zip(("min", "mean", "max", "std"), map(float, figures), strict=True))
    return {"unit": unit, **named, "n": len(known), "missing": len(values) - len(known)}


def data_card(card: dict[str, Any]) -> str:
    """The card as a plain table."""
    from ase.data import chemical_symbols

    low, mean, high = card["atoms"]
    head = [
        f"data       {card['source']}" + (f"  ({card['path']})" if card["path"] not in ("", card["source"]) else ""),
        *(f"{part:<10} {row['n']:>8} frames   sha256 {row['sha256'][:16]}" for part, row in card["splits"].items()),
        f"elements   {' '.join(chemical_symbols[z] for z in card['elements'])}",
        f"atoms      {low} to {high} in a frame, {mean:.4g} on average",
        f"charges    {', '.join(f'{charge:g}' for charge in card['charges'])} e",
        f"neighbours {card['avg_n_neighbours']:.4g} on average within {card['cutoff']:g} A",
        f"{'label':<18} {'unit':<12} {'min':>14} {'mean':>14} {'max':>14} {'std':>14} {'missing':>8}",
    ]
    return "\n".join([*head, *_table(card["labels"]), *_kept(card), *(f"note: {note}" for note in card["notes"])])


def _table(labels: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for title, row in labels.items():
        figures = " ".join(f"{row[key]:>14.8g}" for key in ("min", "mean", "max", "std"))
        lines.append(f"{title:<18} {row['unit']:<12} {figures} {row['missing']:>8}")
    return lines


def _kept(card: dict[str, Any]) -> list[str]:
    from ase.data import chemical_symbols

    lines = [f"mean {name}: {value:.6g} {QUANTITIES[name].unit}" for name, value in card["means"].items()]
    for name, row in card["references"].items():
        values = "  ".join(f"{chemical_symbols[int(z)]} {value:.6f}" for z, value in row.items())
        lines.append(f"references {name}: {values} {'e' if name == 'r2' else QUANTITIES[name].unit}")
    return lines + [f"scale {name}: {value:.6g} {QUANTITIES[name].unit}" for name, value in card["scales"].items()]
