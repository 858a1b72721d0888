"""``import molzoo`` is light and changes nothing outside itself."""

import json
import subprocess
import sys

# Beyond what PyG itself loads (numba, where it is installed).
HEAVY = ("lightning", "pytorch_lightning", "rdkit", "ase", "matplotlib", "numba", "tensorboard", "jsonargparse")


def run(code: str, *options: str) -> str:
    """What ``code`` prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code: str, *options: str) -> set[str]:
    """The heavy packages that ``code`` loads."""
    count = f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    before, after = run(f"import json, sys, torch_geometric.nn\n{count}\n{code}\n{count}", *options).splitlines()
    return set(json.loads(after)) - set(json.loads(before))


def test_a_model_loads_nothing_heavy() -> None:
    assert loaded("from molzoo import PaiNN\nPaiNN(channels=8)", "-W", "error::DeprecationWarning:molzoo") == set()


def test_a_model_runs_without_anything_heavy() -> None:
    code = """
import torch
from torch_geometric.data import Batch
from molzoo import AtomGraph, PaiNN, RadiusGraph, create_model
graph = RadiusGraph(5.0)(AtomGraph(z=[8, 1, 1], pos=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
create_model("SchNet")(Batch.from_data_list([graph, graph])).sum().backward()
"""
    assert loaded(code) <= {"ase"}  # vesin looks whether it is there


def test_the_command_line_starts_without_torch() -> None:
    code = "from molzoo.cli import main\nassert main(['--help']) == 0 and main(['trian']) == 2"
    assert run(f"{code}\nimport sys\nprint('torch' in sys.modules)").splitlines()[-1] == "False"


def test_imports_leave_all_globals_alone() -> None:
    state = """
def state():
    return (
        torch.get_default_dtype(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.get_num_interop_threads(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        str(np.random.get_state()),
        dict(os.environ),
        warnings.filters[:],
        signal.getsignal(signal.SIGINT),
    )
"""
    imports = "import os, random, signal, warnings\nimport numpy as np\nimport torch, torch_geometric.nn"
    others = "import lightning.pytorch, ase.calculators.calculator"  # what they do to the world is not ours
    ours = "import molzoo\nfor name in dir(molzoo): getattr(molzoo, name)"
    run(f"{imports}\n{others}\n{state}\nbefore = state()\n{ours}\nafter = state()\nassert before == after, (before, after)")
