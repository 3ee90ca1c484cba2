"""The shipped recipes, and what `modomodo recipe` says of one."""

import json
import sys

import pytest
from typer.testing import CliRunner

from modomodo.cli import app
from service.schemas import Phase
from trainer import recipes
from trainer.job import Job
from trainer.recipe import Recipe, RecipeError


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global memory, counting, shape_of, KNOWN
    from trainer.planning import counting, memory
    from trainer.planning.shapes import KNOWN, shape_of


PAPER = recipes.load("paper")


def run(*arguments):
    return CliRunner().invoke(app, ["recipe", *arguments])


def test_the_shipped_recipes_are_listed_with_what_they_are():
    listed = json.loads(run("list", "--json").stdout)
    assert [one["name"] for one in listed] == ["lora-24gb", "paper", "single-gpu", "tiny"]
    assert all(one["about"] for one in listed)


def test_the_tiny_recipe_spells_out_the_defaults():
    assert recipes.load("tiny") == Recipe()


def test_the_paper_recipe_has_the_papers_numbers():
    assert PAPER.model == "Qwen/Qwen2-VL-2B-Instruct"
    assert (PAPER.dtype, PAPER.freeze_vision, PAPER.lora) == ("bfloat16", True, None)
    assert (PAPER.prompts_per_step, PAPER.generations, PAPER.completions_per_step) == (2, 6, 12)
    assert (PAPER.beta, PAPER.learning_rate, PAPER.seed) == (0.04, 1e-6, 42)
    assert (PAPER.schedule, PAPER.warmup_share, PAPER.steps) == ("linear", 0.1, 2000)
    assert (PAPER.adamw.beta1, PAPER.adamw.beta2, PAPER.adamw.epsilon) == (0.9, 0.999, 1e-8)
    assert PAPER.reward_weights == {"accuracy": 2.0, "iou": 2.0, "format": 1.0}
    assert PAPER.evaluation_points(2000) == (500, 1500, 2000)
    assert PAPER.max_pixels == 640 * 640


def test_the_one_gpu_recipe_is_the_papers_but_for_generation_and_seed():
    one = recipes.load("single-gpu").model_dump()
    differs = {key for key, value in PAPER.model_dump().items() if one[key] != value}
    assert differs <= {"vllm", "seed", "evaluation", "gradient_accumulation", "speed"}


def test_lisa_alone_reaches_663_steps_of_the_papers_recipe():
    found = json.loads(run("check", "paper", "--mixture", "lisa=1", "--json").stdout)["reach"]
    assert (found["steps"], found["exhausted"], found["samples"]) == (663, "lisa", {"lisa": 1326})


def test_a_recipe_file_and_a_studys_own_are_read_alike(tmp_path):
    (tmp_path / "recipe.yaml").write_text("{steps: 3}")
    (tmp_path / "study.yaml").write_text("{name: s, domains: [{name: a}], recipe: {steps: 3}}")
    assert recipes.load(str(tmp_path / "recipe.yaml")) == Recipe(steps=3)
    assert recipes.load(str(tmp_path / "study.yaml")) == Recipe(steps=3)


def test_what_is_no_recipe_is_named(tmp_path):
    with pytest.raises(RecipeError, match="no recipe 'papr' and no such file; known: lora-24gb"):
        recipes.load("papr")
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(RecipeError, match="holds a list, not keys and values"):
        recipes.load(str(tmp_path / "list.yaml"))


def test_check_says_what_the_run_does_and_ends_with_1_for_a_wrong_key(tmp_path):
    shown = run("check", "paper", "--gpus", "3")
    assert "2 prompts x 6 completions" in shown.stdout
    assert "Scored at: 500, 1,500, 2,000" in shown.stdout
    (tmp_path / "wrong.yaml").write_text("{stps: 3}")
    wrong = run("check", str(tmp_path / "wrong.yaml"))
    assert "did you mean 'steps'" in str(wrong.exception)


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_passes_its_check(name):
    checked = run("check", name)
    assert checked.exit_code == 0, checked.output
    assert "GiB" in checked.stdout


def test_the_published_sizes_come_out_of_the_known_shapes():
    assert shape_of("Qwen/Qwen2-VL-2B-Instruct").parameters == 2_208_985_600
    assert shape_of("Qwen/Qwen2-VL-7B-Instruct").parameters == 8_291_375_616
    assert shape_of("Qwen/Qwen2.5-VL-3B-Instruct").parameters == 3_754_622_976


def test_the_known_shapes_are_what_would_be_counted():
    counted = {model: counting.from_config(counting.config_of(model)) for model in KNOWN}
    assert counted == KNOWN


def test_a_recipe_of_a_known_model_is_checked_without_a_look_at_the_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "trainer.planning.counting", None)  # which loads torch
    assert run("check", "paper").exit_code == 0


def test_a_model_that_is_not_here_and_not_known_is_named():
    with pytest.raises(RecipeError, match="no configuration of 'nobody/nothing' here"):
        shape_of("nobody/nothing")


def test_memory_follows_what_is_trained():
    shape = shape_of(PAPER.model)
    full = memory.estimate(PAPER, shape)
    assert full.weights == full.reference == 2 * shape.parameters
    assert (full.gradients, full.optimizer) == (2 * shape.language, 12 * shape.language)
    adapters = memory.estimate(recipes.load("lora-24gb"), shape)
    assert adapters.reference == 0
    twice = memory.estimate(PAPER, shape, checkpointing=True)
    assert adapters.total < 24 * memory.GIB < twice.total < 80 * memory.GIB < full.total
    one = memory.estimate(recipes.load("single-gpu"), shape)
    assert one.total < 80 * memory.GIB, "activations of four completions can be kept"
    without_kl = PAPER.model_copy(update={"beta": 0.0})
    assert memory.estimate(without_kl, shape).reference == 0


PICTURES = 4 << 30
"""That are kept in host memory, with their features."""


@pytest.mark.parametrize(
    ("recipe", "bytes_each"),
    [
        ({"dtype": "bfloat16"}, 12),
        ({"dtype": "mixed"}, 8),
        ({"dtype": "float32"}, 8),
        ({"dtype": "bfloat16", "lora": {}}, 8),
    ],
)
def test_the_optimizers_state_is_on_the_gpu_or_with_its_masters_on_the_host(recipe, bytes_each):
    shape = shape_of(PAPER.model)
    here = Recipe.parse(recipe)
    trained = memory.trained_parameters(here, shape)
    on_gpu = memory.estimate(here, shape)
    assert (on_gpu.optimizer, on_gpu.host) == (bytes_each * trained, PICTURES)
    away = memory.estimate(Recipe.parse(recipe | {"adamw": {"offload": True}}), shape)
    assert (away.optimizer, away.host) == (0, 12 * trained + PICTURES)
    assert on_gpu.total - away.total == pytest.approx(1.1 * bytes_each * trained)


def test_weights_below_adapters_that_vllm_gets_are_kept_on_the_host():
    shape = shape_of(PAPER.model)
    adapters = {"dtype": "bfloat16", "lora": {"target_modules": ["q_proj", "down_proj"]}}
    below = shape.layers * (1536 * 1536 + 8960 * 1536)
    for mode, host in (("off", 0), ("auto", 2 * below)):
        recipe = Recipe.parse(adapters | {"vllm": {"mode": mode}})
        assert memory.estimate(recipe, shape).host == host + PICTURES


def test_more_gpus_and_more_pieces_take_less_memory_each():
    shape = shape_of(PAPER.model)
    alone = memory.estimate(PAPER, shape)
    assert memory.estimate(PAPER, shape, gpus=3).activations == alone.activations / 3
    pieces = PAPER.model_copy(update={"gradient_accumulation": 4})
    assert memory.estimate(pieces, shape).activations == alone.activations / 4


def test_what_speed_costs_in_memory_is_told():
    shape = shape_of(PAPER.model)
    recipe = PAPER.model_copy(update={"gradient_accumulation": 3})
    once, twice = (memory.estimate(recipe, shape, checkpointing=on) for on in (False, True))
    assert once.activations > 5 * twice.activations
    assert memory.estimate(recipe, shape).total == twice.total, "what the recipe says"
    kept = recipe.model_copy(update={"gradient_checkpointing": "auto"})
    assert memory.estimate(kept, shape).total == once.total
    plain = Recipe.parse({"speed": {"pictures_once": False, "compiled": False}})
    shown, quick = memory.estimate(plain, shape), memory.estimate(Recipe(), shape)
    assert (shown.host, quick.host) == (0, PICTURES)
    assert quick.total - shown.total == pytest.approx(1.1 * quick.cache), "it stays"
    many = Recipe.parse({"evaluation": {"batch_size": 1000}})
    assert memory.estimate(many, shape).evaluation == 10 * quick.evaluation
    shorter = Recipe.parse({"evaluation": {"max_tokens": 8}})
    assert memory.estimate(shorter, shape).evaluation < quick.evaluation


def test_check_says_what_memory_keeping_activations_takes():
    said = " ".join(run("check", "single-gpu").stdout.split())
    assert "Activations are computed twice where memory is too small" in said
    assert "Speed: pictures are processed once (24 GiB of host memory" in said
    assert "gradients of a step's pieces are added up in bfloat16" in said


def test_the_schema_knows_every_key():
    schema = json.loads(run("schema").stdout)
    assert set(schema["properties"]) == set(Recipe.model_fields)


@pytest.mark.parametrize("text", ["coco", "coco=x", "coco=0.5", "coco=0.5,coco=0.5", "=1"])
def test_a_mixture_that_is_none_is_refused(text):
    shown = run("check", "tiny", "--mixture", text)
    assert "--mixture" in str(shown.exception)


def test_a_domain_that_is_not_there_is_named():
    shown = run("check", "tiny", "--mixture", "video=1")
    assert "no domain 'video'; it has coco, lisa" in str(shown.exception)


def test_reach_is_of_the_very_order_that_a_schedule_trains_on(tmp_path):
    from trainer.planning.plan import reach

    data = {"domains": {"coco": "c", "sat": "s"}, "benchmarks": {"chart": "b"}}
    recipe = Recipe.parse({"steps": 4000, "prompts_per_step": 4, "data": data})
    for first, second, samples, exhausted in (
        ("coco", "sat", {"coco": 4000, "sat": 12000}, None),
        ("sat", "coco", {"coco": 5996, "sat": 4000}, "coco"),  # the paper's, as none is prepared
    ):
        phases = (Phase(share=0.25, mixture={first: 1.0}), Phase(share=0.75, mixture={second: 1.0}))
        mixture = {first: 0.25, second: 0.75}
        found = reach(Job(mixture, recipe, 0, tmp_path, schedule=phases))
        assert (found["samples"], found["exhausted"]) == (samples, exhausted)
