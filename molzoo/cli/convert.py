"""``molzoo convert``: a peer's trained weights → a model.pt."""

from argparse import Namespace
from typing import TYPE_CHECKING

from molzoo.cli import config as configs
from molzoo.cli.use import Parser

if TYPE_CHECKING:
    from molzoo.graph import AtomGraph
    from molzoo.predictor import Predictor

USAGE = "PEER FILE -o MODEL [--elements H,C,O] [--KEY VALUE …] [--unit UNIT] [--check STRUCTURES]"


def convert_(words: list[str]) -> None:
    """Weights of nequip, SchNetPack or PyG as a model.pt; verified."""
    parser = _parser()
    own, keys = _apart(words, [text for action in parser._actions for text in action.option_strings])
    options = parser.parse_args(own)
    given = configs.from_words(keys).get("model", {})
    from molzoo.convert import PEERS, convert, read_state, write

    if options.peer not in PEERS:
        from molzoo.quantities import nearest

        raise ValueError(f"molzoo cannot read weights of {options.peer!r}{nearest(options.peer, PEERS)}")
    predictor = convert(options.peer, read_state(options.file), given, _elements(options.elements), options.unit)
    peer = PEERS[options.peer]
    doubt = peer.DOUBTFUL.get(predictor.model_name)
    if doubt and not options.check:
        raise ValueError(f"{doubt}, and the file does not say; add --check STRUCTURES with the peer's energies and forces")
    compared = _compared(predictor, options) if options.check else f"not compared with {options.peer}; assumed: {peer.ASSUMED}"
    write(predictor, options.out)
    n = sum(parameter.numel() for parameter in predictor.parameters())
    print(f"{options.out}: {predictor.model_name}, {n:,} parameters\n{compared}")


def _parser() -> Parser:
    parser = Parser("convert", USAGE)
    parser.add_argument("peer", metavar="PEER", help="nequip, schnetpack or pyg")
    parser.add_argument("file", metavar="FILE", help="a state dict, or a Lightning checkpoint of tensors")
    parser.add_argument("-o", "--out", metavar="MODEL", required=True, help="the model.pt to write")
    parser.add_argument("--elements", metavar="A,B", default="", help="trained on; for nequip all type_names in their order")
    parser.add_argument("--unit", default="eV", help="of the peer's energies, e.g. kcal/mol; lengths are in Å")
    parser.add_argument("--check", metavar="STRUCTURES", help="a file of ASE with energies and forces of the peer, in eV and Å")
    parser.epilog = "--KEY VALUE: arguments of the model that the file does not hold, e.g. --l_max 2 (molzoo info NequIP)"
    return parser


def _apart(words: list[str], options: list[str]) -> tuple[list[str], list[str]]:
    """The words, and apart from them the arguments of the model, as ``--model.key value``."""
    own: list[str] = []
    keys: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--") and word.partition("=")[0] not in options:
            value = [] if "=" in word else [next(rest, "--")]
            if value and value[0].startswith("--"):
                raise ValueError(f"{word} needs a value, e.g. {word} VALUE")
            keys += [f"--model.{word[2:]}", *value]
        else:
            own.append(word)
    return own, keys


def _elements(text: str) -> list[int]:
    from ase.data import atomic_numbers

    symbols = [symbol.strip() for symbol in text.split(",") if symbol.strip()]
    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise ValueError(f"--elements: {unknown[0]!r} is not the symbol of an element; type for example --elements H,C,O")
    return [atomic_numbers[symbol] for symbol in symbols]


def _compared(predictor: "Predictor", options: Namespace) -> str:
    """How far the predictions are from the peer's; too far is refused."""
    from molzoo.convert import LIMIT, PEERS, deviations

    graphs = _labelled(options.check)
    found = deviations(predictor, graphs)
    units = {"energy": "eV", "forces": "eV/Å"}
    said = ", ".join(f"{name} {error:.1e} {units[name]} (relative {part:.1e})" for name, (error, part) in found.items())
    if not all(part <= LIMIT for _, part in found.values()):  # NaN is refused too
        raise ValueError(
            f"the largest deviations from {options.peer} are {said}, and {LIMIT:g} is allowed; "
            f"see that its network has {PEERS[options.peer].ASSUMED}"
        )
    return f"largest deviations from {options.peer} on {len(graphs)} structures: {said}"


def _labelled(path: str) -> "list[AtomGraph]":
    from pathlib import Path

    import ase.io

    from molzoo.graph import from_ase

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path!r}; give structures with the peer's energies and forces")
    graphs = []
    for n, atoms in enumerate(ase.io.iread(path, ":")):
        try:
            graphs.append(from_ase(atoms, {"energy": "energy", "forces": "forces"}))
        except ValueError as error:
            raise ValueError(f"{path}, structure {n}: {error}") from error
    return graphs
