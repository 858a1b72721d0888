"""``molzoo train``: configuration → :func:`molzoo.fit`."""

import json
import re
from typing import Any, get_args, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from molzoo.cli import config as configs
from molzoo.quantities import nearest

USAGE = """usage: molzoo train CONFIG… [--section.key VALUE …] [--folder FOLDER] [--seed N] [--resume] [--print_config]

CONFIG is a YAML file or the name of a shipped one (see molzoo list); later ones win.
  molzoo train rmd17_painn
  molzoo train data/rmd17 model/schnet --data.source rmd17/aspirin --trainer.max_time 00:01:00:00

Sections: model (its constructor), data, task, trainer (Lightning's Trainer). All keys:
  molzoo train CONFIG… --help_keys
"""

_NO_WORDS = {"default_root_dir", "logger", "callbacks", "plugins", "profiler", "model_registry"}
"""Options of the Trainer that are objects, or the folder under another name."""


def train_(words: list[str]) -> None:
    """Train as the words say."""
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return
    flags = {flag for flag in ("--print_config", "--help_keys") if flag in words}
    checked, plain = check(configs.from_words([word for word in words if word not in flags]))
    if "--help_keys" in flags:
        make_parser(plain["model"]["name"]).print_help()
    elif flags:
        print(json.dumps(plain, indent=2))
    else:
        run(checked, plain)


def run(checked: Namespace, plain: configs.Config) -> Any:
    """Train what :func:`check` has checked."""
    from molzoo.train import fit

    arguments = {key: value for key, value in plain["model"].items() if key != "name" and value is not None}
    options = {key: value for key, value in plain["trainer"].items() if value is not None}
    return fit(
        plain["model"]["name"],
        checked.data,
        checked.task,
        arguments=arguments,
        trainer=options,
        folder=plain["folder"],
        seed=plain["seed"],
        resume=plain["resume"],
    )


def check(config: configs.Config) -> tuple[Namespace, configs.Config]:
    """The configuration as objects, and as plain values with every default filled in.

    Raises:
        ValueError: an unknown key or a value of the wrong kind; the sentence names it and the nearest known key.
    """
    from molzoo.data import Data
    from molzoo.models import row

    if "name" not in config.get("model", {}):
        raise ValueError("no model is named; add 'model: PaiNN' or model/painn (molzoo list shows all)")
    if "source" not in config.get("data", {}):
        raise ValueError("no data are named; add 'data: {source: sample/ethanol}' or data/rmd17 (molzoo list shows all)")
    name = row(str(config["model"]["name"])).name
    config = config | {"model": {key: value for key, value in config["model"].items() if key != "name"}}
    parser = make_parser(name)
    _refuse_unknown(config, parser, name)
    if "loss" in config.get("task", {}):
        config["task"] = config["task"] | {"loss": _loss(config["task"]["loss"])}
    try:
        parsed = parser.parse_object(config)
        _keep_words(config["data"], parsed["data"])
        plain = json.loads(json.dumps(parsed.as_dict(), default=str))
        objects = parser.instantiate(parsed)
        objects["data"] = Data(**parsed["data"].as_dict())
    except (ArgumentError, TypeError) as error:
        raise ValueError(_sentence(str(error))) from None
    plain["model"] = {"name": name, **plain.get("model", {})}
    return objects, plain


def make_parser(name: str) -> ArgumentParser:
    """A parser whose schema is the constructors' signatures."""
    from lightning.pytorch import Trainer

    from molzoo.data import Data
    from molzoo.models import TABLE
    from molzoo.train.settings import Settings
    from molzoo.train.trainer import FIXED

    parser = ArgumentParser(prog=f"molzoo train ({name})", exit_on_error=False, default_env=False)
    parser.add_class_arguments(TABLE[name].load(), "model", skip={"irreps_out"}, instantiate=False)
    parser.add_class_arguments(Data, "data", instantiate=False)
    parser.add_class_arguments(Settings, "task")
    parser.add_class_arguments(Trainer, "trainer", skip=set(FIXED) | _NO_WORDS, instantiate=False)
    parser.add_argument("--folder", type=str, default="runs/latest", help="where results go")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order of data")
    parser.add_argument("--resume", type=bool, default=False, help="go on from the folder's last.ckpt")
    return parser


def _refuse_unknown(config: configs.Config, parser: ArgumentParser, name: str) -> None:
    from molzoo.train.trainer import FIXED

    known = parser.get_defaults().as_dict()
    for key, value in config.items():
        if key not in known:
            raise ValueError(f"{key!r} is not a section or key of a configuration{nearest(str(key), list(known))}")
        for inner in value if key in configs.SECTIONS else ():
            if key == "trainer" and inner in FIXED | dict.fromkeys(_NO_WORDS):
                raise ValueError(f"trainer.{inner} is set by molzoo; leave it out")
            whole, _, part = str(inner).partition(".")
            if part and whole in known[key]:
                raise ValueError(f"{key}.{inner}: {key}.{whole} is given whole; type --{key}.{whole} '{{{part}: VALUE, …}}'")
            if inner not in known[key]:
                whose = f"an argument of {name}" if key == "model" else f"a key of {key!r}"
                raise ValueError(f"{key}.{inner}: {inner!r} is not {whose}{nearest(str(inner), list(known[key]))}")


def _loss(loss: Any) -> dict[str, Any]:
    """The loss with names for keys; a key of a term that does not exist is refused."""
    from molzoo.loss import Term

    if not isinstance(loss, dict):
        raise ValueError(f"task.loss: {loss!r} is no table of weights; type e.g. {{energy: 1.0, forces: 100.0}}")
    known = list(Term.__dataclass_fields__)
    for quantity, term in loss.items():
        for key in term if isinstance(term, dict) else ():
            if key not in known:
                raise ValueError(f"task.loss.{quantity}.{key} is no key{nearest(str(key), known)}")
    return {str(quantity): term for quantity, term in loss.items()}


def _keep_words(given: configs.Config, parsed: Namespace) -> None:
    """Put back the words of the data section that look like numbers, such as the split "01", where words are allowed."""
    from molzoo.data import Data

    hints = get_type_hints(Data.__init__)
    for key, value in given.items():
        if isinstance(value, str) and str(parsed[key]) != value and str in get_args(hints[key]):
            parsed[key] = value


# What to type, where the kind of a value does not say it.
_TYPE = {
    "trainer.max_time": 'days:hours:minutes:seconds in quotes, e.g. "00:00:15:00"',
    "task.loss": "a weight such as 1.0, or {weight: 1.0, kind: mae}",
    "task.freeze": "a list, e.g. [model.embedding*]",
}


def _sentence(text: str) -> str:
    """What jsonargparse reports, as one sentence."""
    text = " ".join(text.split())
    keys = re.findall(r'key "([^"]+)"', text)
    got = re.search(r"(?:Got value|Given value): (.*?)(?: Given value| - |$)", text)
    if not keys or not got:
        return text
    options = re.findall(r"'([^']*)'|\b(\d+)\b", "".join(re.findall(r"Literal\[(.*?)\]", text)))
    words = list(dict.fromkeys(word or number for word, number in options))
    kinds = re.findall(r"Expected an? (?:<class '(\w+)'>|(dict|list|tuple|str)\b)", text)
    kinds = [kind for pair in kinds for kind in pair if kind and kind != "NoneType"]
    value, key = got[1], ".".join(keys)
    if key in _TYPE:
        return f"{key}: {value!r} is not understood; type {_TYPE[key]}"
    if words:
        return f"{key}: {value!r} is not one of {', '.join(words)}{_meant(value, words)}"
    return f"{key}: expected {' or '.join(dict.fromkeys(kinds)) or 'something else'}, got {value}"


def _meant(value: str, words: list[str]) -> str:
    hint = nearest(value, words)
    return hint if "did you mean" in hint else ""
