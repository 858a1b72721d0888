"""YAML files → one checked configuration.

A configuration has the sections ``model``, ``data``, ``task``, ``trainer`` and the keys ``folder``, ``seed``, ``resume``. Files
are laid over each other from left to right, ``include`` before the file that asks for it, ``--section.key value`` last. What a
key may be is read from the constructor behind its section, so nothing is said twice.
"""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from molzoo.quantities import nearest

Config = dict[str, Any]
SECTIONS = ("model", "data", "task", "trainer")


def shipped() -> Path:
    """The folder of the configurations that come with molzoo."""
    inside = Path(str(resources.files("molzoo"))) / "configs"  # of an installed wheel; in a checkout it lies beside the package
    return inside if inside.is_dir() else inside.parent.parent / "configs"


def names() -> list[str]:
    """Names of the shipped configurations."""
    return sorted(path.relative_to(shipped()).with_suffix("").as_posix() for path in shipped().rglob("*.yaml"))


def find(name: str, beside: Path | None = None) -> Path:
    """The file that ``name`` means: a path (perhaps relative to the file ``beside``), else a shipped configuration.

    Raises:
        FileNotFoundError: it is neither.
    """
    for path in (Path(name), *([beside.parent / name] if beside else [])):
        if path.is_file():
            return path
    path = shipped() / f"{name.removesuffix('.yaml')}.yaml"
    if path.is_file() and path.resolve().is_relative_to(shipped().resolve()):
        return path
    raise FileNotFoundError(f"there is no configuration {name!r}, neither as a file nor shipped{nearest(name, names())}")


def read(name: str, beside: Path | None = None, depth: int = 0) -> Config:
    """The configuration ``name`` with its includes underneath."""
    path = find(name, beside)
    if depth > 8:
        raise ValueError(f"{path}: configurations include each other in a circle")
    try:
        own = _load(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    own = {} if own is None else own
    if not isinstance(own, dict):
        raise ValueError(f"{path} must hold sections such as 'model:' and 'data:'; it holds a {type(own).__name__}")
    config: Config = {}
    includes = own.pop("include", [])
    includes = [includes] if isinstance(includes, str) else includes
    if not isinstance(includes, list) or not all(isinstance(name, str) for name in includes):
        raise ValueError(f"{path}: include: {includes!r} must be a name or a list of names, e.g. [data/rmd17, model/painn]")
    for included in includes:
        config = lay_over(config, read(included, path, depth + 1))
    return lay_over(config, _in_sections(own, str(path)))


def _in_sections(own: Config, where: str) -> Config:
    for section in SECTIONS:
        if section == "model" and isinstance(own.get("model"), str):
            own["model"] = {"name": own["model"]}
        if section in own and not isinstance(own[section], dict):
            raise ValueError(f"{where}: section {section!r} must hold keys and values; it holds {own[section]!r}")
    return own


def lay_over(below: Config, above: Config) -> Config:
    """``above`` laid over ``below``: a key of a section is replaced whole; another model brings its own arguments."""
    result = dict(below)
    for key, value in above.items():
        if key in SECTIONS and isinstance(value, dict):
            old = result.get(key, {})
            if key == "model" and str(value.get("name", old.get("name"))).lower() != str(old.get("name")).lower():
                old = {}
            result[key] = {**old, **value}
        else:
            result[key] = value
    return result


def from_words(words: list[str]) -> Config:
    """The configuration that the words of a command line describe: names, paths, ``--key value`` and ``--key=value``."""
    config: Config = {}
    overrides: list[tuple[str, Any]] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            overrides.append(_override(word[2:], rest))
        else:
            config = lay_over(config, read(word))
    for key, value in overrides:
        section, _, name = key.partition(".")
        if name and section not in SECTIONS:
            raise ValueError(f"--{key}: there is no section {section!r}{nearest(section, SECTIONS)}")
        config = lay_over(config, _in_sections({section: {name: value}} if name else {section: value}, f"--{key}"))
    return config


def _override(word: str, rest: Iterator[str]) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals:
        text = "true" if key == "resume" else next(rest, "")
        if text == "" or text.startswith("--"):
            raise ValueError(f"--{key} needs a value, e.g. --{key} VALUE")
    try:
        return key, _load(text)
    except ValueError as error:
        raise ValueError(f"--{key}: {text!r} is not a value: {error}") from error


def _load(text: str) -> Any:
    """What the YAML ``text`` says; where it is wrong, the error names line and column."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"line {mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 5e-4 is a number and 1:00:00 and dates are none, a key may stand once, and no alias can blow up."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(None, None, f"*{event.anchor} is an alias; write the value out", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        words: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in words:
                raise yaml.MarkedYAMLError(None, None, f"the key {key.value!r} stands twice; keep one", key.start_mark)
            words.add(key.value)
        return super().construct_mapping(node, deep)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """What a word without quotes is taken for: YAML 1.1, but numbers as in YAML 1.2 and no dates."""
    kept = ("bool", "null", "merge", "value")
    table = {
        first: [(tag, pattern) for tag, pattern in rules if tag.rpartition(":")[2] in kept]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    whole = ("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][\d_]*)$"))  # 01 is the name of a split, not a number
    exponent = r"([eE][-+]?\d+)"
    real = re.compile(rf"([-+]?(\d+\.\d*{exponent}?|\.\d+{exponent}?|\d+{exponent})|[-+]?\.inf|\.nan)$", re.IGNORECASE)
    for first in "-+.0123456789":
        table.setdefault(first, []).extend([whole, ("tag:yaml.org,2002:float", real)])
    return table


_Loader.yaml_implicit_resolvers = _resolvers()
