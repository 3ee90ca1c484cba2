"""YAML as people write it."""

from __future__ import annotations

import json

import pytest
import yaml

from modomodo import study
from service import yaml_text
from tests.bodies import study_body
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
