"""The command line: ``molzoo train | test | predict | check | tabulate | convert | list | info | doctor | data``.

Nothing heavy is imported before the command is known, so help and misspelt commands are answered at once.
"""

import os
import sys
from importlib import import_module

from molzoo.cli.memory import keep_freed
from molzoo.quantities import nearest

COMMANDS = {
    "train": ("train", "CONFIG… [--section.key VALUE…]   train a model from YAML; shipped configurations go by name"),
    "test": ("use", "MODEL CONFIG|FILE              errors of a trained model on labelled data"),
    "predict": ("use", "MODEL FILE -o OUT              predictions for a file of structures of any size"),
    "check": (
        "check",
        "MODEL [STRUCTURES] [--html OUT] the laws of physics on a trained model; exit code 1 if one is violated",
    ),
    "tabulate": ("use", "MODEL FILE -o OUT              a faster model: its radial networks as tables, compared on a file"),
    "convert": ("convert", "PEER FILE -o MODEL             a model.pt from weights of nequip, schnetpack or pyg"),
    "list": ("show", "                               the models of the zoo and the shipped configurations"),
    "info": ("show", "NAME|MODEL                     what is known of a model of the zoo, or of a trained one"),
    "doctor": ("doctor", "                               versions, back ends, and why an optional one is missing"),
    "data": ("data", "card|fetch|verify|split        look at, download, check or split a data set"),
}

HELP = "usage: molzoo COMMAND …\n\n" + "\n".join(f"  {name:<10}{text}" for name, (_, text) in COMMANDS.items())
HELP += "\n\nmolzoo COMMAND --help says more. Set MOLZOO_TRACEBACK=1 to see where an error arose."


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if it worked, 1 if a check failed, 2 and one sentence if what was asked is wrong, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if argv[0] == "--version":
        print(import_module("molzoo").__version__)
        return 0
    command, *rest = argv
    if command not in COMMANDS:
        return _refuse(f"there is no command {command!r}{nearest(command, list(COMMANDS))}")
    keep_freed()
    try:
        code = getattr(import_module(f"molzoo.cli.{COMMANDS[command][0]}"), command + "_")(rest)
        sys.stdout.flush()
    except BrokenPipeError:  # molzoo list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        if os.environ.get("MOLZOO_TRACEBACK"):
            raise
        return _refuse(_sentence(error))
    except KeyboardInterrupt:
        more = ", and --resume goes on from there" if command == "train" else ""
        return _refuse(f"stopped by you; what was finished is kept{more}", 130)
    return code or 0


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.strerror:  # the system's words, not molzoo's
        return f"{error.filename or 'a file'}: {error.strerror}; see that the folder exists, may be written and has room"
    return str(error) or f"{type(error).__name__}; set MOLZOO_TRACEBACK=1 to see where it arose"


def _refuse(sentence: str, code: int = 2) -> int:
    print(f"molzoo: {sentence}", file=sys.stderr)
    return code
