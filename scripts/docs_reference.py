"""What mkdocs needs for the reference: a hook and an extension.

The hook lists the public names where a page says `<!-- names: module … -->`, and those of a module that is public
itself where it says `<!-- module: name -->`. What is written in Python is left to
mkdocstrings; the docs of what is written in Rust are in the built module. The extension shows examples in docstrings as
code.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import griffe

import oxiflux

PACKAGE = Path(oxiflux.__file__).parent


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the names of the modules in the place of the comment."""
    markdown = re.sub(r"<!-- module: (.*?) -->", lambda found: members(found.group(1)), markdown)
    return re.sub(r"<!-- names: (.*?) -->", lambda found: reference(found.group(1).split()), markdown)


def members(module: str) -> str:
    """What a public module defines, in alphabetic order; what it takes from elsewhere is on another page."""
    home = importlib.import_module(f"oxiflux.{module}")
    own = (getattr(home, name) for name in sorted(home.__all__, key=str.lower))
    return "\n\n".join(
        f"::: {thing.__module__}.{thing.__name__}"
        for thing in own
        if thing.__module__.startswith(home.__name__)
    )


def reference(modules: list[str]) -> str:
    """The public names that the package has from these modules, in alphabetic order."""
    origin = {
        alias.name: node.module
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module in modules
        for alias in node.names
        if alias.name in oxiflux.__all__
    }
    names = sorted(origin, key=str.lower)
    return "\n\n".join(built(name) if origin[name] == "_core" else written(name) for name in names)


def written(name: str) -> str:
    """A name from a module in Python, by the module itself: some functions are called like their module."""
    thing = getattr(oxiflux, name)
    if not hasattr(thing, "__module__"):
        return f"## {name} {{ #oxiflux.{name} }}\n\nThe constant {thing!r}."
    own = getattr(thing, "__name__", name)
    return f"::: {thing.__module__}.{own}" if own == name else f"## {name}\n\nAnother name of `{own}`."


def built(name: str) -> str:
    """A name from the module in Rust: its signature, its docs, and the first lines of those of its members."""
    thing = getattr(oxiflux, name)
    if not callable(thing):
        return f"## {name} {{ #oxiflux.{name} }}\n\nThe element type {name}."
    parts = [f"## {name} {{ #oxiflux.{name} }}"]
    if not isinstance(thing, type):
        parts.append(f"```python\n{name}{str(inspect.signature(thing)).replace('Ellipsis', '...')}\n```")
    parts.append(with_fences(inspect.getdoc(thing) or ""))
    if isinstance(thing, type) and not issubclass(thing, Exception):
        # A name that only says what to write instead is no member.
        names = [key for key in dir(thing) if not key.startswith("_") and hasattr(thing, key)]
        members = {key: inspect.getdoc(getattr(thing, key)) for key in names}
        parts += [
            f"`{key}`: {' '.join(doc.split(chr(10) * 2)[0].split())}" for key, doc in members.items() if doc
        ]
    return "\n\n".join(parts)


def with_fences(doc: str) -> str:
    """A docstring whose examples are blocks of code."""
    return re.sub(r"^>>> .*?(?=\n\n|\Z)", r"\n```pycon\n\g<0>\n```\n", doc, flags=re.MULTILINE | re.DOTALL)


class Examples(griffe.Extension):
    """Examples in docstrings as blocks of code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = with_fences(obj.docstring.value)
