"""Training: the Lightning task, its schedule and average, and ``fit``, which runs it."""

from molzoo.train.evaluate import Evaluation, evaluate
from molzoo.train.muon import Muon
from molzoo.train.run import fit
from molzoo.train.settings import Settings

__all__ = ["Evaluation", "Muon", "Settings", "evaluate", "fit"]
