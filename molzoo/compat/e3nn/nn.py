"""What e3nn calls ``e3nn.nn``."""

from molzoo.nn.fully_connected import FullyConnectedNet
from molzoo.o3.activation import Activation, NormActivation
from molzoo.o3.batch_norm import BatchNorm
from molzoo.o3.dropout import Dropout
from molzoo.o3.extract import Extract, ExtractIr, Identity
from molzoo.o3.gate import Gate
from molzoo.o3.grid_activation import S2Activation, SO3Activation

__all__ = [
    "Activation",
    "BatchNorm",
    "Dropout",
    "Extract",
    "ExtractIr",
    "FullyConnectedNet",
    "Gate",
    "Identity",
    "NormActivation",
    "S2Activation",
    "SO3Activation",
]
