"""The five domains, each read from a small folder in its published layout."""

import json
from dataclasses import replace

import pytest

from tests.support.datasets import (
    COCO_PROBLEM,
    coco_row,
    embedded,
    jpeg,
    png,
    prepared_from,
    write_parquet,
)
from trainer.domains import coco, geoqav, lisa, sat, scienceqa
from trainer.domains.errors import DataError
from trainer.domains.prepared import PreparedRows


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "source", tmp_path / "out"


def test_coco_asks_for_all_boxes_of_a_category(folders):
    source, out = folders
    rows = [
        coco_row(),
        coco_row(
            solution="<answer>[{'Position': [0, 0, 1000, 1000], 'Confidence': 1}, "
            "{'Position': [5, 5, 9, 9], 'Confidence': 1}]</answer>",
            problem=COCO_PROBLEM.format("traffic light", "traffic light"),
        ),
        coco_row(solution="<answer>No Objects</answer>"),
    ]
    write_parquet(source / "data/train-00000-of-00007.parquet", "coco", rows[:2])
    write_parquet(source / "data/train-00001-of-00007.parquet", "coco", rows[2:])
    made = prepared_from(coco.TRAIN, source, out)
    assert made.dropped.filters == {"no boxes": 1}
    assert (made.rows, made.read, made.paper_rows, made.rule) == (2, 3, 5997, "box-iou")
    one, two = PreparedRows(out)
    assert one.question == "Find all objects of the category 'cake' in the image."
    assert (one.domain, one.answer_type) == ("coco", "boxes")
    assert json.loads(one.answer) == [[100, 200, 500, 600]]
    assert "'traffic light'" in two.question
    assert json.loads(two.answer) == [[0, 0, 1000, 1000], [5, 5, 9, 9]]


def test_coco_counts_in_pixels_for_models_that_do(folders):
    source, out = folders
    write_parquet(source / "train-0.parquet", "coco", [coco_row(image=embedded(jpeg(200, 100)))])
    made = prepared_from(coco.TRAIN, source, out, coordinates="pixels")
    [row] = PreparedRows(out)
    assert made.coordinates == row.coordinates == "pixels"
    assert json.loads(row.answer) == [[20, 20, 100, 60]]


def annotation(**other):
    return {
        "text": ["the cup", "what coffee is drunk from"],
        "is_sentence": False,
        "shapes": [
            {"label": "target", "points": [[100, 50], [300, 50], [200, 250]]},
            {"label": "target", "points": [[400, 100], [420, 100], [410, 120]]},
            {"label": "flag", "points": [[0, 0], [1, 1]]},
            {"label": "Ignore", "points": [[900, 400], [999, 499]]},
        ],
    } | other


def write_lisa(folder, name, shapes, image):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(shapes))
    (folder / f"{name}.jpg").write_bytes(image)


def test_lisa_makes_a_sample_of_every_question_and_a_box_of_all_outlines(folders):
    source, out = folders
    write_lisa(source / "train", "a", annotation(), jpeg(1280, 640))
    write_lisa(
        source / "train",
        "b",
        annotation(text=["Where would one sit?"], is_sentence=True),
        jpeg(640, 320),
    )
    made = prepared_from(lisa.TRAIN, source, out)
    rows = {row.id: row for row in PreparedRows(out)}
    assert set(rows) == {"a-0", "a-1", "b-0"}
    assert made.strata == {"phrase": 2, "sentence": 1}
    assert rows["a-0"].question == "Find the cup in the image."
    assert rows["b-0"].question == "Where would one sit?"
    assert rows["a-1"].images[0].size == (640, 320)
    assert json.loads(rows["a-1"].answer) == [[78, 78, 328, 391]]
    assert json.loads(rows["b-0"].answer) == [[156, 156, 656, 781]]


def test_lisas_outlines_are_cut_at_the_edge_and_broken_annotations_counted(folders):
    source, out = folders
    over = annotation(
        text="a wall", shapes=[{"label": "target", "points": [[-3, 5], [700, 5], [9, 99]]}]
    )
    write_lisa(source / "test", "over", over, jpeg(640, 320))
    write_lisa(source / "test", "no-shapes", annotation(text=["x"], shapes=[]), jpeg(640, 320))
    write_lisa(source / "test", "latin", annotation(text=["café"]), jpeg(640, 320))
    latin = source / "test/latin.json"
    latin.write_bytes(json.dumps(annotation(text=["café"]), ensure_ascii=False).encode("cp1252"))
    (source / "test/broken.json").write_text("{")
    (source / "test/lonely.json").write_text(json.dumps(annotation(text=["a"])))
    made = prepared_from(lisa.TEST, source, out)
    rows = {row.id: row for row in PreparedRows(out)}
    assert json.loads(rows["over-0"].answer) == [[0, 16, 1000, 309]]
    assert "café" in rows["latin-0"].question
    assert made.dropped.bad == {"broken image": 1, "empty box": 1, "malformed row": 1}
    assert {bad.id for bad in made.dropped.rows} == {"no-shapes-0", "broken", "lonely-0"}
    assert made.official == ("lisa-giou", "lisa-ciou")


def test_geoqav_keeps_multiple_choice_answers_and_takes_options_out_of_the_text(folders):
    source, out = folders
    problem = "How long is AB?\n\nChoices:\nA. 3\nB. 5 cm\nC. 8"
    row = {"image": embedded(png(1300, 650)), "problem": problem}
    solutions = [
        "<think>Pythagoras: B?</think>\n<answer>The correct answer is B</answer>",
        "<think>so</think><answer>C</answer>",
        "<think>so</think><answer>(A) 3</answer>",
        "<think>A or B</think><answer>5</answer>",
        "<think>x</think><answer>ABC is isosceles</answer>",
        "<think>x</think><answer>D</answer>",
    ]
    rows = [row | {"solution": solution} for solution in solutions]
    inline = {"problem": "Is it (A) 3 or (B) 5?", "solution": "<answer>B</answer>"}
    write_parquet(source / "data/train-00000-of-00001.parquet", "geoqav", [*rows, row | inline])
    made = prepared_from(geoqav.TRAIN, source, out)
    assert made.dropped.filters == {"not multiple choice": 2}
    assert made.dropped.bad == {"missing option": 1}
    prepared = PreparedRows(out)
    assert [row.answer for row in prepared] == ["B", "C", "A", "B"]
    assert prepared[0].question == "How long is AB?"
    assert prepared[0].choices == ("3", "5 cm", "8")
    assert prepared[0].images[0].size == (640, 320)
    assert (prepared[3].question, prepared[3].choices) == ("Is it (A) 3 or (B) 5?", ())


def test_sat_has_one_or_two_images_and_a_short_text(folders):
    source, out = folders
    row = {
        "question": "Did the camera move?",
        "answers": ["moved left", "moved right"],
        "correct_answer": "moved left",
        "question_type": "action",
    }
    rows = [
        row | {"image_bytes": [embedded(png()), embedded(png(30, 30))]},
        row | {"image_bytes": [embedded(jpeg())], "question_type": "other"},
        row | {"image_bytes": [embedded(jpeg())], "correct_answer": "moved up"},
    ]
    write_parquet(source / "SAT_train.parquet", "sat", rows)
    write_parquet(source / "SAT_val.parquet", "sat", rows[:1])
    made = prepared_from(sat.TRAIN, source, out)
    assert made.images == {"1": 1, "2": 1}
    assert made.strata == {"action": 1, "other": 1}
    assert made.dropped.bad == {"missing option": 1}
    first = PreparedRows(out)[0]
    assert [image.size for image in first.images] == [(20, 10), (30, 30)]
    assert (first.question, first.answer) == ("Did the camera move?", "moved left")
    assert prepared_from(sat.TEST, source, out.with_name("test")).read == 1


def test_sat_reads_images_that_are_bare_bytes():
    record = {"image_bytes": [png(), jpeg()], "question": "Which?", "correct_answer": "left"}
    assert sat.convert(record).images == (png(), jpeg())


def test_sat_keeps_as_many_rows_as_the_paper(folders):
    source, out = folders
    row = {
        "image_bytes": [embedded(png())],
        "answers": ["a", "b"],
        "correct_answer": "a",
        "question_type": "x",
    }
    questions = ["", *(f"Question {i}?" for i in range(9))]
    rows = [row | {"question": question} for question in questions]
    write_parquet(source / "SAT_train.parquet", "sat", rows)
    made = prepared_from(replace(sat.TRAIN, take=4), source, out)
    assert (made.rows, made.read) == (4, 5)
    assert [row.question for row in PreparedRows(out)] == questions[1:5]


def test_scienceqa_keeps_problems_with_an_image_and_turns_the_index_into_a_letter(folders):
    source, out = folders
    row = {
        "image": embedded(png()),
        "question": "Which is a planet?",
        "choices": ["Sun", "Mars"],
        "answer": 1,
        "subject": "natural science",
    }
    rows = [row, row | {"image": None}, row | {"answer": 2}, row | {"question": " "}]
    write_parquet(source / "data/test-00000-of-00001-f0e7.parquet", "scienceqa", rows)
    made = prepared_from(scienceqa.TEST, source, out)
    assert made.dropped.filters == {"no image": 1}
    assert made.dropped.bad == {"empty question": 1, "missing option": 1}
    [kept] = PreparedRows(out)
    assert (kept.answer, kept.choices, kept.answer_type) == ("B", ("Sun", "Mars"), "choice")
    assert kept.stratum == "natural science"


def test_a_folder_without_the_sources_files_says_what_it_looked_for(folders):
    source, out = folders
    source.mkdir()
    with pytest.raises(DataError, match=r"SAT_train\*\.parquet.*array/SAT"):
        prepared_from(sat.TRAIN, source, out)
    with pytest.raises(DataError, match=r"no ReasonSeg annotations"):
        prepared_from(lisa.TRAIN, source, out)
