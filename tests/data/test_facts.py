import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from molzoo.data.facts import DataFacts, compute_facts
from molzoo.data.frames import Frames
from molzoo.data.references import moments

E0 = {1: -13.6, 6: -1030.5, 8: -2040.25}


def frames(n=40, seed=0, *, noise=0.1, shift=0.0):
    """Random molecules whose energies are sums of E0 and a little more."""
    random = np.random.default_rng(seed)
    sizes = random.integers(3, 8, size=n)
    z = random.choice([1, 6, 8], size=sizes.sum())
    ptr = np.concatenate([[0], sizes.cumsum()])
    sums = np.array([sum(E0[int(number)] for number in z[a:b]) for a, b in pairwise(ptr)])
    labels = {
        "energy": sums + noise * random.normal(size=n) + shift,
        "forces": random.normal(size=(sizes.sum(), 3)),
        "gap": 5 + random.normal(size=n),
        "alpha": sizes * 0.1 + 0.01 * random.normal(size=n),
        "mu": random.uniform(size=n),
        "dipole": random.normal(size=(n, 3)),
    }
    return Frames(z, random.normal(size=(sizes.sum(), 3)) * 2, ptr, charge=torch.arange(n) % 2 * 1.0, labels=labels)


def test_least_squares_finds_the_references_exactly():
    facts = compute_facts(frames(noise=0.0), ["energy"], 3.0)
    assert facts.elements == [1, 6, 8]
    assert facts.references["energy"] == pytest.approx(E0, rel=1e-10)
    assert facts.charges == [0.0, 1.0]
    assert facts.notes == []


def test_missing_labels_do_not_count():
    data = frames(noise=0.0)
    data.labels["energy"][::3] = torch.nan
    data.labels["forces"][:5] = torch.nan
    facts = compute_facts(data, ["energy", "forces"], 3.0)
    assert facts.references["energy"] == pytest.approx(E0, rel=1e-10)
    assert facts.scales["energy"] == pytest.approx(data.labels["forces"][5:].square().mean().sqrt().item())


def test_scales_and_means():
    data = frames()
    facts = compute_facts(data, ["energy", "gap", "alpha", "mu", "dipole"], 3.0)
    assert facts.scales["energy"] == pytest.approx(0.1 / np.sqrt(5), rel=0.3)
    assert facts.means == {"gap": pytest.approx(data.labels["gap"].mean().item())}
    assert facts.scales["gap"] == pytest.approx(data.labels["gap"].std(correction=0).item())
    assert (facts.scales["mu"], facts.scales["dipole"]) == (1.0, 1.0)
    assert set(facts.references) == {"energy", "alpha"}
    assert all(value == pytest.approx(0.1, abs=0.01) for value in facts.references["alpha"].values())
    assert compute_facts(data, ["energy", "forces"], 3.0).scales["energy"] == pytest.approx(1.0, rel=0.05)


def test_adding_a_constant_to_the_labels_changes_no_residual():
    names, one, other = ["energy"], frames(seed=3), frames(seed=3)
    other.labels["energy"] += 1e6 * other.n_atoms  # per atom, so that references can take it up
    facts = [compute_facts(data, names, 3.0) for data in (one, other)]
    for z in E0:
        assert facts[1].references["energy"][z] - facts[0].references["energy"][z] == pytest.approx(1e6, abs=1e-6)
    assert facts[1].scales["energy"] == pytest.approx(facts[0].scales["energy"], abs=1e-6)


def test_neighbours_are_counted_in_both_directions():
    h2 = Frames([1, 1, 1], [[0, 0, 0], [0, 0, 0.74], [0, 0, 50]], [0, 2, 3], labels={"energy": [-31.0, -13.6]})
    assert compute_facts(h2, ["energy"], 3.0).avg_n_neighbours == pytest.approx(2 / 3)


def test_isolated_atoms_of_the_source_or_of_the_training_frames():
    data = frames(noise=0.5)
    facts = compute_facts(data, ["energy"], 3.0, "isolated", {"energy": E0})
    assert facts.references["energy"] == E0
    with pytest.raises(ValueError, match="free atom of H, C, O"):
        compute_facts(data, ["energy"], 3.0, "isolated")
    atoms = Frames([1, 6, 8, 1, 1], np.eye(5, 3), [0, 1, 2, 3, 5], labels={"energy": [*E0.values(), -31.0]})
    assert compute_facts(atoms, ["energy"], 3.0, "isolated").references["energy"] == E0
    with pytest.raises(ValueError, match="free atom of O"):
        compute_facts(data, ["energy"], 3.0, "isolated", {"energy": {1: -13.6, 6: -1030.0}})


def test_given_references_and_none():
    data = frames()
    facts = compute_facts(data, ["energy", "alpha"], 3.0, {"H": -13.6, "C": -1030.5, "O": -2040.25, "N": 0.0})
    assert facts.references["energy"] == E0
    assert "alpha" in facts.references  # eV say nothing of it: fitted
    none = compute_facts(data, ["energy", "alpha"], 3.0, "none")
    assert none.references == {}
    assert "eV per atom are left" in none.notes[0]
    with pytest.raises(ValueError, match="says nothing of C, O"):
        compute_facts(data, ["energy"], 3.0, {"H": -13.6})
    with pytest.raises(ValueError, match="not the symbol"):
        compute_facts(data, ["energy"], 3.0, {"Hh": -13.6})
    with pytest.raises(ValueError, match="type least_squares, isolated"):
        compute_facts(data, ["energy"], 3.0, "fit")


def test_references_of_another_method_are_noted():
    data = frames(noise=0.5)
    facts = compute_facts(data, ["energy"], 3.0, {"H": -13.6, "C": -37.8, "O": -75.0})
    assert any("C, O differ more than tenfold" in note for note in facts.notes)
    assert any("eV per atom are left" in note for note in facts.notes)


def test_one_composition_is_noted_and_still_sums_right():
    random = np.random.default_rng(0)
    data = Frames.of_one_molecule([8, 1, 1], random.normal(size=(9, 3, 3)), {"energy": -2080 + random.normal(size=9)})
    facts = compute_facts(data, ["energy"], 3.0)
    assert "determine 1 of 2 references" in facts.notes[0]
    total = facts.references["energy"][8] + 2 * facts.references["energy"][1]
    assert total == pytest.approx(data.labels["energy"].mean().item(), rel=1e-12)


def test_the_spatial_extent_is_fitted_to_moments():
    data = frames()
    q = torch.tensor([1.2, 6.1, 8.8], dtype=torch.float64)
    data.labels["r2"] = moments(data, [1, 6, 8]) @ q
    facts = compute_facts(data, ["r2"], 3.0)
    assert list(facts.references["r2"].values()) == pytest.approx(q.tolist(), rel=1e-9)
    assert facts.scales["r2"] == 1.0
    # The moment of H2 about its centre: two atoms at half the distance.
    h2 = Frames([1, 1], [[5, 0, 0], [5, 0, 0.8]], [0, 2])
    assert moments(h2, [1]).item() == pytest.approx(2 * 0.4**2)


def test_facts_survive_json_exactly():
    facts = compute_facts(frames(), ["energy", "forces", "gap"], 3.0)
    again = DataFacts.from_dict(json.loads(json.dumps(facts.to_dict())))
    assert again == facts


def test_constant_or_absent_labels_leave_a_scale_of_one():
    data = Frames([1, 1], np.eye(2, 3), [0, 1, 2], labels={"gap": [1.0, 1.0], "energy": [-13.6, -13.6]})
    facts = compute_facts(data, ["gap", "energy", "forces"], 3.0)
    assert facts.scales == {"gap": 1.0, "energy": 1.0}
