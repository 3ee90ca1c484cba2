"""Files and modules that pages, docstrings and comments name are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "trainer", "db", "modomodo", "rewards", "bench", "tests")
FOLDERS = (*PACKAGES, "docs", "deploy", "alembic")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
SOURCES = [source for name in PACKAGES for source in sorted((ROOT / name).rglob("*.py"))]
DATABASE = "modomodo.db"
"""A file that looks like a module."""

_PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`")
_MODULE = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\(\))?`")
_RUN = re.compile(rf"python -m ((?:{'|'.join(PACKAGES)})(?:\.\w+)*)")
_BARE = re.compile(r"`(\w+\.py)`")


def missing_paths(text: str) -> set[str]:
    # A word in capitals stands for a name that the reader chooses.
    named = {path for path in _PATH.findall(text) if not re.search(r"\b[A-Z]+\b", path)}
    return {path for path in named if not (ROOT / path).exists()}


def missing_modules(text: str) -> set[str]:
    named = {name for name in {*_MODULE.findall(text), *_RUN.findall(text)} if name != DATABASE}
    return {name for name in named if not _is_there(name)}


@cache
def _is_there(name: str) -> bool:
    """Whether it is a module, or a name in one."""
    place, parts = ROOT, name.split(".")
    for n, part in enumerate(parts):
        if (place / part).is_dir():
            place = place / part
            continue
        module = place / f"{part}.py"
        rest = parts[n + 1 :]
        if not module.is_file():
            module, rest = place / "__init__.py", parts[n:]
        return module.is_file() and (not rest or _defines(module, rest[0]))
    return True


def _defines(module: Path, name: str) -> bool:
    for node in ast.walk(ast.parse(module.read_text())):
        named = getattr(node, "name", None) or getattr(node, "id", None)
        if named == name or (isinstance(node, ast.alias) and node.asname == name):
            return True
    return False


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_and_modules_that_a_page_names_are_there(page):
    text = page.read_text()
    assert not missing_paths(text)
    assert not missing_modules(text)


def test_the_page_of_the_architecture_names_every_room():
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    folders = [file.parent for name in PACKAGES for file in (ROOT / name).rglob("__init__.py")]
    assert [name_of(folder) for folder in folders if f"{folder.name}/" not in text] == []


def test_files_and_modules_that_docstrings_and_comments_name_are_there():
    others = [source for source in SOURCES if source != Path(__file__)]
    texts = {name_of(source): source.read_text() for source in others}
    missing = {name: missing_paths(text) | missing_modules(text) for name, text in texts.items()}
    assert not {name: found for name, found in missing.items() if found}


def test_files_that_explanations_name_without_their_folder_are_there():
    known = {source.name for source in SOURCES}
    pages = ROOT.glob("docs/explanation/*.md")
    missing = {name_of(page): {*_BARE.findall(page.read_text())} - known for page in pages}
    assert not {name: found for name, found in missing.items() if found}


@pytest.mark.parametrize(
    ("said", "is_there"),
    [
        ("`db/queue.py`", True),
        ("`db/loans.py`", False),
        ("`service/search/surrogates/NAME.py`", True),
        ("`service.search.strategies`", True),
        ("`service.search.strategies.propose`", True),
        ("`service.search.tactics`", False),
        ("`service.schemas.StudySpec`", True),
        ("python -m bench.nothing", False),
    ],
)
def test_a_file_module_or_name_that_moved_is_noticed(said, is_there):
    assert (not missing_paths(said) and not missing_modules(said)) == is_there
