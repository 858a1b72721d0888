"""How far molzoo's numbers are from the references', with the references' weights; writes docs/results/certificates.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/certificates/certificate.py

Needs only the stored fixtures, not the references. Errors are relative to the largest energy and force component of a fixture.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Batch

from molzoo.convert import our_state
from molzoo.graph import AtomGraph, connect
from molzoo.predictor import Predictor

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {torch.float64: 1e-10, torch.float32: 1e-5}


class Certificate(NamedTuple):
    """One model in one precision against one fixture."""

    energy: float
    forces: float
    n_parameters: int
    n_edges: list[int]


def reference(name: str) -> dict[str, Any]:
    """The stored numbers, with parameters and versions parsed."""
    with np.load(ROOT / "tests" / "fixtures" / f"{name}.npz") as stored:
        arrays = dict(stored)
    return arrays | {key: json.loads(str(arrays[key])) for key in ("parameters", "versions")}


def structures(stored: dict[str, Any]) -> list[AtomGraph]:
    """The structures that the reference was evaluated on."""
    atoms = [slice(*ends) for ends in zip(stored["ptr"][:-1], stored["ptr"][1:], strict=True)]
    frames = zip(atoms, stored["cell"], stored["pbc"], strict=True)
    return [AtomGraph(z=stored["z"][a], pos=stored["pos"][a], cell=cell, pbc=pbc) for a, cell, pbc in frames]


def weights(stored: dict[str, Any], draw: Any) -> dict[str, np.ndarray]:
    """The reference's weights under its own names.

    Raises:
        ValueError: numpy draws other numbers than it did for the fixture.
    """
    drawn = draw(stored["parameters"], int(stored["seed"]))
    sums = np.array([np.abs(w).sum() for w in drawn.values()])
    if not np.allclose(sums, stored["weight_sums"], rtol=1e-12, atol=0):
        raise ValueError(f"numpy {np.__version__} draws other weights than those of the fixture; make the fixtures anew")
    return drawn


def certify(name: str, dtype: torch.dtype, names: Any, draw: Any) -> Certificate:
    """Errors of the model of the fixture ``name`` when it computes in ``dtype``, against the reference's float64."""
    stored = reference(name)
    peer, model, arguments = names.FIXTURES[name]
    predictor = Predictor(model, ["energy", "forces"], arguments).to(dtype).eval()
    theirs = {key: torch.from_numpy(value) for key, value in weights(stored, draw).items()}
    predictor.model.load_state_dict({key: value.to(dtype) for key, value in our_state(peer, theirs).items()})
    graphs = structures(stored)
    with torch.no_grad():
        found = [predictor(graph) for graph in [*graphs, Batch.from_data_list(graphs)]]
    energy, forces = (
        max(
            np.abs(torch.cat([f[key] for f in part]).numpy() - stored[of]).max() / np.abs(stored[of]).max()
            for part in (found[:-1], found[-1:])  # one by one, and as a batch
        )
        for key, of in (("energy", "energies"), ("forces", "forces"))
    )
    return Certificate(energy, forces, sum(p.numel() for p in predictor.parameters()), [n_edges(graph) for graph in graphs])


def n_edges(graph: AtomGraph) -> int:
    """Edges within the references' cutoff."""
    return connect(graph, 5.0).num_edges


def main() -> None:
    import names
    from reference_weights import draw

    lines = [
        "# Certificates: the same numbers as the reference implementations",
        "",
        "Reference weights are copied into molzoo's model; energies and forces of three molecules and a periodic cell",
        "(PyG's: of the molecules) are compared with the reference's float64 values, one by one and as a batch. Errors are",
        "relative to the largest energy and the largest force component.",
        "Made by `scripts/certificates/certificate.py`; how the fixtures were made: `scripts/certificates/README.md`.",
        "`tests/models/test_parity.py` holds the limits: 1e-10 in float64, 1e-5 in float32.",
        "",
        "| fixture | model | reference | parameters | precision | energy error | force error |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (_, model, arguments) in names.FIXTURES.items():
        versions = reference(name)["versions"]
        package = next(iter(versions))
        said = ", ".join([model, *(f"{key}={value}" for key, value in arguments.items())])
        for dtype, limit in LIMITS.items():
            found = certify(name, dtype, names, draw)
            assert max(found.energy, found.forces) <= limit, (name, dtype, found)
            lines.append(
                f"| {name} | {said} | {package} {versions[package]} | {found.n_parameters:,} | {str(dtype)[6:]} "
                f"| {found.energy:.1e} | {found.forces:.1e} |"
            )
    lines += [
        "",
        "TFN's reference is a layer made of e3nn's parts, which it equals to 1e-12, and the paper's own tasks, which it",
        "solves: `tests/models/test_tfn.py`.",
    ]
    text = "\n".join(lines) + "\n"
    path = ROOT / "docs" / "results" / "certificates.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
