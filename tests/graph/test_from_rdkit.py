import subprocess
import sys

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

from molzoo.graph import connect, from_rdkit, from_smiles


def test_ethanol_has_nine_atoms_and_bonds_both_ways():
    graph = from_smiles("CCO")
    assert sorted(graph.z.tolist()) == [1] * 6 + [6, 6, 8]
    assert graph.bond_index.shape == (2, 16)
    there, back = ({(*bond, order) for bond, order in zip(index.T.tolist(), graph.bond_type.tolist(), strict=True)}
                   for index in (graph.bond_index, graph.bond_index.flip(0)))  # fmt: skip
    assert there == back
    length = (graph.pos[graph.bond_index[0]] - graph.pos[graph.bond_index[1]]).norm(dim=1)
    assert (length > 0.9).all()
    assert (length < 1.6).all()
    assert (graph.charge.item(), graph.spin.item(), graph.pbc.any().item()) == (0, 1, False)
    assert connect(graph, 5.0).num_edges == 72


def test_the_seed_decides_the_conformer():
    first, again, other = from_smiles("CCCCCO", 1), from_smiles("CCCCCO", 1), from_smiles("CCCCCO", 2)
    assert torch.equal(first.pos, again.pos)
    assert not torch.allclose(first.pos, other.pos)


@pytest.mark.parametrize(
    ("smiles", "charge", "spin", "orders"),
    [
        ("[O-]C=O", -1, 1, {1.0, 2.0}),
        ("c1ccccc1", 0, 1, {1.0, 1.5}),
        ("C#N", 0, 1, {1.0, 3.0}),
        ("[CH3]", 0, 2, {1.0}),
        ("[O][O]", 0, 3, {1.0}),
        ("[Na+]", 1, 1, set()),
        ("C[Si](C)(C)B", 0, 1, {1.0}),  # MMFF94 has no parameters: UFF
    ],
)
def test_charge_spin_and_bond_orders(smiles, charge, spin, orders):
    graph = from_smiles(smiles)
    assert (graph.charge.item(), graph.spin.item()) == (charge, spin)
    assert set(graph.bond_type.tolist()) == orders
    assert graph.pos.isfinite().all()


def test_a_conformer_that_is_there_is_used_and_nothing_is_changed():
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMultipleConfs(mol, 2, randomSeed=7)
    for conformer in (0, 1):
        assert np.array_equal(from_rdkit(mol, conformer).pos.numpy(), mol.GetConformer(conformer).GetPositions())
    bare = Chem.MolFromSmiles("CCO")
    AllChem.Compute2DCoords(bare)  # a drawing is not a conformer
    assert len(from_rdkit(bare).z) == 9
    assert bare.GetNumAtoms() == 3
    with pytest.raises(ValueError, match="no conformer 5"):
        from_rdkit(mol, 5)
    with pytest.raises(ValueError, match="lacks 6 hydrogens"):
        from_rdkit(Chem.RemoveHs(mol))


@pytest.mark.parametrize("smiles", ["not a smiles", "C(", "", "*C"])
def test_a_bad_smiles_is_one_sentence(smiles, capfd):
    with pytest.raises(ValueError, match=r"ethanol|dummy atom") as error:
        from_smiles(smiles)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_importing_the_package_loads_no_chemistry():
    code = "import sys, molzoo.graph; print([m for m in ('ase', 'rdkit', 'vesin', 'lightning', 'e3nn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
