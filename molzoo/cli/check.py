"""``molzoo check``: the laws of physics on a trained model."""

from typing import TYPE_CHECKING

from molzoo.cli.use import Parser

if TYPE_CHECKING:
    from molzoo.check import Report
    from molzoo.graph import AtomGraph
    from molzoo.predictor import Predictor

_AT_MOST = 5  # structures of a file


def check_(words: list[str]) -> int:
    """Try each law on a trained model; 1 if one is violated."""
    parser = Parser("check", "MODEL [STRUCTURES] [--html REPORT]")
    parser.add_argument("model", metavar="MODEL", help="a model.pt")
    parser.add_argument(
        "structures", metavar="STRUCTURES", nargs="?", help="a file of ASE; else molecules and crystals of its elements"
    )
    parser.add_argument("--html", metavar="REPORT", help="write a page with pictures there too, e.g. report.html")
    parser.epilog = f"Of a file, {_AT_MOST} structures are taken. The exit code is 1 if a law is violated, 0 otherwise."
    options = parser.parse_args(words)
    from molzoo.check import LAWS, Report, check
    from molzoo.check.dynamics import energy_conservation
    from molzoo.checkpoint import load, write_atomically

    predictor = load(options.model)
    structures, warnings = _structures(options.structures, predictor)
    for warning in warnings:
        print(f"warning: {warning}")
    runs: list = []
    show = lambda verdict: print(verdict, flush=True)  # noqa: E731
    print(Report([]))
    first = check(predictor, structures, LAWS.values(), show)
    last = check(predictor, structures[:1], [energy_conservation(runs.append)], show)
    report = Report([*first.verdicts, *last.verdicts])
    conclusion = _conclusion(report, len(structures), options.structures)
    print(f"{options.model}: {conclusion}")
    if options.html:
        from molzoo.check.page import page, pictures

        images = pictures(predictor.double(), structures, runs) if "energy" in predictor.gives else ()
        text = page(f"{options.model}: {predictor.model_name}", f"It {conclusion}.", report, warnings, images)
        write_atomically(options.html, lambda file: file.write(text.encode()))
    return int(not report.holds)


def _conclusion(report: "Report", n: int, path: str | None) -> str:
    """What it violates, or on what it keeps all laws."""
    if report.violated:
        return f"violates {', '.join(report.violated)}"
    return f"keeps all laws, on {n} structure{'s' * (n > 1)}" + (f" of {path}" if path else "")


def _structures(path: str | None, predictor: "Predictor") -> "tuple[list[AtomGraph], list[str]]":
    """What to check with, and what is unlike the training data about it."""
    from molzoo.check.structures import examples, picked, unlike

    graphs = picked(_read(path), _AT_MOST) if path else examples(predictor.facts)
    warnings, known = [], []
    for k, graph in enumerate(graphs):
        try:
            predictor.check(graph, [])
        except ValueError as error:
            warnings.append(f"structure {k} is left out: {error}")
        else:
            known.append(graph)
            warnings += [f"structure {k}: {sentence}" for sentence in (unlike(predictor.facts, graph) if path else [])]
    if not known:
        raise ValueError(f"nothing in {path!r} is like what the model was trained on; {warnings[0]}")
    return known, warnings


def _read(path: str) -> "list[AtomGraph]":
    from pathlib import Path

    from molzoo.data.structures import read_structures
    from molzoo.graph import from_ase

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path!r}; give a file of structures that ASE reads, or none")
    return [from_ase(atoms) for atoms in read_structures(Path(path))]
