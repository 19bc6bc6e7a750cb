"""Who may import whom, what an import may cost, and how long files and functions may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("model", "pipeline", "sample", "tokenizer")
SHELL = sorted((ROOT / "src" / "seimai").glob("*.py"))
FILES = [*SHELL, *(path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py")))]

LAYERS = {"base": 0, "pipeline": 1, "tokenizer": 2, "model": 3, "cli": 4, "sample": 0}
BASE = ("errors", "config", "files", "")
HEAVY = ("torch", "dask", "distributed", "numba", "pyarrow", "numpy", "fasttext", "resiliparse", "fsspec", "tokenizers")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer_of(module: str) -> str:
    """The layer of a name below `seimai`: a folder, the three base modules, or what stands above all."""
    first = module.split(".")[0]
    return "base" if first in BASE else first if first in LAYERS else "cli"


def home_of(path: Path) -> str:
    if path.parent.name in FOLDERS:
        return path.parent.name
    return "base" if path.stem in ("errors", "config", "files", "__init__") else "cli"


def imports(path: Path) -> Iterator[tuple[ast.Import | ast.ImportFrom, str, bool]]:
    """Every import of a file: its node, the module it names, and whether it stands inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, id(node) in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, "." * node.level + (node.module or ""), id(node) in inner


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    home = home_of(path)
    for _, module, _ in imports(path):
        if module == "seimai" or module.startswith("seimai."):
            target = layer_of(module.removeprefix("seimai").removeprefix("."))
            assert LAYERS[target] <= LAYERS[home], f"{name_of(path)} imports {module}"
            assert (home, target) != ("model", "pipeline"), f"{name_of(path)} imports {module}"
            assert target != "sample" or home in ("sample", "cli"), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_are_relative_inside_a_folder_and_absolute_across(path: Path) -> None:
    home = home_of(path)
    for _, module, _ in imports(path):
        assert module.split(".")[0] not in (*FOLDERS, "configs", "tests", "bench"), f"{name_of(path)}: import {module}"
        assert not module.startswith(".."), f"{name_of(path)}: {module} leaves its folder"
        if home in FOLDERS:
            assert module.split(".")[:2] != ["seimai", home], f"{name_of(path)}: write .{module.split('.')[-1]}"
        else:
            assert not module.startswith("."), f"{name_of(path)}: write seimai{module}"


def test_only_the_engine_imports_dask_and_only_inside_functions() -> None:
    users = [
        (name_of(path), inside)
        for path in FILES
        for _, module, inside in imports(path)
        if module.split(".")[0] in ("dask", "distributed", "cloudpickle")
    ]
    assert {name for name, _ in users} == {"pipeline/run.py"}
    assert all(inside for _, inside in users)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{name_of(path)}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_what_it_is_and_what_it_gives(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    gives = any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_" for node in tree.body)
    assigned = [t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)]
    assert "__all__" in assigned or not gives, f"{name_of(path)} has no __all__"


@pytest.mark.parametrize("folder", ["pipeline", "tokenizer", "model", "sample"])
def test_public_names_exist_and_share_no_name_with_a_module(folder: str) -> None:
    package = import_module(f"seimai.{folder}")
    public = getattr(package, "__all__", [])
    for name in public:
        assert getattr(package, name) is not None
    assert public == sorted(public)
    assert {path.stem for path in (ROOT / folder).glob("*.py")} & set(public) == set()


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in ("__init__", "__main__")], ids=name_of)
def test_every_exported_name_is_defined(path: Path) -> None:
    home = home_of(path)
    module = import_module(f"seimai.{home}.{path.stem}" if home in FOLDERS else f"seimai.{path.stem}")
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name), f"{name_of(path)}: __all__ names {name}"


LOADED = """
import sys
{statement}
print(sorted(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import seimai",
        "import seimai.cli, seimai.config, seimai.files, seimai.errors",
        "import seimai.pipeline, seimai.tokenizer, seimai.model",
        "sys.argv = ['seimai', '--help']\nfrom seimai.cli import main\ntry: main()\nexcept SystemExit: pass",
        "sys.argv = ['seimai', 'run', '--help']\nfrom seimai.cli import main\ntry: main()\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    code = LOADED.format(statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import seimai.model.train, seimai.model.generate", ("dask", "distributed", "seimai.pipeline", "resiliparse")),
        ("import seimai.pipeline.job, seimai.pipeline.stages", ("torch", "dask", "distributed")),
        ("import seimai.tokenizer.train, seimai.tokenizer.encode", ("torch", "dask", "distributed")),
    ],
)
def test_each_part_does_without_the_others(statement: str, absent: tuple[str, ...]) -> None:
    code = LOADED.format(statement=statement, heavy=absent)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
