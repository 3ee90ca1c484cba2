"""What a run says that it was made with."""

from __future__ import annotations

from importlib.metadata import version

from trainer.recipe import Recipe
from trainer.run.software import ALWAYS, software


def test_what_has_a_part_in_a_run_is_named_with_its_version():
    plain = software(Recipe(), uses_vllm=False)
    assert set(plain) == {"python", *ALWAYS}
    assert plain["trl"] == version("trl")
    adapters = software(Recipe.parse({"lora": {}}), uses_vllm=True)
    assert set(adapters) == {"python", "peft", "vllm", *ALWAYS}


def test_a_package_that_is_only_a_folder_is_told_apart():
    found = software(Recipe(), uses_vllm=False, always=["no-such-package"])
    assert found["no-such-package"] == "not installed as a package"
