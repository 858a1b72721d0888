import subprocess
import sys
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import torch
import yaml

from molzoo.data import Data
from molzoo.graph import AtomGraph

CONFIGS = Path(__file__).parents[2] / "configs" / "data"


def prepared(root, **arguments):
    data = Data(source="rmd17/ethanol", root=str(root), **{"train": 15, "val": 5, "batch_size": 4} | arguments)
    data.prepare(["energy", "forces"], 4.0)
    return data


def test_loaders_give_connected_batches_of_the_right_frames(rmd17):
    data = prepared(rmd17)
    seen = torch.cat([batch.energy for batch in data.loader("train")])
    assert seen.sort().values.tolist() == data.frames("train").labels["energy"].sort().values.tolist()
    for part, n_batches, n in (("train", 4, 15), ("val", 1, 5), ("test", 1, 25)):
        loader = data.loader(part)
        batches = list(loader)
        assert len(loader) == len(batches) == n_batches
        assert sum(batch.n_graphs for batch in batches) == n
        assert all(isinstance(batch, AtomGraph) and batch.cutoff == 4.0 for batch in batches)
    in_order = torch.cat([batch.energy for batch in data.loader("test")])
    assert in_order.tolist() == data.frames("test").labels["energy"].tolist()


def test_an_empty_part_has_no_batches(rmd17):
    data = prepared(rmd17, val=0, max_edges=100)
    assert len(data.loader("val")) == 0
    assert list(data.loader("val")) == []


def test_only_what_is_asked_for_is_batched(rmd17):
    data = Data(source="rmd17/ethanol", root=str(rmd17), batch_size=3)
    data.prepare(["energy"], 4.0)
    assert "forces" not in next(iter(data.loader("train")))


def test_preparing_again_gives_the_same_facts(rmd17):
    data = prepared(rmd17)
    assert data.prepare(["energy", "forces"], 4.0) is data.facts
    first = data.facts
    assert data.prepare(["energy", "forces"], 5.0) is not first
    assert data.facts.avg_n_neighbours > first.avg_n_neighbours
    assert prepared(rmd17).facts == first


def test_the_budget_reaches_the_loader(rmd17):
    data = prepared(rmd17, max_edges=100)
    for batch in data.loader("train"):
        assert batch.n_graphs == 1 or batch.edge_index.shape[1] <= 100


def test_a_published_split_by_number_or_a_file(rmd17, tmp_path):
    assert prepared(rmd17, split=2).splits.train.tolist() == prepared(rmd17, split="02").splits.train.tolist()
    np.savez(tmp_path / "mine.npz", train=[3, 1], val=[2], test=[0])
    data = prepared(rmd17, split=str(tmp_path / "mine.npz"), train=None, val=None)
    assert data.splits.train.tolist() == [3, 1]
    with pytest.raises(ValueError, match="no published split '01'"):
        Data(source="sample/copper", split="01", train=0.5).prepare(["energy"], 3.0)


def test_the_card_says_what_is_trained_on(rmd17):
    data = prepared(rmd17)
    card = data.card_dict
    assert card["splits"]["train"] == {"n": 15, "sha256": data.splits.hashes["train"]}
    assert card["elements"] == [1, 6, 8]
    assert card["labels"]["energy"]["unit"] == "eV"
    assert card["labels"]["energy/atom"]["mean"] == pytest.approx(card["labels"]["energy"]["mean"] / 9)
    norms = torch.cat([data.frames(part).labels["forces"].norm(dim=1) for part in ("train", "val", "test")])
    assert card["labels"]["|forces|"]["max"] == pytest.approx(norms.max().item())
    for word in ("15 frames", "H C O", "|forces|", "eV/A", "determine 1 of 3", data.splits.hashes["val"][:16]):
        assert word in data.card
    assert all(len(line) < 200 for line in data.card.splitlines()[:12])


def test_asking_too_early_or_for_something_else(rmd17):
    with pytest.raises(ValueError, match="prepare"):
        Data(source="sample/ethanol").loader("train")
    with pytest.raises(ValueError, match="no 'valid'"):
        prepared(rmd17).loader("valid")


def test_periodic_sample_with_stress():
    data = Data(source="sample/copper", train=16, val=4, test="rest", batch_size=4)
    facts = data.prepare(["energy", "forces", "stress"], 5.0)
    assert facts.elements == [29]
    batch = next(iter(data.loader("train")))
    assert batch.edge_shift.shape == (batch.edge_index.shape[1], 3)
    assert batch.stress.shape == (4, 3, 3)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_understood(path):
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(Data, "data")
    read = parser.parse_object(yaml.safe_load(path.read_text()))
    assert isinstance(parser.instantiate_classes(read).data, Data)
    assert ": /" not in path.read_text()  # no path outside the clone


def test_reading_the_table_imports_no_torch_and_data_no_lightning():
    code = "import sys, molzoo.data as d; d.SOURCES; print('torch' in sys.modules); d.Data; print('lightning' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
