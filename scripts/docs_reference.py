"""What mkdocs needs for the reference: a hook and an extension.

The hook lists the public names where a page says `<!-- names: module … -->`, and those of a module that is public
itself where it says `<!-- module: name -->`. What is written in Python is left to
mkdocstrings; the docs of what is written in Rust are in the built module. The extension shows examples in docstrings as
code.
"""

import ast
import contextlib
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import griffe

import oxiflux

PACKAGE = Path(oxiflux.__file__).parent


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the names of the modules in the place of the comment."""
    groups = topics(markdown)
    markdown = re.sub(r"<!-- module: (.*?) -->", lambda found: members(found.group(1)), markdown)
    return re.sub(r"<!-- names: (.*?) -->", lambda found: reference(found.group(1).split(), groups), markdown)


def topics(markdown: str) -> dict[str, str]:
    """The topic of each name in a page's tables of topics and names, and in its lists that begin with a topic."""
    rows = re.findall(r"^\| (\w[^|`]*) \| ((?:`\w+`[ ,]*)+) ?\|$", markdown, re.MULTILINE)
    rows += re.findall(r"^- \*\*([^*`]+)\*\*: ((?:`\w+`\s*)+)$", markdown, re.MULTILINE)
    return {name: topic.strip() for topic, names in rows for name in re.findall(r"`(\w+)`", names)}


def members(module: str) -> str:
    """What a public module defines, in alphabetic order; what it takes from elsewhere is on another page."""
    home = importlib.import_module(f"oxiflux.{module}")
    own = (getattr(home, name) for name in sorted(home.__all__, key=str.lower))
    return "\n\n".join(
        f"::: {thing.__module__}.{thing.__name__}"
        for thing in own
        if thing.__module__.startswith(home.__name__)
    )


def reference(modules: list[str], groups: dict[str, str]) -> str:
    """The public names that the package has from these modules, by topic: that of a table, or else of its file."""
    origin = {
        alias.name: node.module
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module in modules
        for alias in node.names
        if alias.name in oxiflux.__all__
    }
    by_topic: dict[str, list[str]] = {topic: [] for topic in groups.values()}
    for name in sorted(origin, key=str.lower):
        topic = groups.get(name) or file_topic(getattr(oxiflux, name))
        by_topic.setdefault(topic, []).append(name)
    parts = []
    for topic, names in by_topic.items():
        parts += [f"## {topic[0].upper()}{topic[1:]}"] if names else []
        parts += [built(name) if origin[name] == "_core" else written(name) for name in names]
    return "\n\n".join(parts)


def file_topic(thing: Any) -> str:
    """What the file is about in which something is defined."""
    doc = inspect.getdoc(sys.modules.get(getattr(thing, "__module__", None) or "")) or ""
    if not doc or getattr(thing, "__module__", "") in ("oxiflux", "builtins", "oxiflux._core"):
        return "Everything else"
    return re.split(r"[:.;]", doc, maxsplit=1)[0].strip()


def written(name: str) -> str:
    """A name from a module in Python, by the module itself: some functions are called like their module."""
    thing = getattr(oxiflux, name)
    if not hasattr(thing, "__module__"):
        return f"{heading(name)}\n\nThe constant {thing!r}."
    own = getattr(thing, "__name__", name)
    if own != name:
        return f"{heading(name)}\n\nAnother name of `{own}`."
    return f"::: {thing.__module__}.{own}\n    options:\n      heading_level: 3"


def built(name: str) -> str:
    """A name from the module in Rust: its signature, its docs, and the first lines of those of its members."""
    thing = getattr(oxiflux, name)
    if not callable(thing):
        return f"{heading(name)}\n\nThe element type {name}."
    parts = [heading(name)]
    if not isinstance(thing, type):
        parts.append(f"```python\n{signature(name)}\n```")
    parts.append(with_fences(inspect.getdoc(thing) or ""))
    if isinstance(thing, type) and not issubclass(thing, Exception):
        # A name that only says what to write instead is no member.
        names = [key for key in dir(thing) if not key.startswith("_") and hasattr(thing, key)]
        members = {key: inspect.getdoc(getattr(thing, key)) for key in names}
        parts += [
            f"`{key}`: {' '.join(doc.split(chr(10) * 2)[0].split())}" for key, doc in members.items() if doc
        ]
    return "\n\n".join(parts)


def heading(name: str) -> str:
    """A heading to which `docs_links.py` links."""
    return f"### {name} {{ #oxiflux.{name} }}"


def signature(name: str) -> str:
    """The signature of a function of the core: the types of the stub, the defaults of the module where it has them."""
    known = {}
    with contextlib.suppress(ValueError):
        known = inspect.signature(getattr(oxiflux, name)).parameters
    lines = []
    for node in ast.parse((PACKAGE / "_core.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            spec, every = node.args, [*node.args.posonlyargs, *node.args.args]
            pairs = [*zip(every[len(every) - len(spec.defaults) :], spec.defaults, strict=True)]
            pairs += [
                (arg, value) for arg, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value
            ]
            for arg, value in pairs:
                default = known[arg.arg].default if arg.arg in known else ...
                if isinstance(default, (int, float, str, tuple, type(None))) and isinstance(
                    value, ast.Constant
                ):
                    value.value = default
            result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            lines.append(f"{name}({ast.unparse(spec)}){result}".replace("_TensorLike", "Tensor | ArrayLike"))
    return "\n".join(lines) or f"{name}{inspect.signature(getattr(oxiflux, name))}".replace("Ellipsis", "...")


def with_fences(doc: str) -> str:
    """A docstring whose examples are blocks of code."""
    return re.sub(r"^>>> .*?(?=\n\n|\Z)", r"\n```pycon\n\g<0>\n```\n", doc, flags=re.MULTILINE | re.DOTALL)


class Examples(griffe.Extension):
    """Examples in docstrings as blocks of code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = with_fences(obj.docstring.value)
