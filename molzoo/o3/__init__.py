"""Rotation mathematics: irreducible representations of O(3). No atoms, no edges."""

from molzoo.o3.irreps import Irrep, Irreps

__all__ = ["Irrep", "Irreps"]
