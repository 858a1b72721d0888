"""Data: the ``data:`` section of a configuration, from its words to batches."""

import warnings
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from molzoo.data.batching import Batches
from molzoo.data.card import card_dict, check_labels, data_card
from molzoo.data.facts import DataFacts, References, compute_facts
from molzoo.data.frames import Frames
from molzoo.data.source import Source, open_source
from molzoo.data.splits import PARTS, Splits, make_splits, read_split
from molzoo.shapes import Int, Tensor


class Data:
    """Structures and labels for training, validation and test.

    Amounts of frames (``train``, ``val``, ``test``) are a count, a fraction, rows ``950-999``, ``rest``, or a file with one
    row number a line. Left out, a part is the published one; without a published split ``train`` is all that is left and
    the others are empty.

    Args:
        source: a data set such as rmd17/ethanol or qm9, or a file that ASE reads.
        root: folder of the data sets; by default the environment's MOLZOO_DATA, else ~/.cache/molzoo.
        labels: for files, the key under which each quantity is stored, such as {energy: dft_energy}.
        units: for files, the unit of each quantity that is not in eV, Å, e, such as {energy: kcal/mol}.
        train: frames to train on.
        val: frames to validate on.
        test: frames to test on.
        split: number of a published split, or an .npz file with arrays train, val and test.
        seed: of the random split and of the order of batches.
        batch_size: frames in a training batch.
        eval_batch_size: frames in a validation or test batch.
        max_edges: largest number of directed edges in a batch, to bound memory; batches close early.
        allow_missing: accept frames that lack labels; they are left out of the loss.
        allow_constant: accept labels that are all zero or all the same.
    """

    def __init__(
        self,
        *,
        source: str,
        root: str | None = None,
        labels: dict[str, str] | None = None,
        units: dict[str, str] | None = None,
        train: int | float | str | None = None,
        val: int | float | str | None = None,
        test: int | float | str | None = None,
        split: int | str | None = None,
        seed: int = 0,
        batch_size: int = 10,
        eval_batch_size: int = 100,
        max_edges: int | None = None,
        allow_missing: bool = False,
        allow_constant: bool = False,
    ) -> None:
        self.source, self.root, self.labels, self.units = source, root, labels, units
        self.train, self.val, self.test, self.split, self.seed = train, val, test, split, seed
        self.batch_size, self.eval_batch_size, self.max_edges = batch_size, eval_batch_size, max_edges
        self.allow_missing, self.allow_constant = allow_missing, allow_constant
        self._prepared: tuple | None = None
        self._opened: Source | None = None

    def open(self) -> Source:
        """The source, read once."""
        if self._opened is None:
            published = None if self.split is None or self._split_file is not None else str(self.split)
            self._opened = open_source(self.source, self.root, self.labels, self.units, published)
            if published and self._opened.splits is None:
                raise ValueError(f"{self.source!r} has no published split {published!r}; remove `split`, or give an .npz file")
        return self._opened

    @property
    def _split_file(self) -> Path | None:
        return Path(self.split) if isinstance(self.split, str) and Path(self.split).suffix else None

    def prepare(self, names: list[str], cutoff: float, references: References = "least_squares") -> DataFacts:
        """Facts of the training split for the quantities ``names``; all is checked, split and connected. Again: the same.

        Args:
            names: quantities that will be trained on.
            cutoff: radius of the neighbour lists, Å; the model's.
            references: see :func:`molzoo.data.facts.compute_facts`.

        Raises:
            ValueError: labels are missing or useless, or the split cannot be had.
        """
        key = (tuple(names), float(cutoff), str(references))
        if self._prepared == key:
            return self.facts
        source = self.open()
        published = source.splits if self._split_file is None else read_split(self._split_file)
        self.splits: Splits = make_splits(
            len(source.frames), self.train, self.val, self.test, seed=self.seed, published=published
        )
        used = torch.cat([self.splits[part] for part in PARTS])
        check_labels(source, used, names, allow_missing=self.allow_missing, allow_constant=self.allow_constant)
        frames = source.frames.keep(names)
        self._cutoff = float(cutoff)
        self._frames = {part: frames.select(self.splits[part]) for part in PARTS}
        self.facts: DataFacts = compute_facts(
            self._frames["train"], names, self._cutoff, references, source.isolated, source.name
        )
        self._warn_of_too_many(source)
        self.card_dict = card_dict(source, self.splits, self.facts, names)
        self._prepared = key
        return self.facts

    def _warn_of_too_many(self, source: Source) -> None:
        if source.one_molecule and len(self.splits.train) > 1000:
            note = (
                f"{len(self.splits.train)} training frames of one molecule's trajectory: its authors ask for at most 1000, "
                "because more are correlated with the test frames"
            )
            self.facts.notes.append(note)
            warnings.warn(note, stacklevel=3)

    @property
    def card(self) -> str:
        """The data card as text; ``card_dict`` is the same for JSON."""
        return data_card(self.card_dict)

    def frames(self, part: str) -> Frames:
        """The frames of one part, connected."""
        if self._prepared is None:
            raise ValueError("call prepare(names, cutoff) before asking for frames")
        self.splits[part]  # refuses other words than train, val, test
        return self._frames[part].connect(self._cutoff)

    def loader(self, part: str, share: bool = True) -> DataLoader:
        """Batches of ``part``: "train" in a new order each epoch (see :class:`Batches`), "val" and "test" in theirs.

        Each is one batched :class:`~molzoo.graph.AtomGraph`.

        Args:
            part: "train", "val" or "test".
            share: deal the batches to the ranks of a distributed run (Lightning: ``use_distributed_sampler=False``); if not,
                each rank takes all.
        """
        frames = self.frames(part)
        train = part == "train"
        batches = Batches(
            len(frames),
            self.batch_size if train else self.eval_batch_size,
            shuffle=train,
            seed=self.seed,
            n_edges=frames.n_edges,
            max_edges=self.max_edges,
            share=share,
        )
        return DataLoader(_Numbers(self.splits[part]), batch_sampler=batches, collate_fn=frames.batch)


class _Numbers(Dataset[int]):
    """The numbers of frames: what a loader needs of a data set when batches are cut from packed frames.

    Args:
        rows: the frames' numbers in the source, for messages.
    """

    def __init__(self, rows: Int[Tensor, " n"]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, frame: int) -> int:
        return frame
