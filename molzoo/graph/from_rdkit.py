"""RDKit molecules and SMILES → AtomGraph. RDKit is imported when a function here is called."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from molzoo.graph.atom_graph import AtomGraph
from molzoo.shapes import Float, Int, Tensor

if TYPE_CHECKING:
    from rdkit import Chem


def from_smiles(smiles: str, seed: int = 0) -> AtomGraph:
    """The molecule with all its hydrogens and a force-field geometry, the same for the same ``seed``.

    Raises:
        ValueError: RDKit cannot read the SMILES or cannot embed the molecule.

    >>> from_smiles("O").z.tolist()
    [8, 1, 1]
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():  # RDKit prints its complaint; ours says the same once
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise ValueError(f"{smiles!r} is not a SMILES that RDKit can read; ethanol, for example, is 'CCO'")
    return from_rdkit(mol, seed=seed)


def from_rdkit(mol: "Chem.Mol", conformer: int = -1, seed: int = 0) -> AtomGraph:
    """The molecule in its 3D conformer or, if it has none, in one made from ``seed``; ``mol`` is not changed.

    Coordinates that are made come from ETKDGv3 with explicit hydrogens, relaxed by MMFF94, by UFF where MMFF94 has no
    parameters. The charge is the formal charge; the spin multiplicity is that of all radical electrons in parallel.
    ``bond_index`` holds each bond in both directions, ``bond_type`` its order (1, 1.5 if aromatic, 2, 3).

    Args:
        mol: the molecule.
        conformer: RDKit's number of the conformer; −1 is the first.
        seed: of the embedding.

    Raises:
        ValueError: the conformer is missing or lacks hydrogens, or the molecule cannot be embedded.
    """
    from rdkit import Chem

    pos = _given(mol, conformer)
    if pos is None:
        mol = Chem.AddHs(mol)
        pos = _embedded(mol, seed)
    bond_index, bond_type = _bonds(mol)
    return AtomGraph(
        z=[atom.GetAtomicNum() for atom in mol.GetAtoms()],
        pos=torch.from_numpy(pos),
        charge=float(Chem.GetFormalCharge(mol)),
        spin=1.0 + sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()),
        bond_index=bond_index,
        bond_type=bond_type,
    )


def _given(mol: "Chem.Mol", conformer: int) -> np.ndarray | None:
    """Positions of the 3D conformer; None if the molecule has no conformers, or flat drawings only."""
    known = [c.GetId() for c in mol.GetConformers()]
    if conformer == -1 and not any(c.Is3D() for c in mol.GetConformers()):
        return None
    if conformer != -1 and conformer not in known:
        raise ValueError(f"the molecule has no conformer {conformer}; it has {known or 'none, which conformer=-1 makes'}")
    missing = sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    if missing:
        raise ValueError(f"the conformer lacks {missing} hydrogens; add them with Chem.AddHs(mol, addCoords=True)")
    return mol.GetConformer(conformer).GetPositions()


def _embedded(mol: "Chem.Mol", seed: int) -> np.ndarray:
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        raise ValueError("the molecule has a dummy atom '*'; replace it by an element")
    options = rdDistGeom.ETKDGv3()
    options.randomSeed = seed  # type: ignore[assignment]  # rdkit's stubs are wrong
    with rdBase.BlockLogs():
        if rdDistGeom.EmbedMolecule(mol, options) == -1:
            # For large rings and cages that distance geometry alone does not close.
            options.useRandomCoords = True  # type: ignore[assignment]
            if rdDistGeom.EmbedMolecule(mol, options) == -1:
                raise ValueError(f"RDKit finds no 3D coordinates for {Chem.MolToSmiles(mol)}; give a molecule with a conformer")
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=2000)
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=2000)
    return mol.GetConformer().GetPositions()


def _bonds(mol: "Chem.Mol") -> tuple[Int[Tensor, "2 bonds"], Float[Tensor, " bonds"]]:
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    order = torch.tensor([bond.GetBondTypeAsDouble() for bond in mol.GetBonds()], dtype=torch.float32)
    index = torch.tensor(ends, dtype=torch.int64).reshape(-1, 2).T
    return torch.cat([index, index.flip(0)], 1), torch.cat([order, order])
