"""Predictions as text, batch by batch: extended XYZ and CSV."""

from collections.abc import Sequence
from functools import lru_cache
from typing import IO

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str

from molzoo.quantities import quantity

Found = dict[str, np.ndarray]
_AXES = {(): ("",), (3,): ("_x", "_y", "_z"), (3, 3): ("_xx", "_yy", "_zz", "_yz", "_xz", "_xy")}
_VOIGT = [0, 4, 8, 5, 2, 1]


class Extxyz:
    """Extended XYZ. ASE's own writer takes longer than the network."""

    def __init__(self, file: IO[bytes], names: list[str]) -> None:
        self.file = file
        self.of_atoms = [name for name in names if quantity(name).per == "atom"]
        self.of_graph = [name for name in names if quantity(name).per == "graph"]
        sizes = [int(np.prod(quantity(name).shape)) for name in self.of_atoms]
        columns = [f"{name}:R:{size}" for name, size in zip(self.of_atoms, sizes, strict=True)]
        self.properties = ":".join(["Properties=species:S:1:pos:R:3", *columns])
        self.line = "%-2s %.10f %.10f %.10f" + " %.10g" * sum(sizes) + "\n"

    def __call__(self, first: int, atoms: list[Atoms], found: Found) -> None:
        """Write a batch whose first structure has the number ``first``."""
        positions = np.concatenate([one.positions for one in atoms])
        table = np.column_stack([positions, *(found[name].reshape(len(positions), -1) for name in self.of_atoms)]).tolist()
        values = zip(*(found[name].reshape(len(atoms), -1).tolist() for name in self.of_graph), strict=True)
        text, begin = [], 0
        for one, row in zip(atoms, values if self.of_graph else [()] * len(atoms), strict=True):
            end = begin + len(one)
            text.append(f"{len(one)}\n{self._comment(one, row)}\n")
            text += [self.line % (symbol, *numbers) for symbol, numbers in zip(one.symbols, table[begin:end], strict=True)]
            begin = end
        self.file.write("".join(text).encode())

    def _comment(self, atoms: Atoms, values: Sequence[list[float]]) -> str:
        lattice = atoms.cell.array.ravel().tolist()
        words = [f'Lattice="{" ".join(map(repr, lattice))}"'] if any(lattice) else []
        words += [self.properties, 'pbc="{} {} {}"'.format(*("T" if along else "F" for along in atoms.pbc.tolist()))]
        words += [f'{name}="{" ".join(map(repr, value))}"' for name, value in zip(self.of_graph, values, strict=True)]
        info = {str(key): _one_line(value) for key, value in atoms.info.items() if key not in self.of_graph}
        return " ".join([*words, key_val_dict_to_str(info)] if info else words)


def _one_line(value: object) -> object:
    return " ".join(value.splitlines()) if isinstance(value, str) else value


class Csv:
    """One line for each structure; symmetric matrices in ASE's order xx, yy, zz, yz, xz, xy."""

    def __init__(self, file: IO[bytes], names: list[str]) -> None:
        self.file, self.names = file, names
        heads = [f"{name}{axis} [{quantity(name).unit}]" for name in names for axis in _AXES[quantity(name).shape]]
        file.write((",".join(["index", "formula", "n_atoms", *heads]) + "\n").encode())

    def __call__(self, first: int, atoms: list[Atoms], found: Found) -> None:
        """Write a batch whose first structure has the number ``first``."""
        parts = [found[name].reshape(len(atoms), -1) for name in self.names]
        table = np.column_stack([part[:, _VOIGT] if part.shape[1] == 9 else part for part in parts]).tolist()
        lines = [
            f"{first + k},{_formula(one.numbers.tobytes())},{len(one)},{','.join(map(repr, row))}\n"
            for k, (one, row) in enumerate(zip(atoms, table, strict=True))
        ]
        self.file.write("".join(lines).encode())


@lru_cache(maxsize=1024)
def _formula(numbers: bytes) -> str:
    return Atoms(np.frombuffer(numbers, dtype=int)).get_chemical_formula()


WRITERS: dict[str, type[Extxyz] | type[Csv]] = {".extxyz": Extxyz, ".xyz": Extxyz, ".csv": Csv}
