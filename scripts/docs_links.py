"""A hook of mkdocs: a public name that a page writes in code, in a sentence, a table or an example, links to its entry.

A name in the docs of a function that is also one of its arguments means the argument, and so is no link.
"""

import importlib
import inspect
import re
from typing import Any

import oxiflux

MODULES = ("augment", "fft", "huggingface", "linalg", "losses", "metrics", "onnx", "optimisers", "sklearn")
PARTS = re.compile(
    r"(?P<pre><pre.*?</pre>)|(?P<past><a\b.*?</a>|<h1.*?</h1>|<autoref.*?</autoref>)"
    r"|<h[2-6] id=\"(?P<head>[^\"]+)\".*?</h[2-6]>|<code>(?P<code>[^<]*)</code>",
    re.DOTALL,
)
NAME = re.compile(r"(?<![\w.\"'/-])(?:(?P<of>flux|oxiflux)\.)?(?P<name>[A-Za-z_]\w*(?:\.[a-z]\w*)?)")
WORD = r'<span class="n[a-z]?">(?P<{}>{})</span>'
DOT = r'<span class="o">\.</span>'
OF, FIRST, MORE = (
    WORD.format(*x)
    for x in [("of", "flux|oxiflux|augment|metrics|huggingface"), ("name", r"\w+"), ("more", r"\w+")]
)
TOKEN = re.compile(f"{OF}{DOT}{FIRST}(?P<rest>{DOT}{MORE})?")


def on_page_content(html: str, page: Any, config: Any, **_: Any) -> str:
    """Puts the links into a page, and makes its headings of names known to those that link to them."""
    for name in re.findall(r'<h3 id="oxiflux\.(\w+)"', html):
        # The signatures of mkdocstrings look for a class of the core where it is defined.
        config.plugins["autorefs"].register_anchor(page, f"oxiflux._core.{name}", anchor=f"oxiflux.{name}")
    arguments: set[str] = set()

    def part(found: re.Match[str]) -> str:
        nonlocal arguments
        if found["pre"]:
            return TOKEN.sub(token, found["pre"])
        if found["head"]:
            arguments = arguments_of(found["head"])
        if found["code"] is None:
            return found[0]
        return f"<code>{linked(found['code'], arguments)}</code>"

    return PARTS.sub(part, html)


def linked(code: str, arguments: set[str]) -> str:
    """The code of a sentence, with links: a name by itself or as it is called, and whatever follows `flux.`."""

    def name(found: re.Match[str]) -> str:
        alone = found.start() == 0 and found["name"] not in arguments
        called = code[found.end() : found.end() + 1] in ("", "(")
        place = anchor(found["name"]) if found["of"] or (alone and called) else None
        return f'<autoref identifier="{place}">{found[0]}</autoref>' if place else found[0]

    return NAME.sub(name, code)


def token(found: re.Match[str]) -> str:
    """A name in an example, such as `flux.Dense` and `flux.fft.rfft`."""
    path = found["name"] if found["of"] in ("flux", "oxiflux") else f"{found['of']}.{found['name']}"
    longer = anchor(f"{path}.{found['more']}") if found["more"] else None
    place = longer or anchor(path)
    if not place:
        return found[0]
    end = len(found[0]) - (0 if longer else len(found["rest"] or ""))
    return f'<autoref identifier="{place}">{found[0][:end]}</autoref>{found[0][end:]}'


def anchor(path: str) -> str | None:
    """The place of the entry of a public name in the reference."""
    module, _, name = path.rpartition(".")
    if module and module not in MODULES:
        return None
    home = importlib.import_module(f"oxiflux.{module}") if module else oxiflux
    if name not in getattr(home, "__all__", ()) or name in ("e", "__version__"):
        return None
    thing = getattr(home, name)
    if inspect.ismodule(thing):
        return None
    own, where = getattr(thing, "__name__", None), getattr(thing, "__module__", None) or ""
    written = own == name and where.startswith("oxiflux.") and "_core" not in where
    return f"{where}.{name}" if written else f"oxiflux._core.{name}"


def arguments_of(place: str) -> set[str]:
    """The names of the arguments of what stands at a place of the reference, and its own."""
    module, _, name = place.rpartition(".")
    try:
        thing = getattr(importlib.import_module(module), name)
        return {name, *inspect.signature(thing).parameters}
    except (ImportError, AttributeError, TypeError, ValueError):
        return {name}
