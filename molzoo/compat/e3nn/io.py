"""What e3nn calls ``e3nn.io``."""

from molzoo.o3.cartesian import CartesianTensor
from molzoo.o3.signal import SphericalTensor

__all__ = ["CartesianTensor", "SphericalTensor"]
