"""The hook that makes links of the public names on the pages."""

import ast
import re
import sys
from pathlib import Path

import pytest

import oxiflux as flux

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import docs_links  # noqa: E402


def places(html):
    return re.findall(r'<autoref identifier="([^"]+)">([^<]*)</autoref>', html)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Dense", [("oxiflux.layers.dense.Dense", "Dense")]),
        ("flux.Dense(3, 5)", [("oxiflux.layers.dense.Dense", "flux.Dense")]),
        ("softmax", [("oxiflux._core.softmax", "softmax")]),
        ("state = flux.setup(rule, model)", [("oxiflux.optimisers.state.setup", "flux.setup")]),
        ("flux.linalg.svdvals(x)", [("oxiflux.linalg.factors.svdvals", "flux.linalg.svdvals")]),
        ("torch.zeros(2, 3)", []),
        ("x.sum()", []),
        ("mean = 0", []),
        ("flux.nothing", []),
        ("model.state", []),
    ],
)
def test_a_name_in_a_sentence_links_to_its_entry(code, expected):
    assert places(docs_links.linked(code, set())) == expected


def test_an_argument_is_no_link():
    assert docs_links.arguments_of("oxiflux.augment.normalise") >= {"mean", "std", "normalise"}
    assert places(docs_links.linked("mean", {"mean"})) == []
    assert places(docs_links.linked("flux.mean(x)", {"mean"})) == [("oxiflux._core.mean", "flux.mean")]


def test_a_name_in_an_example_links_with_its_colours():
    html = (
        '<pre><span class="n">flux</span><span class="o">.</span><span class="n">fft</span><span class="o">.</span>'
        '<span class="n">rfft</span><span class="p">(</span><span class="n">flux</span><span class="o">.</span>'
        '<span class="n">pi</span></pre>'
    )
    linked = docs_links.TOKEN.sub(docs_links.token, html)
    assert re.findall(r'identifier="([^"]+)"', linked) == ["oxiflux.fft.rfft", "oxiflux._core.pi"]
    assert re.sub(r"</?autoref[^>]*>", "", linked) == html


def test_every_name_on_the_page_of_tensors_has_a_topic():
    page = (ROOT / "docs" / "api" / "tensors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \w[^|`]* \| (`[^|]*) \|$", page, re.MULTILINE)
    rows += re.findall(r"^- \*\*[^*]+\*\*: ((?:`\w+`\s*)+)$", page, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(named) == len(set(named))
    imports = ast.parse(Path(flux.__file__).read_text(encoding="utf-8")).body
    core = [node for node in imports if isinstance(node, ast.ImportFrom) and node.module == "_core"]
    assert {alias.name for node in core for alias in node.names} <= {*named, "Leaf"}
