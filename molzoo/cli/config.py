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
        own = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    own = {} if own is None else own
    if not isinstance(own, dict):
        raise ValueError(f"{path} must hold sections such as 'model:' and 'data:'; it holds a {type(own).__name__}")
    config: Config = {}
    includes = own.pop("include", [])
    for included in [includes] if isinstance(includes, str) else includes:
        config = lay_over(config, read(str(included), path, depth + 1))
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
        if text == "":
            raise ValueError(f"--{key} needs a value, e.g. --{key} VALUE")
    try:
        return key, yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"--{key}: {text!r} is not a value: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 5e-4 is a number, a key may stand once, and aliases (which can blow up) are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not used here; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$"), list("-+.0123456789")
)
