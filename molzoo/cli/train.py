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
    from molzoo.models import row

    if "name" not in config.get("model", {}):
        raise ValueError("no model is named; add 'model: PaiNN' or model/painn (molzoo list shows all)")
    if "source" not in config.get("data", {}):
        raise ValueError("no data are named; add 'data: {source: sample}' or data/rmd17 (molzoo list shows all)")
    name = row(str(config["model"]["name"])).name
    config = config | {"model": {key: value for key, value in config["model"].items() if key != "name"}}
    parser = make_parser(name)
    _refuse_unknown(config, parser, name)
    try:
        parsed = parser.parse_object(config)
        _keep_words(config["data"], parsed["data"])
        plain = json.loads(json.dumps(parsed.as_dict(), default=str))
        objects = parser.instantiate(parsed)
    except (ArgumentError, TypeError) as error:
        raise ValueError(_sentence(str(error))) from None
    plain["model"] = {"name": name, **plain.get("model", {})}
    return objects, plain


def make_parser(name: str) -> ArgumentParser:
    """A parser whose schema is the constructors' signatures."""
    from lightning.pytorch import Trainer

    from molzoo.data import Data
    from molzoo.models import TABLE
    from molzoo.train.run import FIXED
    from molzoo.train.settings import Settings

    parser = ArgumentParser(prog=f"molzoo train ({name})", exit_on_error=False, default_env=False)
    parser.add_class_arguments(TABLE[name].load(), "model", skip={"irreps_out"}, instantiate=False)
    parser.add_class_arguments(Data, "data")
    parser.add_class_arguments(Settings, "task")
    parser.add_class_arguments(Trainer, "trainer", skip=set(FIXED) | _NO_WORDS, instantiate=False)
    parser.add_argument("--folder", type=str, default="runs/latest", help="where results go")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order of data")
    parser.add_argument("--resume", type=bool, default=False, help="go on from the folder's last.ckpt")
    return parser


def _refuse_unknown(config: configs.Config, parser: ArgumentParser, name: str) -> None:
    known = parser.get_defaults().as_dict()
    for key, value in config.items():
        if key not in known:
            raise ValueError(f"{key!r} is not a section or key of a configuration{nearest(str(key), list(known))}")
        if key in configs.SECTIONS:
            for inner in value:
                if inner not in known[key]:
                    whose = f"an argument of {name}" if key == "model" else f"a key of {key!r}"
                    raise ValueError(f"{key}.{inner}: {inner!r} is not {whose}{nearest(str(inner), list(known[key]))}")


def _keep_words(given: configs.Config, parsed: Namespace) -> None:
    """Put back the words of the data section that look like numbers, such as the split "01", where words are allowed."""
    from molzoo.data import Data

    hints = get_type_hints(Data.__init__)
    for key, value in given.items():
        if isinstance(value, str) and str(parsed[key]) != value and str in get_args(hints[key]):
            parsed[key] = value


def _sentence(text: str) -> str:
    """What jsonargparse reports, as one sentence."""
    key = re.search(r'key "([^"]+)"', text)
    got = re.search(r"Got value: (.*)", text)
    kind = re.search(r"Expected (?:a|an)? ?(.*?)(?:\. Got|$)", text, re.DOTALL)
    if key and kind:
        wanted = re.sub(r"<class '(\w+)'>", r"\1", " ".join(kind[1].split()))
        return f"{key[1]}: expected {wanted}{f', got {got[1].strip()}' if got else ''}"
    return " ".join(text.split())
