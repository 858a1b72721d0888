"""The laws find what is planted: each fault breaks exactly the laws it must. And the command that tries them."""

import copy
import functools
import json
import re
from dataclasses import replace

import ase.io
import pytest
import torch
from ase.build import bulk, graphene, molecule
from torch import nn
from torch_geometric.data import Batch

from molzoo import checkpoint
from molzoo.check import LAWS, check, dynamics
from molzoo.check.dynamics import energy_conservation
from molzoo.check.structures import examples, unlike
from molzoo.checkpoint import save
from molzoo.cli import main
from molzoo.data.facts import DataFacts, compute_facts
from molzoo.data.source import open_source
from molzoo.graph import AtomGraph, connect, from_ase, pair_vectors
from molzoo.models.schnet import SchNet
from molzoo.nn import Convolution, Envelope, sum_rows
from molzoo.predictor import Predictor

SMALL = {"channels": 8, "n_layers": 1, "n_radial": 8, "n_filters": 8}
LEARNED = DataFacts(elements=[1, 6, 8], cutoff=5.0, shortest={"H-O": 0.9}, n_neighbours=[1, 9])


def made(cls=Predictor, model="SchNet", names=("energy", "forces", "dipole"), dtype=torch.float64, facts=None, **arguments):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        predictor = cls(model, names, SMALL | arguments, facts)
        for parameter in predictor.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return predictor.to(dtype)


def violated(predictor, *laws):
    structures = [molecule("HCOOH"), crystal()]
    return set(check(predictor, structures, [LAWS[name] for name in laws] or LAWS.values()).violated)


def crystal():
    return molecule("H2CO", cell=[[4.2, 0.2, 0], [0.4, 3.9, 0], [0, 0.3, 4.4]], pbc=True)


def batch_of(graph):
    return graph.batch if "batch" in graph else torch.zeros_like(graph.z)


class WithExtra(Predictor):
    """Predicts something more, by ``extra``: (graph, found) → new values."""

    def extra(self, graph, found):
        raise NotImplementedError

    def evaluate(self, graph):
        found = super().evaluate(graph)
        return found | self.extra(graph, found)


def summed(terms, graph, found):
    return {"energy": found["energy"] + sum_rows(terms, batch_of(graph), graph.n_graphs), "energies": found["energies"] + terms}


def edge_vectors(graph):
    j, i = graph.edge_index
    return graph.pos[j] + (graph.edge_shift.to(graph.pos)[:, :, None] * graph.cell[batch_of(graph)[i]]).sum(1) - graph.pos[i]


class KnowsWhereItIs(WithExtra):
    def extra(self, graph, found):
        return summed(0.1 * graph.pos[:, 0], graph, found)


class KnowsUp(WithExtra):
    """A field along x that is everywhere the same."""

    def extra(self, graph, found):
        r = edge_vectors(graph)
        fades = (1 - r.square().sum(1) / self.model.cutoff**2).clamp(min=0) ** 4
        return summed(0.1 * sum_rows(r[:, 0].square() * fades, graph.edge_index[1], len(graph.z)), graph, found)


class MeanOfAtoms(WithExtra):
    def extra(self, graph, found):
        atoms = torch.bincount(batch_of(graph), minlength=graph.n_graphs).clamp(min=1)
        return {"energy": found["energy"] / atoms, "energies": found["energies"] / atoms[batch_of(graph)]}


class MixesTheBatch(WithExtra):
    def extra(self, graph, found):
        return {"charges": found["charges"] + 1e-3 * (graph.n_graphs - 1)}


class FirstAtomCounts(WithExtra):
    def extra(self, graph, found):
        charges = found["charges"].clone()
        charges[:1] += 1e-3
        return {"charges": charges} if graph.n_graphs == 1 else {}


class AxialDipole(WithExtra):
    """A vector that does not turn round in the mirror."""

    def extra(self, graph, found):
        batch, z = batch_of(graph), graph.z.double()[:, None]
        centred = graph.pos - (sum_rows(graph.pos, batch, graph.n_graphs) / torch.bincount(batch)[:, None].clamp(min=1))[batch]
        a, b = (sum_rows(weight * centred, batch, graph.n_graphs) for weight in (z, z.square()))
        return {"dipole": found["dipole"] + 1e-3 * torch.linalg.cross(a, b)}


class Noisy(WithExtra):
    """Below any limit but zero, and from a generator of its own."""

    generator = torch.Generator()

    def extra(self, graph, found):
        return {"charges": found["charges"] + 1e-14 * torch.randn(len(graph.z), generator=self.generator)}


class UsesRandomNumbers(WithExtra):
    def extra(self, graph, found):
        torch.rand(1)
        return {}


class MovesItsInput(Predictor):
    def forward(self, graph, names=None, create_graph=None):
        if not graph.pos.requires_grad and "edge_index" not in graph:
            graph.charge = graph.charge + 0.0
            graph.touched = torch.ones(1)
        return super().forward(graph, names, create_graph)


class WrongSign(Predictor):
    def forward(self, graph, names=None, create_graph=None):
        found = super().forward(graph, names, create_graph)
        return found | ({"forces": -found["forces"]} if "forces" in found else {})


class OfVoigt(Predictor):
    """Stress in the wrong order: xx and yy are exchanged."""

    def forward(self, graph, names=None, create_graph=None):
        found = super().forward(graph, names, create_graph)
        order = torch.tensor([1, 0, 2])
        return found | ({"stress": found["stress"][:, order][:, :, order]} if "stress" in found else {})


class WithoutSecondDerivatives(Predictor):
    def forward(self, graph, names=None, create_graph=None):
        found = super().forward(graph, names, create_graph)
        return found | ({"forces": found["forces"].detach()} if "forces" in found else {})


class AnswersAnything(Predictor):
    def check(self, graph, names):
        if "dipole" not in names:
            super().check(graph, names)


class Unfinite(WithExtra):
    """The classic: a square root whose derivative is no number where two atoms coincide."""

    def extra(self, graph, found):
        lengths = edge_vectors(graph).square().sum(1).sqrt()
        fades = (1 - lengths / self.model.cutoff).clamp(min=0) ** 4
        return summed(sum_rows(fades, graph.edge_index[1], len(graph.z)), graph, found)


class Capped(SchNet):
    """No more than six neighbours, the first ones in the list."""

    def features(self, graph):
        graph = connect(graph, self.cutoff)
        i = graph.edge_index[1]
        first = torch.searchsorted(i, i)
        kept = torch.arange(len(i)) - first < 6
        fields = {"edge_index": graph.edge_index[:, kept], "edge_shift": graph.edge_shift[kept]}
        bare = {name: graph[name] for name in ("z", "pos", "cell", "pbc", "charge", "batch") if name in graph}
        return super().features(connect(AtomGraph(**bare, **fields), self.cutoff))


class Detached(SchNet):
    def features(self, graph):
        x = super().features(graph)
        return x + x.detach()


class Abrupt(SchNet):
    """Without an envelope."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.envelope = One()


class One(nn.Module):
    def forward(self, d, clamp=True):
        return torch.ones_like(d)


SOUND = {
    "SchNet": made(),
    "single precision": made(dtype=torch.float32),
    "references": made(facts=DataFacts(references={"energy": {1: -13.6, 6: -1030.0, 8: -2040.0}}), dtype=torch.float32),
}


@pytest.mark.parametrize("model", ["SchNet", "PaiNN"])
def test_what_vanishes_by_symmetry_is_compared_with_what_cancels_in_it(model, predictor):
    sound = predictor(model, "energy", "dipole", dtype=torch.float32)
    report = check(sound, [molecule("O2"), graphene(vacuum=5.0)])
    assert report.holds, report


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_keeps_all_laws(name):
    report = check(SOUND[name], [molecule("HCOOH"), crystal()])
    assert report.holds, report
    assert {verdict.law.name for verdict in report.verdicts if verdict.why_not} == set()


PLANTED = {
    KnowsWhereItIs: {
        *("translation", "rotation", "inversion", "additivity", "supercell"),
        *("wrapping", "momentum", "isolated atom", "continuity"),
    },
    KnowsUp: {"rotation", "momentum"},
    MeanOfAtoms: {"additivity", "supercell", "isolated atom"},
    MixesTheBatch: {"batch"},
    FirstAtomCounts: {"batch", "permutation", "supercell"},
    AxialDipole: {"inversion"},
    Noisy: {"repetition"},
    UsesRandomNumbers: {"surroundings"},
    MovesItsInput: {"inputs"},
    WrongSign: {"forces"},
    OfVoigt: {"rotation", "stress"},
    WithoutSecondDerivatives: {"Hessian", "symmetric Hessian"},
    AnswersAnything: {"refusals"},
    Unfinite: {"finite numbers"},
    Capped: {"permutation", "supercell", "locality"},
    Detached: {"forces", "stress", "Hessian"},
    Abrupt: {"locality", "continuity"},
}


@pytest.mark.parametrize("cls", PLANTED)
def test_a_planted_fault_breaks_its_laws_and_no_other(cls):
    faulty = made(cls) if issubclass(cls, Predictor) else made(model=cls, names=("energy", "forces"))
    report = check(faulty, [molecule("HCOOH"), crystal()])
    assert set(report.violated) == PLANTED[cls], report


def test_a_file_that_loses_something_is_found(monkeypatch):
    write = checkpoint.save

    def rounded(predictor, path):
        write(copy.deepcopy(predictor).half().to(predictor.model.dtype), path)

    monkeypatch.setattr("molzoo.checkpoint.save", rounded)
    assert violated(made(), "file") == {"file"}


def test_a_back_end_that_differs_is_found(monkeypatch):
    aggregate = Convolution.aggregate

    @functools.wraps(aggregate)
    def halved(self, inputs, index, dim_size):
        return 0.5 * aggregate(self, inputs, index, dim_size)

    monkeypatch.setattr(Convolution, "aggregate", halved)
    assert violated(made(), "back ends") == {"back ends"}


def test_energy_is_conserved_by_forces_of_the_right_sign(monkeypatch):
    monkeypatch.setattr(dynamics, "STEPS", 100)
    runs = []
    law = energy_conservation(runs.append)
    assert check(made(), [molecule("H2O")], [law]).holds
    assert not check(made(WrongSign), [molecule("H2O")], [law]).holds
    assert [len(times) for times, _ in runs] == [101, 101]


def test_neither_the_model_nor_the_structure_is_changed():
    predictor, graph = made().train(), connect(from_ase(molecule("H2O")), 5.0)
    before, pos = copy.deepcopy(predictor.state_dict()), graph.pos.clone()
    check(predictor, [graph])
    assert all(torch.equal(value, before[name]) for name, value in predictor.state_dict().items())
    assert predictor.training
    assert torch.equal(graph.pos, pos)
    assert all(parameter.grad is None for parameter in predictor.parameters())


def test_what_does_not_apply_says_why():
    report = check(made(names=("gap",)), [molecule("H2O")])
    reasons = {verdict.law.name: verdict.why_not for verdict in report.verdicts if verdict.why_not}
    assert report.holds
    assert reasons["forces"] == "the model gives no energy"
    assert reasons["supercell"] == "no periodic structure"
    assert reasons["additivity"] == "the model gives no plain sum over atoms"


def test_a_model_that_predicts_nothing_in_a_crystal_is_not_blamed():
    predictor = Predictor("PaiNN", ["polarizability"], {"channels": 8, "n_layers": 1}).double()
    assert check(predictor, [molecule("H2O"), bulk("Cu")]).holds


def test_a_model_of_ions_is_not_asked_for_two_cells():
    made_for_ions = made(names=("energy", "forces"), facts=DataFacts(elements=[1, 6, 8], charges=[1.0]))
    report = check(made_for_ions, [graph for graph in examples(made_for_ions.facts) if graph.pbc.any()])
    reasons = {verdict.law.name: verdict.why_not for verdict in report.verdicts if verdict.why_not}
    assert report.holds
    assert reasons["supercell"] == "no neutral periodic structure"


def test_a_batch_is_refused():
    batch = Batch.from_data_list([from_ase(molecule("H2O"))] * 2)
    with pytest.raises(ValueError, match="a batch of 2 structures cannot be checked as one; give a list"):
        check(made(), [batch])
    with pytest.raises(ValueError, match="there is no structure to check the model with"):
        check(made(), [])


# ------------------------------------------------------------------------------------------------- structures and what is known


@pytest.mark.parametrize("elements", [[], [1], [1, 6, 8], [29], [3, 9, 17], [1, 92]])
def test_examples_have_every_element_and_a_cell(elements):
    graphs = examples(DataFacts(elements=elements, charges=[-1.0]))
    assert set(torch.cat([graph.z for graph in graphs]).tolist()) == set(elements or [1, 6, 7, 8])
    assert any(graph.pbc.any() for graph in graphs)
    assert {float(graph.charge) for graph in graphs} == {-1.0}
    assert all(len(graph.z) > 1 for graph in graphs)


def test_shortest_distances_and_neighbours_are_facts_of_the_training_data():
    frames = open_source("sample/copper").frames
    facts = compute_facts(frames, ["energy"], 3.5)
    graphs = [connect(graph, 3.5) for graph in map(frames.__getitem__, range(24))]
    nearest = min(float(pair_vectors(graph).norm(dim=1).min()) for graph in graphs)
    count = torch.cat([torch.bincount(graph.edge_index[1], minlength=len(graph.z)) for graph in graphs])
    assert facts.shortest == {"Cu-Cu": pytest.approx(nearest)}
    assert facts.n_neighbours == [int(count.min()), int(count.max())]
    assert DataFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


def test_what_is_unlike_the_training_data_is_said():
    frames = open_source("sample/ethanol").frames
    facts = compute_facts(frames.select(range(0, 1600, 20)), ["energy"], 5.0)
    ethanol, near, crowd = frames[0], frames[0], from_ase(bulk("C"))
    near.pos = 0.7 * near.pos
    assert unlike(facts, ethanol) == []
    assert any(
        re.match(r"H and C are 0\.\d\d Å apart; in training never nearer than 1\.0\d Å", said) for said in unlike(facts, near)
    )
    assert any("neighbours within 5 Å; in training at most 8" in said for said in unlike(facts, crowd))
    assert unlike(facts, from_ase(molecule("O2"))) == [
        "O and O are 1.25 Å apart; in training they never met within 5 Å",
        "an atom has 1 neighbours within 5 Å; in training at least 8",
    ]
    assert unlike(DataFacts(elements=[1]), near) == []  # of a model from before these facts


# ------------------------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def refused(capsys):
    """``refused(words)``: the one sentence with which molzoo refuses them."""

    def run(words):
        assert main(words) == 2
        return capsys.readouterr().err.removeprefix("molzoo: ")

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With a sound model.pt, and short runs."""
    monkeypatch.setattr(dynamics, "STEPS", 20)
    monkeypatch.chdir(tmp_path)
    save(made(dtype=torch.float32, facts=LEARNED), "model.pt")
    return tmp_path


def test_the_command_prints_a_table_and_writes_a_page(folder, capsys):
    assert main(["check", "model.pt", "--html", "report.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines[1:-1]] == [*LAWS, "energy conservation"]
    assert lines[-1] == "model.pt: keeps all laws, on 2 structures"
    assert re.search(r"^forces .*1e-06  float64  holds", "\n".join(lines), re.MULTILINE)
    page = (folder / "report.html").read_text()
    assert "<p>It keeps all laws, on 2 structures.</p>" in page
    assert page.count("<img") == 3
    assert "http" not in page


def test_a_broken_model_is_told_by_the_exit_code(folder, capsys):
    broken = made(facts=LEARNED)
    next(broken.parameters()).data.fill_(torch.nan)
    save(broken, "broken.pt")
    assert main(["check", "broken.pt"]) == 1
    assert "broken.pt: violates translation, " in capsys.readouterr().out


def test_a_page_begins_with_the_violated_laws_and_marks_them(folder, capsys, monkeypatch):
    monkeypatch.setattr(Envelope, "forward", lambda envelope, d, clamp=True: torch.ones_like(d))
    assert main(["check", "model.pt", "--html", "report.html"]) == 1
    page = (folder / "report.html").read_text()
    assert "</h1>\n<p>It violates locality, continuity.</p>\n" in page
    assert re.findall(r"class='VIOLATED'><td>(.*?)</td>", page) == ["locality", "continuity"]
    assert re.search(r"^\.VIOLATED \{ color: #\w+; font-weight: bold; \}", page, re.MULTILINE)


def test_structures_of_a_file_and_what_is_strange_about_them(folder, capsys):
    ase.io.write("few.xyz", [molecule(name) for name in ("H2O", "NH3", "CH3CH2OH")])
    assert main(["check", "model.pt", "few.xyz"]) == 0
    out = capsys.readouterr().out
    assert "warning: structure 1 is left out: this model never learned N; it was trained on H, C, O\n" in out
    assert "warning: structure 2: H and C are 1.09 Å apart; in training they never met within 5 Å\n" in out
    assert out.endswith("model.pt: keeps all laws, on 2 structures of few.xyz\n")


def test_a_charge_that_was_never_learned_is_no_violation(folder, capsys):
    save(made(dtype=torch.float32, facts=replace(LEARNED, charges=[0.0])), "neutral.pt")
    ion, water = molecule("CH3CH2O"), molecule("H2O")
    ion.info["charge"] = -1
    ase.io.write("ions.extxyz", [ion, water])
    assert main(["check", "neutral.pt", "ions.extxyz"]) == 0
    said = "structure 0 is left out: this model never learned structures of total charge -1; it was trained on charge +0"
    assert f"warning: {said}\n" in capsys.readouterr().out


def test_wrong_words_are_answered(folder, refused):
    ase.io.write("foreign.xyz", molecule("NH3"))
    said = refused(["check", "model.pt", "foreign.xyz"])
    assert said.startswith("nothing in 'foreign.xyz' is like what the model was trained on; structure 0 is left out: ")
    assert refused(["check", "model.pt", "nowhere.xyz"]).startswith("there is no file 'nowhere.xyz'")
    assert refused(["check", "nowhere.pt"]).startswith("there is no model file 'nowhere.pt'")
