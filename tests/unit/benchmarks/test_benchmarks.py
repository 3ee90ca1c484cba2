"""The benchmarks, each read from a small folder in its published layout; their table."""

import pytest

from tests.support.datasets import embedded, jpeg, png, prepared_from, write_parquet
from trainer.benchmarks import chartqa, infovqa, mathvista, mmmu
from trainer.benchmarks.table import BENCHMARKS
from trainer.catalog import DOMAINS, SOURCES
from trainer.domains.errors import Dropped
from trainer.domains.prepared import PreparedRows


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "source", tmp_path / "out"


def test_chartqa_tells_peoples_questions_from_generated_ones(folders):
    source, out = folders
    rows = [
        {"type": kind, "question": f"{kind}?", "answer": "14", "image": embedded(png())}
        for kind in ("human_test", "augmented_test", "human_test")
    ]
    write_parquet(source / "data/test-00000-of-00001.parquet", "chartqa", rows)
    made = prepared_from(chartqa.TEST, source, out)
    assert made.strata == {"augmented_test": 1, "human_test": 2}
    assert (made.rule, made.official) == ("exact", ("chartqa-relaxed",))
    assert PreparedRows(out)[0].answer == "14"


def test_chartqas_other_layout_gives_the_same_rows():
    other = {"query": "How much?", "label": ["14"], "human_or_machine": 0, "image": png()}
    one = {"question": "How much?", "answer": "14", "type": "human_test", "image": png()}
    assert chartqa.convert(other) == chartqa.convert(one)


def test_infovqa_keeps_all_accepted_answers(folders):
    source, out = folders
    row = {
        "questionId": "98313",
        "question": "How many?",
        "answers": ["4", "four"],
        "answer_type": ["single span", "multi-span"],
        "image": embedded(jpeg()),
    }
    rows = [row, row | {"questionId": "2", "answers": []}]
    write_parquet(source / "InfographicVQA/validation-00000-of-00005.parquet", "infovqa", rows)
    made = prepared_from(infovqa.TEST, source, out)
    [kept] = PreparedRows(out)
    assert (kept.id, kept.answer, kept.stratum) == ("98313", "4", "single span")
    assert kept.extra == {"answer": ["4", "four"]}
    assert made.dropped.bad == {"empty answer": 1}


MATHVISTA = {
    "pid": "1",
    "question": "Which is larger?",
    "decoded_image": embedded(png()),
    "choices": ["3/11", "8/11"],
    "answer": "8/11",
    "question_type": "multi_choice",
    "answer_type": "text",
    "metadata": {"task": "figure question answering", "source": "x"},
}


def test_mathvista_has_options_and_free_answers(folders):
    source, out = folders
    free = {"choices": None, "question_type": "free_form"}
    rows = [
        MATHVISTA,
        MATHVISTA | free | {"pid": "2", "answer_type": "float", "answer": "1.2", "precision": 1.0},
        MATHVISTA | free | {"pid": "3", "answer_type": "list", "answer": "[0, 2]", "unit": "g"},
        MATHVISTA | {"pid": "4", "answer": "9/11"},
    ]
    write_parquet(source / "data/testmini-00000-of-00001-7253.parquet", "mathvista", rows)
    made = prepared_from(mathvista.TEST, source, out)
    choice, number, listed = PreparedRows(out)
    assert (choice.answer, choice.answer_type, choice.choices) == ("B", "choice", ("3/11", "8/11"))
    assert choice.extra["answer"] == "8/11"
    assert (number.answer, number.answer_type, number.extra["precision"]) == ("1.2", "number", 1)
    assert (listed.answer_type, listed.question) == ("text", "Which is larger? (Unit: g)")
    assert made.dropped.bad == {"missing option": 1}


MMMU = {
    "id": "validation_Art_Theory_7",
    "question": "What do <image 1> and <image 2> share?",
    "options": "['colour', \"the painter's hand\", '<image 3>', 'nothing']",
    "answer": "B",
    "question_type": "multiple-choice",
    "image_1": embedded(png(8, 8)),
    "image_2": embedded(png(9, 9)),
    "image_3": embedded(png(10, 10)),
}


def test_mmmu_has_several_images_and_options_in_pythons_notation(folders):
    source, out = folders
    one = {"image_2": None, "image_3": None, "options": "[]", "question_type": "open"}
    rows = [
        MMMU,
        MMMU | one | {"id": "validation_Math_1", "answer": "['2', 'two']"},
        MMMU | {"id": "validation_Math_2", "options": "__import__('os').getcwd()"},
        MMMU | {"id": "validation_Math_3", "answer": "E"},
    ]
    write_parquet(source / "data/validation-00000-of-00001.parquet", "mmmu", rows)
    made = prepared_from(mmmu.TEST, source, out)
    several, opened = PreparedRows(out)
    assert [image.size for image in several.images] == [(8, 8), (9, 9), (10, 10)]
    assert several.choices == ("colour", "the painter's hand", "<image 3>", "nothing")
    assert several.stratum == "Art_Theory"
    assert (opened.answer, opened.answer_type) == ("2", "text")
    assert opened.extra["answer"] == ["2", "two"]
    assert made.dropped.bad == {"malformed row": 1, "missing option": 1}


@pytest.mark.parametrize(
    "text", ["[" * 5000 + "]" * 5000, "['a'" * 9999, "{'a': 1}", "open('x')", "['a', b]"]
)
def test_a_list_that_is_none_is_a_wrong_row(text):
    with pytest.raises(Dropped, match="not a list"):
        mmmu.listed(text)


def test_the_table_has_the_papers_groups_and_sizes():
    papers = {
        "lisa": ("in", 3397),
        "sat": ("in", 1928),
        "scienceqa": ("in", 2017),
        "chartqa": ("out", 2500),
        "infovqa": ("out", 2801),
        "mathvista": ("out", 1000),
        "mmmu": ("out", 900),
    }
    assert papers == {name: (BENCHMARKS[name].group, BENCHMARKS[name].samples) for name in papers}
    assert all(
        BENCHMARKS[name].source.paper_rows == samples for name, (_, samples) in papers.items()
    )
    assert all(name == b.source.domain for name, b in BENCHMARKS.items())
    papers_rows = {
        "coco": 5997,
        "lisa": 1326,
        "geoqav": 1969,
        "sat": 15_000,
        "scienceqa": 6218,
    }
    assert papers_rows == {name: DOMAINS[name].paper_rows for name in papers_rows}


def test_every_source_says_where_it_is():
    for name, source in SOURCES.items():
        assert name == source.name
        assert (source.hub is None) == (source.read is not None)
        assert bool(source.files) == (source.hub is not None)
