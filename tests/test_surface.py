"""The public surface and the layout of the sources: what is exported is documented, and nothing imports to
its right.
"""

import ast
import builtins
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import oxiflux as flux

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "python" / "oxiflux"
RUST = ROOT / "src"
LINES = 500

# Left may be imported by right. Modules on one level do not import each other, except as said below.
LEVELS = [
    {"_core"},
    {"signatures", "slips", "typing"},
    {"hints"},
    {"functors", "functions", "strict", "threadpools"},
    {"tree", "standard"},
    {"edges", "einsum", "fft", "targets", "vector"},
    {"linalg"},
    {"protocols"},
    {"weighted"},
    {"entropies", "margins"},
    {"init", "losses", "custom", "gradient", "optimisers", "onehot", "show"},
    {"checkpoint", "draws", "gradcheck", "reached"},
    {"compiled", "profiling"},
    {"layers"},
    {"augment", "data", "files", "metrics", "shapes", "einops"},
    {"distributed", "huggingface"},
    {"training"},
    {"onnx"},
    {"__init__"},
    {"sklearn"},
    {"__main__"},
]

# `unsafe` stands in what owns memory and threads, in kernels and in arrays. Above them a file is named with its reason.
UNSAFE_BELOW = r"(memory|team|kernels|array|fuse)(\.rs|/)"
UNSAFE_ABOVE = {
    # Kernels on strides: products, convolutions, attention and recurrence.
    "ops/matmul.rs",
    "ops/dense.rs",
    "ops/conv/operation.rs",
    "ops/attention.rs",
    "ops/recurrent/operation.rs",
    # Many parameters in one pass.
    "optim.rs",
    # A test of memory that others write meanwhile.
    "ops/numbers.rs",
    # The system's interface for forks.
    "fork.rs",
    # Python's own: foreign memory, and what pyo3 has no safe name for.
    "py/attributes.rs",
    "py/call.rs",
    "py/compiled/fields.rs",
    "py/dlpack.rs",
    "py/held.rs",
    "py/hints.rs",
    "py/numpy.rs",
    "py/tensor.rs",
    "py/walkable.rs",
}
# The kernels that take pointers, since they read and write by strides, or many arrays at once.
UNSAFE_KERNELS = {"attention", "conv", "gemm", "map", "recurrent", "update"}

python_files = sorted(PYTHON.rglob("*.py"))
rust_files = sorted(RUST.rglob("*.rs"))


def relative(path):
    return str(path.relative_to(ROOT))


def top(path):
    """The module or folder of the package that a file belongs to."""
    first = path.relative_to(PYTHON).parts[0]
    return first.removesuffix(".py")


def level(name):
    return next((i for i, names in enumerate(LEVELS) if name in names), None)


def imported(path):
    """The modules of the package that a file imports."""
    depth = len(path.relative_to(PYTHON).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            if node.module:
                yield node.module.split(".")[0]
            else:
                yield from (alias.name for alias in node.names)
        elif (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").startswith("oxiflux.")
        ):
            yield node.module.split(".")[1]


# The surface


def test_all_is_sorted_and_without_repetition():
    names = list(flux.__all__)
    assert names == sorted(set(names))


def test_all_is_complete():
    for name in dir(flux):
        getattr(flux, name)  # what is imported at its first use is there from now on
    public = {n for n, v in vars(flux).items() if not n.startswith("_") and not inspect.ismodule(v)}
    python = public & set(dir(builtins))
    assert python == {"abs", "all", "any", "bool", "compile", "max", "min", "pow", "round", "sum"}
    assert public - python == set(flux.__all__) - {
        "__version__",
        "augment",
        "fft",
        "linalg",
        "losses",
        "metrics",
        "optimisers",
        "threadpools",
    }
    assert public <= set(dir(flux))
    for name in flux.__all__:
        assert hasattr(flux, name), name


@pytest.mark.parametrize(
    "name", ["init", "losses", "gradient", "custom", "onehot", "tree", "layers", "vector", "shapes"]
)
def test_what_a_module_exports_the_package_exports(name):
    module = importlib.import_module(f"oxiflux.{name}")
    for public in module.__all__:
        assert getattr(flux, public) is getattr(module, public)


def exports(folder, *options):
    command = [sys.executable, ROOT / "scripts" / "exports.py", folder, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_lists_of_names_are_those_that_the_script_writes():
    done = exports(PYTHON.parent, "--check")
    assert done.returncode == 0, done.stderr


def test_a_new_layer_a_new_rule_and_a_new_operation_are_exported_without_another_word(tmp_path):
    sources = shutil.ignore_patterns("*.so*", "*.pyd", "__pycache__")
    package = shutil.copytree(PYTHON, tmp_path / "oxiflux", ignore=sources)
    (package / "layers" / "novel.py").write_text('__all__ = ["Novel"]\n')
    rules = package / "optimisers" / "rules.py"
    rules.write_text(rules.read_text().replace('"AdaMax",', '"AdaMax", "Anew",'))
    with (package / "_core.pyi").open("a") as stub:
        stub.write("def hardly(x: ArrayLike, /) -> Tensor: ...\n")
    done = exports(tmp_path, "--check")
    assert done.returncode == 1 and "make stubs" in done.stderr
    assert exports(tmp_path).returncode == 0
    top = (package / "__init__.py").read_text()
    for name in ["Novel", "Anew", "hardly"]:
        assert len(re.findall(rf'"{name}"', top)) + len(re.findall(rf"\b{name},", top)) == 2, name
    assert "from .novel import Novel" in (package / "layers" / "__init__.py").read_text()


@pytest.mark.parametrize("name", [n for n in dir(flux) if callable(getattr(flux, n))])
def test_every_public_name_is_documented(name):
    text = inspect.getdoc(getattr(flux, name)) or ""
    assert text, name
    own = getattr(getattr(flux, name), "__module__", "") or ""
    # What comes from Rust has its examples in the documentation of the crate.
    if own.startswith("oxiflux.") and own != "oxiflux._core":
        assert ">>> " in text, f"{name} has no example"


def test_the_version_is_that_of_the_crate():
    manifest = (ROOT / "Cargo.toml").read_text()
    assert flux.__version__ == re.search(r'^version = "(.*)"', manifest, re.MULTILINE).group(1)


def test_importing_takes_only_numpy_along():
    code = "import sys, numpy; old = set(sys.modules); import oxiflux; print(*sorted(set(sys.modules) - old))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "scipy",
        "torch",
        "tqdm",
        "html",
        "concurrent",
        "multiprocessing",
        "asyncio",
        "inspect",
        "typing_extensions",
    }
    assert not heavy & {name.split(".")[0] for name in out}


def own(code):
    """The modules of the package that a program has loaded in the end."""
    code += "\nimport sys; print(*sorted(name for name in sys.modules if name.startswith('oxiflux.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.removeprefix("oxiflux.") for name in done.stdout.splitlines()[-1].split()}


def test_what_not_every_program_needs_is_imported_at_its_first_use():
    later = {*flux._LATER, *flux._MODULES} - {"linalg"}  # NumPy's protocols have those of matrices
    assert not later & own("import oxiflux")
    assert later & own("from oxiflux import mse") == {"losses"}
    assert later & own("import oxiflux; oxiflux.losses.mse, oxiflux.data") == {"data", "init", "losses"}


def test_names_that_are_found_later_are_ordinary_names():
    code = """
import oxiflux as flux
assert "Dense" in dir(flux) and "Dense" not in vars(flux)
flux.mae = "mine"
assert callable(flux.mse) and flux.mae == "mine"  # though its module came after
from oxiflux import *
assert vars()["Dense"] is flux.Dense and not {"onnx", "sklearn", "distributed"} & {*vars()}
import pickle
assert pickle.loads(pickle.dumps(flux.mse)) is flux.mse
assert flux.train is vars()["train"] and callable(flux.train)
try:
    flux.Dence
except AttributeError as error:
    assert "Dense" in str(error)
else:
    raise AssertionError
"""
    own(code)


def test_names_are_found_by_many_threads_at_once():
    code = """
import threading, oxiflux as flux
names, found, start = ["Dense", "Adam", "fit", "mse", "compile"] * 8, [], threading.Barrier(40)
def look(name):
    start.wait()
    found.append(getattr(flux, name) is getattr(flux, name))
threads = [threading.Thread(target=look, args=[name]) for name in names]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert found == [True] * 40
"""
    own(code)


@pytest.mark.parametrize(
    "name", ["layers", "training.fitting", "compiled", "data.loader", "files.store", "protocols"]
)
def test_a_module_may_be_imported_before_others(name):
    assert name in own(f"import oxiflux.{name}")


# The sources


@pytest.mark.parametrize("path", python_files, ids=relative)
def test_no_module_imports_to_its_right(path):
    mine = level(top(path))
    assert mine is not None, f"{top(path)} is in no level"
    for name in imported(path):
        theirs = level(name)
        # `_version` and the like are on no level and import nothing; `__init__` names sklearn for type checkers alone.
        if theirs is not None and name != top(path) and (top(path), name) != ("__init__", "sklearn"):
            assert theirs < mine or (theirs == mine and name in {"show", "init"}), (
                f"{relative(path)} imports {name}"
            )


@pytest.mark.parametrize("path", [*python_files, *rust_files], ids=relative)
def test_a_long_file_says_why(path):
    lines = path.read_text().splitlines()
    if len(lines) > LINES:
        head = " ".join(lines[:10]).lower()
        assert "one file" in head or "long" in head, (
            f"{relative(path)} has {len(lines)} lines and gives no reason"
        )


def code_of(path):
    """A file of Rust without its comments."""
    return re.sub(r"//.*", "", path.read_text())


def test_only_py_names_python():
    for path in rust_files:
        if path.relative_to(RUST).parts[0] not in ("py", "lib.rs"):
            assert not re.search(r"\bpyo3\b|\bnumpy::|\bcrate::py\b", code_of(path)), relative(path)
    assert set(re.findall(r"\bpy\b[^;]*", code_of(RUST / "lib.rs"))) == {"py", "py::bind"}


def test_only_python_is_given_symbols_of_c():
    exporting = [path for path in rust_files if "no_mangle" in code_of(path)]
    assert {path.relative_to(RUST).parts[0] for path in exporting} == {"py"}


def test_the_crate_shows_what_is_for_its_users_alone():
    text = code_of(RUST / "lib.rs")
    public = set(re.findall(r"^pub mod (\w+);", text, re.MULTILINE))
    hidden = set(re.findall(r"#\[doc\(hidden\)\]\npub mod (\w+);", text))
    assert public - hidden == {"array", "dtype", "error", "files", "ops", "programs", "tape"}


@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")
def test_the_package_of_the_crate_has_what_a_user_of_rust_needs():
    command = ["cargo", "package", "--list", "--allow-dirty", "--offline", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = {Path(name) for name in done.stdout.split()}
    written = {"Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"}
    texts = {"Cargo.toml", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"}
    assert {str(f) for f in files if f.parent == Path()} - written == texts
    assert {f.parts[0] for f in files if len(f.parts) > 1} == {"src", "tests", "benches", "examples"}
    assert {f.suffix for f in files if len(f.parts) > 1} == {".rs", ".md", ".csv", ".program"}
    # What sources take in by name is among them.
    for path in [*RUST.rglob("*.rs"), *(ROOT / "examples").glob("*.rs")]:
        for name in re.findall(r'include_str!\("(.+?)"\)', path.read_text()):
            assert (path.parent / name).resolve().relative_to(ROOT) in files


# Names that lib.rs gives again, with the module that they are of.
GIVEN_AGAIN = {
    "Array": "array", "DType": "dtype", "half": "dtype", "Error": "error", "Result": "error", "gradient": "ops",
    "Tensor": "tape",
}  # fmt: skip


def order_of(text):
    return re.findall(r"^(?:pub(?:\([^)]*\))? )?mod (\w+);", text, re.MULTILINE)


def used_by(path, prefix, whole):
    """The names behind a prefix that a file uses; `whole` if they may stand alone, else as a part of a path only."""
    behind = "" if whole else "::"
    code = code_of(path)
    used = set(re.findall(prefix + r"(\w+)" + ("" if whole else "(?=::)"), code))
    for group in re.findall(prefix + r"\{([^;]*?)\};", code):
        used |= set(re.findall(r"(?:^|[{,]\s*)(\w+)" + behind, group))
    return used


def test_modules_use_those_above_them():
    order = order_of((RUST / "lib.rs").read_text())
    assert set(order) == {path.relative_to(RUST).parts[0].removesuffix(".rs") for path in rust_files} - {
        "lib"
    }
    for path in rust_files:
        mine = path.relative_to(RUST).parts[0].removesuffix(".rs")
        for name in used_by(path, r"\bcrate::", True) if mine not in ("lib", "py") else ():
            name = GIVEN_AGAIN.get(name, name)
            if name in order:
                assert order.index(name) <= order.index(mine), f"{relative(path)} uses {name}"


@pytest.mark.parametrize("folder", ["ops", "kernels"])
def test_files_of_a_folder_use_those_above_them(folder):
    order = order_of((RUST / folder / "mod.rs").read_text())
    for path in (RUST / folder).rglob("*.rs"):
        mine, *below = path.relative_to(RUST / folder).parts
        mine = mine.removesuffix(".rs")
        if mine == "mod" or path.name == "tests.rs":
            continue
        up = r"(?<!super::)super::" + ("super::" if below else "")
        for name in used_by(path, rf"(?:{up}|\bcrate::{folder}::)", False) & set(order):
            assert order.index(name) <= order.index(mine), f"{relative(path)} uses {name}"


def test_every_pyclass_is_frozen():
    for path in rust_files:
        for found in re.finditer(r"#\[pyclass(?:\(([^\]]*)\))?\]", path.read_text()):
            assert "frozen" in (found.group(1) or ""), f"{relative(path)}: {found.group(0)}"


def test_kernels_know_nothing_of_tensors():
    for path in (RUST / "kernels").rglob("*.rs"):
        code = re.sub(r"//.*", "", path.read_text())
        assert not re.search(r"\bcrate::(array|tape|ops)\b", code), relative(path)


OPERATIONS = [
    (path, name, fields)
    for path in sorted((RUST / "ops").rglob("*.rs"))
    for name, fields in re.findall(
        r"^(?:pub(?:\(\w+\))? )?struct (\w+)[^;{(]*([;({].*?)^(?=\S|\Z)", path.read_text(), re.M | re.S
    )
    if re.search(rf"^impl.* Operation for {name}\b", path.read_text(), re.M)
]


@pytest.mark.parametrize(("path", "name", "fields"), OPERATIONS, ids=[name for _, name, _ in OPERATIONS])
def test_operations_hold_parameters_never_data(path, name, fields):
    data = re.findall(r"\b(Array|Tensor|Numbers|Mask|Place|Vec|Box|Cow|Arc)\b", fields)
    assert not data, f"{relative(path)}: {name} holds {data}: let it be an input"


def test_gradient_rules_do_not_ask_whether_somebody_records():
    """The walk asks, and takes `backward` or `backward_fused`; a few functions plan what they record."""
    asking = {
        path.relative_to(RUST).as_posix() for path in rust_files if "is_recording()" in path.read_text()
    }
    planning = {"ops/gradient.rs", "ops/formula.rs"}
    assert {path for path in asking if path.startswith("ops/")} == planning
    for path in planning:
        rules = re.findall(r"^impl.* Differentiable for.*?^}", (RUST / path).read_text(), re.M | re.S)
        assert not any("is_recording" in rule for rule in rules)


def test_python_is_asked_once_without_a_lock():
    """pyo3's cells let go of the GIL while they are held: a fork in the meantime leaves them held in the child."""
    for path in sorted((RUST / "py").rglob("*.rs")):
        held = re.findall(r"\bPyOnceLock\b|\bpyo3::intern\b|\bGILOnceCell\b", code_of(path))
        assert not held, f"{relative(path)}: {held} instead of what is in py/once.rs"


def test_operations_are_done_through_one_door():
    recording = [relative(path) for path in rust_files if re.search(r"\brecord\(", path.read_text())]
    assert recording == ["src/py/custom.rs", "src/tape/apply.rs"]


def test_every_unsafe_block_says_why_it_is_sound():
    for path in rust_files:
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            code = re.sub(r"//.*", "", line)
            if re.search(r"\bunsafe\s*\{|\bunsafe impl\b", code):
                before = " ".join(lines[max(0, i - 12) : i + 2])
                assert "SAFETY" in before, f"{relative(path)}:{i + 1}"


def unsafe_in(path):
    """Whether a Rust file has `unsafe` outside of comments."""
    code = re.sub(r"//.*", "", path.read_text())
    return re.search(r"\bunsafe\b(?!\()", code) is not None


def test_unsafe_stands_where_it_may():
    found = {str(path.relative_to(RUST)) for path in rust_files if unsafe_in(path)}
    elsewhere = {name for name in found if not re.match(UNSAFE_BELOW, name)}
    assert elsewhere == UNSAFE_ABOVE


def test_kernels_on_memory_in_order_are_safe_functions():
    asking = set()
    for path in (RUST / "kernels").rglob("*.rs"):
        code = re.sub(r"//.*", "", path.read_text())
        if re.search(r"\bpub unsafe fn\b", code):
            asking.add(path.relative_to(RUST / "kernels").parts[0].removesuffix(".rs"))
    assert asking == UNSAFE_KERNELS


def test_a_reason_why_something_is_sound_says_what_it_rests_on():
    for path in rust_files:
        for i, line in enumerate(path.read_text().splitlines()):
            vague = re.search(
                r"// SAFETY: (the caller's( promise)?|as above|see \S+|the same)\s*[.;,]?\s*$", line
            )
            assert not vague, f"{relative(path)}:{i + 1}: say which promise, or what was found"


def test_sources_have_no_leftovers():
    for path in [*python_files, *rust_files]:
        text = path.read_text()
        assert not re.search(r"\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|dbg!\(", text), relative(path)
