"""A hook of mkdocs for the gallery: runs the examples, and shows their pictures, what they print and their sources.

A page says `<!-- example: name and options -->`, where the name is that of a file in `examples/`. What has been run
lies in `target/gallery` until the example or the package changes; the longest takes a minute.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "target" / "gallery"
PAGE = ROOT / "docs" / "gallery.md"
PLACE = re.compile(r"<!-- example: (\w+)(.*?) -->")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Runs what has changed, and adds the pictures to the files of the site."""
    for name, options in PLACE.findall(PAGE.read_text()):
        picture = made(name, shlex.split(options))
        files.append(File.generated(config, f"gallery/{name}.png", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts an example in the place of its comment, and a terminal after the training in that of the other."""
    if "<!-- terminal -->" in markdown:
        markdown = markdown.replace("<!-- terminal -->", f"```text\n{terminal()}\n```")
    return PLACE.sub(lambda found: entry(found.group(1)), markdown)


def made(name: str, options: list[str]) -> Path:
    """The picture of an example, which is run unless that has been done."""
    script, picture = ROOT / "examples" / f"{name}.py", RESULTS / f"{name}.png"
    core = max((ROOT / "python" / "oxiflux").glob("_core*"), key=lambda path: path.stat().st_mtime)
    changed = max(script.stat().st_mtime, core.stat().st_mtime)
    if not picture.exists() or picture.stat().st_mtime < changed:
        RESULTS.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(script), *options, "--out", str(picture)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=RESULTS)
        picture.with_suffix(".txt").write_text(done.stdout.replace(str(RESULTS), "examples/out"))
    return picture


def entry(name: str) -> str:
    """The first lines of an example's docstring, its picture, what it printed, and its source."""
    source = (ROOT / "examples" / f"{name}.py").read_text()
    title, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    command, _, more = rest.strip().partition("\n\n")
    printed = (RESULTS / f"{name}.txt").read_text().strip()
    parts = [
        f"## {title.rstrip('.').partition(': ')[0]} {{ #{name} }}",
        title.partition(": ")[2],
        more,
        f"![What {name}.py draws](gallery/{name}.png)",
        folded("Source", f"```python\n{source.strip()}\n```"),
        folded("What it prints", f"```text\n$ {command}\n{printed}\n```"),
    ]
    return "\n\n".join(part for part in parts if part)


def terminal() -> str:
    """What a terminal shows after a short training: the model, the last state of the progress bar, and the table."""
    done = subprocess.run(
        [sys.executable, "-c", TRAINING],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "78"},
    )
    model, _, table = done.stdout.partition("\0")
    return "\n".join([model.rstrip(), done.stderr.rstrip().rpartition("\n")[2], table.strip()])


TRAINING = """
import numpy as np
import oxiflux as flux

flux.seed(0)
x = np.random.default_rng(0).normal(size=(2000, 8)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype(int)
model = flux.Chain(flux.Dense(8, 32, flux.relu), flux.Dropout(0.1), flux.Dense(32, 2))
print(model, end="\\0")
train, validation = flux.splitobs((x, y), at=0.8)
history = flux.fit(
    lambda m, x, y: flux.logitcrossentropy(m(x), y), model, flux.DataLoader(train, 32, shuffle=True), flux.Adam(0.01),
    epochs=4, validation=validation, metrics="accuracy", progress=True,
)
print(history)
"""


def folded(title: str, text: str) -> str:
    """A block that is shown when it is asked for."""
    return "\n".join([f'??? example "{title}"', *(f"    {line}".rstrip() for line in text.splitlines())])
