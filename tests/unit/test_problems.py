"""Refusals know no HTTP: their code alone gives them a status."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

from db import errors as storage
from db.leases import RefusalCode
from service.errors import NoFit, Refused
from service.http.problems import STATUS, answer
from service.search.errors import CannotFitError

ROOT = Path(__file__).parents[2]
ONLY_COMMANDS = {"bad-key", "key-not-found", "bad-archive"}
"""What storage refuses to commands on this machine, never to a call."""


def codes_raised() -> set[str]:
    calls = (
        node
        for file in (ROOT / "service").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
    )
    kinds = {kind.__name__ for kind in (Refused, NoFit)} | {"NotSignedIn", "problem"}
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id in kinds
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_code_that_is_raised_has_a_status():
    raised = codes_raised()
    assert "too-few-results" in raised
    assert raised <= set(STATUS)


def test_every_code_of_storage_has_a_status():
    codes = {error.code for error in storage.StorageError.__subclasses__()} - ONLY_COMMANDS
    assert "study-not-found" in codes
    assert codes | set(get_args(RefusalCode)) <= set(STATUS)


def test_every_code_of_the_engine_has_a_status():
    codes = {error.code for error in CannotFitError.__subclasses__()}
    assert "too-few-results" in codes
    assert codes <= set(STATUS)


def test_the_reference_has_every_code():
    told = (ROOT / "docs" / "reference" / "http.md").read_text()
    assert [code for code in STATUS if f"`{code}`" not in told] == []


@pytest.mark.parametrize(
    ("refused", "header", "value"),
    [
        (Refused("busy", "full", again_s=2.2), "retry-after", "3"),
        (Refused("key-required", "none came"), "www-authenticate", "Bearer"),
    ],
)
def test_who_is_refused_hears_what_helps(refused, header, value):
    assert answer(refused).headers[header] == value
