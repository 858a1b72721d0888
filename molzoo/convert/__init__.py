"""Peers' weights → molzoo's: the same networks under other names.

Where a peer's architecture is one of the zoo, its trained weights move over and give the same numbers
(docs/results/certificates.md). Nothing of a peer is imported: a state dict is names and tensors. Each peer has a file here:
its names of parameters, and how the rest of a network is read from buffers and shapes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from molzoo import checkpoint
from molzoo.convert import nequip, pyg, schnetpack
from molzoo.convert.reading import State
from molzoo.graph import AtomGraph
from molzoo.predictor import Predictor
from molzoo.quantities import nearest
from molzoo.shapes import Tensor
from molzoo.units import factor

PEERS = {"nequip": nequip, "schnetpack": schnetpack, "pyg": pyg}
LIMIT = 1e-4
"""Largest deviation from the peer, relative to the largest energy that the network adds and to the largest force."""


def our_names(peer: str, names: Iterable[str]) -> dict[str, str]:
    """Our name of each parameter of one network of ``peer``.

    >>> our_names("nequip", ["model.func.layer2_convnet.conv.sc.weight"])
    {'model.func.layer2_convnet.conv.sc.weight': 'layers.2.self_connection.weight'}
    """
    theirs, known = list(names), _known(peer)
    table = known.names(theirs) if peer == "pyg" else {re.escape(part): ours for part, ours in known.NAMES.items()}
    found = {}
    for name in theirs:
        found[name] = name
        for part, ours in table.items():
            found[name] = re.sub(part, ours, found[name])
    return found


def our_state(peer: str, state: Mapping[str, Tensor]) -> State:
    """The parameters of a peer's network under our names and in our normalisation; matrices of one name are joined."""
    found: dict[str, list[Tensor]] = {}
    for theirs, ours in our_names(peer, state).items():
        found.setdefault(ours, []).append(state[theirs])
    joined = {name: torch.cat(parts, dim=1) if len(parts) > 1 else parts[0] for name, parts in found.items()}
    return nequip.renormalised(joined) if peer == "nequip" else joined


def _known(peer: str) -> Any:
    if peer not in PEERS:
        raise ValueError(f"molzoo cannot read weights of {peer!r}{nearest(peer, PEERS)}")
    return PEERS[peer]


def read_state(path: str | Path) -> State:
    """The state dict in a file of torch; of a Lightning checkpoint, its ``state_dict``. Nothing in the file is executed."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}; give a state dict that torch.save has written")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} holds more than tensors or is damaged; where the peer is installed, load it and type "
            "torch.save(model.state_dict(), 'state.pt')"
        ) from error
    stored = stored.get("state_dict", stored) if isinstance(stored, Mapping) else stored
    if not isinstance(stored, Mapping) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ValueError(f"{str(path)!r} holds no state dict; type torch.save(model.state_dict(), 'state.pt')")
    return dict(stored)


def convert(
    peer: str,
    state: Mapping[str, Tensor],
    given: Mapping[str, Any] | None = None,
    elements: Sequence[int] = (),
    unit: str = "eV",
) -> Predictor:
    """The Predictor of energies and forces that gives the numbers of a peer's network.

    Args:
        peer: ``nequip``, ``schnetpack`` or ``pyg``.
        state: the network's state dict.
        given: arguments of our model that the state does not hold.
        elements: atomic numbers that it was trained on; for nequip in the order of its type_names.
        unit: of the peer's energies; lengths are Å.

    Raises:
        ValueError: another peer's, another architecture, or something in ``state`` that molzoo's model does not have.
    """
    if len(set(elements)) < len(elements):
        raise ValueError("an element is named twice; molzoo has one type of atom for each element")
    own = _of_one_network(peer, state)
    name, arguments, facts = PEERS[peer].read(own, given or {}, elements)
    facts.scales = {"energy": factor(unit) * facts.scales.get("energy", 1.0)}
    facts.references = {key: {z: factor(unit) * e for z, e in row.items()} for key, row in facts.references.items()}
    facts.notes.insert(0, f"Converted from {peer}.")
    try:
        predictor = Predictor(name, ["energy", "forces"], arguments, facts)
    except TypeError as error:
        raise ValueError(
            f"{name} cannot be made with {_words(arguments)} ({str(error).splitlines()[0]}); check the values"
        ) from error
    predictor.to(next(value.dtype for key, value in own.items() if "embed" in key)).eval()
    _refuse_different(peer, own, predictor)
    predictor.model.load_state_dict(our_state(peer, own))
    return predictor


def _of_one_network(peer: str, state: Mapping[str, Tensor]) -> State:
    """What stands behind the one prefix under which there is a network of ``peer``; empty tensors say nothing."""
    prefixes = _prefixes(peer, state)
    if len(prefixes) > 1:
        raise ValueError(f"the file holds {len(prefixes)} networks ({', '.join(map(repr, prefixes))}); save one of them alone")
    if not prefixes:
        other = next((f"; it is of {name}: molzoo convert {name}" for name in PEERS if _prefixes(name, state)), "")
        raise ValueError(f"this is not a network of {peer} that molzoo knows{other}")
    own = {name: value for name, value in state.items() if value.numel()}
    for name in own:
        if not name.startswith(prefixes[0]):
            raise ValueError(f"{name!r} is not understood: it belongs to no network; save the network alone")
    return {name.removeprefix(prefixes[0]): value for name, value in own.items()}


def _prefixes(peer: str, state: Mapping[str, Tensor]) -> list[str]:
    anchors = _known(peer).ANCHORS
    return sorted({name.removesuffix(anchor) for name in state for anchor in anchors if name.endswith(anchor)})


def _refuse_different(peer: str, own: State, predictor: Predictor) -> None:
    """Every parameter must have exactly one counterpart, of its shape."""
    model = predictor.model_name
    ours = predictor.model.state_dict()
    names = our_names(peer, own)
    for theirs, name in names.items():
        if name not in ours:
            raise ValueError(f"{theirs!r} is not understood: molzoo's {model} has nothing like it")
    missing = [name for name in ours if name not in names.values()]
    if missing:
        raise ValueError(f"the file has nothing for {missing[0]!r} of molzoo's {model}; it is another architecture")
    for name, value in our_state(peer, own).items():
        if value.shape != ours[name].shape:
            theirs = next(key for key in own if names[key] == name)
            shapes = " but ".join(f"{tuple(tensor.shape)}" for tensor in (own[theirs], ours[name]))
            raise ValueError(f"{theirs!r} has the shape {shapes} in molzoo's {model} with {_words(predictor.arguments)}")


def _words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in arguments.items())


def deviations(predictor: Predictor, graphs: Iterable[AtomGraph]) -> dict[str, tuple[float, float]]:
    """The largest deviations from the energies and forces that ``graphs`` hold: in eV and eV/Å, and relative (see ``LIMIT``).

    In the relative deviation of energies, what a sum in single precision may lose is not counted.
    """
    off: dict[str, list[tuple[float, float, float]]] = {"energy": [], "forces": []}
    references = predictor.facts.references.get("energy", {})
    for graph in graphs:
        with torch.no_grad():
            found = predictor(graph)
        rest = graph.energy - sum(references.get(z, 0.0) for z in graph.z.tolist())
        lost = len(graph.z) ** 0.5 * torch.finfo(torch.float32).eps * graph.energy.abs()
        for name, size, rounding in (("energy", rest, lost), ("forces", graph.forces, torch.zeros(1))):
            error = (found[name] - graph[name]).abs().max()
            off[name].append((float(error), float((error - rounding).clamp(min=0)), float(size.abs().max())))
    largest = {name: [max(column) for column in zip(*rows, strict=True)] for name, rows in off.items()}
    return {name: (error, beyond / max(size, 1e-12)) for name, (error, beyond, size) in largest.items()}


def write(predictor: Predictor, path: str | Path) -> None:
    """Write ``predictor`` to ``path``, and read it again: it must give the same numbers."""
    checkpoint.save(predictor, path)
    z = (predictor.facts.elements or [1, 6, 8])[:8]
    probe = AtomGraph(z=z, pos=[[1.1 * n, 0.3 * (n % 2), 0.1 * (n % 3)] for n in range(len(z))])
    before, after = predictor(probe), checkpoint.load(path)(probe)
    if not all(torch.equal(before[name], after[name]) for name in before):
        Path(path).unlink()
        raise ValueError(f"{str(path)!r} gave other numbers when it was read again, so it was taken away; check the disk")
