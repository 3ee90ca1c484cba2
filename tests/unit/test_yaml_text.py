"""YAML as people write it."""

from __future__ import annotations

import json
from datetime import date

import pytest
import typer
import yaml

from modomodo import study
from service.notation import yaml_text
from tests.support.bodies import study_body
from trainer import recipes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-3", 0.001), ("1E5", 1e5), ("-.5e+3", -500.0), ("1.5e3", 1500.0), ("3.e-1", 0.3)),
        *(
            ('"1e-3"', "1e-3"),
            ("12e", "12e"),
            ("e5", "e5"),
            ("3", 3),
            ("0x1f", 31),
            ("a1e3", "a1e3"),
            *((text, text) for text in ("1:30", "-1:30:00", "1:30.5")),
            ("2026-01-01", date(2026, 1, 1)),
        ),
    ],
)
def test_a_number_with_an_exponent_is_a_number(text, value):
    assert yaml_text.load(f"key: {text}") == {"key": value}


def test_a_recipe_and_a_study_may_have_such_numbers(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("learning_rate: 1e-6\nadamw: {epsilon: 1e-8}\n")
    assert recipes.read(str(recipe)) == {"learning_rate": 1e-6, "adamw": {"epsilon": 1e-8}}
    file = tmp_path / "study.yaml"
    body = study_body(recipe={"learning_rate": "RATE"}, lease_s="LEASE")
    text = json.dumps(body).replace('"RATE"', "2e-5").replace('"LEASE"', "3e2")
    file.write_text(yaml.safe_dump(yaml.safe_load(text)).replace("'", ""))
    spec = study._spec(str(file))
    assert (spec.recipe["learning_rate"], spec.lease_s) == (2e-5, 300.0)


def bomb(line: str) -> str:
    """Nine lines, each of ten aliases of the one before: a billion values."""
    rest = (f"a{n}: &a{n} " + line.format(", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 10))
    return "\n".join(["a0: &a0 {k: 1}", *rest])


def chain(line: str) -> str:
    """Each line an alias of the one before: as deep as it is long."""
    return "\n".join(
        ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} " + line.format(f"*a{n - 1}") for n in range(1, 200))]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 51 + "]" * 51, "nested more than 50 levels"),
        ("[" * 5000, "nested more than 50 levels"),
        ("{a: " * 5000, "nested more than 50 levels"),
        ("- " * 200 + "a", "nested more than 50 levels"),
        ("\n".join(" " * n + "a:" for n in range(200)), "nested more than 50 levels"),
        (chain("[{}]"), "nested more than 50 levels"),
        (chain("{{<<: {}}}"), "nested more than 50 levels"),
        (bomb("[{}]"), "more than 50,000 values"),
        (bomb("{{<<: [{}]}}"), "more than 50,000 values"),
        ("&a [*a]", "part of"),
        ("&a {<<: *a}", "part of"),
        ("seed: 0x" + "f" * 100_000, "more than 64 bits"),
        ("seed: " + "9" * 10_000, "more than 64 bits"),
        ("seed: -" + "9" * 30, "more than 64 bits"),
        ("seed: !!int 1" + ":10" * 1000, "more than 64 bits"),
        ("x: !!float 1" + ":10" * 1000 + ".5", "no float"),
        ("steps: 3\nsteps: 5", "'steps' is given twice"),
        ("when: 2026-02-30", "'2026-02-30' is no timestamp"),
        ("n: !!int many", "'many' is no int"),
        ("n: !!bool maybe", "'maybe' is no bool"),
        ('c: "\\UFFFFFFFF"', "does not exist"),
        ("x" * 600_000, "more than 500,000 characters"),
    ],
    ids=lambda text: text[:20],
)
def test_what_nobody_writes_is_refused_with_the_reason(text, says):
    with pytest.raises(yaml.YAMLError, match=says):
        yaml_text.load(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}),
        ("a: &a [1, 2]\nb: [*a, *a]", {"a": [1, 2], "b": [[1, 2], [1, 2]]}),
        ("seed: 0xffffffffffffffff", {"seed": 2**64 - 1}),
        ("low: -9223372036854775808", {"low": -(2**63)}),
        ("1: a\n'1': b", {1: "a", "1": "b"}),
        ("", None),
    ],
)  # fmt: skip
def test_what_people_do_write_is_read(text, value):
    assert yaml_text.load(text) == value


def test_fifty_levels_are_read():
    value: object = []
    for _ in range(49):
        value = [value]
    assert yaml_text.load("[" * 50 + "]" * 50) == value


@pytest.mark.parametrize("text", ["seed: 0x" + "f" * 9000, bomb("[{}]"), "[" * 3000])
def test_the_command_says_what_is_wrong_with_such_a_file(tmp_path, text):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(typer.BadParameter, match=r"study\.yaml is neither YAML nor JSON"):
        study._spec(str(file))
    with pytest.raises(recipes.RecipeError, match="cannot read"):
        recipes.read(str(file))
