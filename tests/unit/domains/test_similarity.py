"""How alike datasets are: by what their rows look like, and by a model."""

import numpy as np
import pytest
from PIL import Image

from trainer.domains import similarity
from trainer.domains.errors import DataError
from trainer.rows import Row

WORDS = {
    "shapes": ("triangle", "angle", "circle", "radius", "degrees", "area", "length", "square"),
    "street": ("car", "traffic", "sign", "road", "truck", "person", "wheel", "light"),
}


def rows(topic, n, seed, colour=(0, 0, 0), kind="text"):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 40, size=(n, 24, 24, 3))
    return [
        Row(
            id=str(i),
            domain=topic,
            images=(Image.fromarray((noise[i] + colour).astype(np.uint8)),),
            question=f"What is the {' '.join(rng.choice(WORDS[topic], 3))} here?",
            answer="7" if kind == "number" else "yes",
            answer_type=kind,
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def found():
    datasets = [
        rows("shapes", 40, 0, kind="number"),
        rows("shapes", 40, 1, kind="number"),
        rows("street", 40, 2, colour=(200, 60, 20)),
    ]
    return similarity.by_statistics(datasets)


@pytest.mark.parametrize("part", ["words", "answers", "pictures"])
def test_two_draws_of_the_same_rows_are_alike_and_others_are_not(found, part):
    alike = found[part]
    assert np.allclose(alike, alike.T)
    assert np.allclose(np.diag(alike), 1)
    assert alike[0, 1] > 0.9
    assert alike[0, 2] < 0.5


def test_together_is_the_mean_of_the_parts(found):
    whole = similarity.together(found)
    assert whole[0, 2] == pytest.approx(np.mean([part[0, 2] for part in found.values()]))


def test_datasets_of_one_and_the_same_row_are_the_same():
    same = np.ones((5, 3))
    assert np.allclose(similarity.alike([same, same]), 1)


def test_rows_without_pictures_and_with_are_no_trouble():
    bare = [Row(str(i), "bare", (), f"question {i}", "a", "text") for i in range(4)]
    alike = similarity.by_statistics([bare, rows("street", 4, 0)])["pictures"]
    assert 0 <= alike[0, 1] < 0.9


@pytest.mark.slow  # loads a model
def test_a_model_with_a_tokenizer_compares_the_words():
    from trainer.domains.embedding import embedder
    from trainer.tiny.model import BASE

    datasets = [rows("shapes", 6, 0), rows("shapes", 6, 1), rows("street", 6, 2)]
    alike = similarity.by_model(datasets, embedder(BASE))["model"]
    assert alike[0, 1] > alike[0, 2]


@pytest.mark.slow  # makes a model
def test_a_model_of_words_and_pictures_looks_at_as_many_words_as_it_has_places_for(tmp_path):
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel

    from trainer.domains.embedding import embedder
    from trainer.tiny.model import BASE

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    part = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    part |= {"num_hidden_layers": 1}
    words = part | {"vocab_size": len(tokenizer), "max_position_embeddings": 12}
    words |= {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": 0, "pad_token_id": 0}
    pictures = part | {"image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config=words, vision_config=pictures, projection_dim=4)
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    for made in (CLIPModel(config), tokenizer, CLIPImageProcessor(**size)):
        made.save_pretrained(tmp_path)
    vectors = embedder(tmp_path)(rows("shapes", 3, 0))
    assert vectors.shape == (3, 8)
    assert np.isfinite(vectors).all()


def test_a_folder_without_a_model_is_refused_by_its_name(tmp_path):
    from trainer.domains.embedding import embedder

    with pytest.raises(DataError, match="has no model that can be loaded"):
        embedder(tmp_path)
