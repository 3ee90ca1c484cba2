"""The user's own data: files as they are, a YAML that maps columns, and what is not trusted."""

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets import embedded, jpeg, png, write_jsonl, write_parquet
from trainer.catalog import open_dataset
from trainer.domains import own_pictures
from trainer.domains.errors import DataError, Dropped
from trainer.domains.prepare import prepare
from trainer.domains.prepared import PreparedRows
from trainer.domains.reading import refuse_media

EASY_VQA = Path(__file__).parents[2] / "data" / "easy_vqa"

EASY_VQA_YAML = """
name: easy-vqa
path: questions.json
columns:
  id: "{2}-{0}"
  images: "images/{2}.png"
  question: 0
  answer: 1
reward: exact
"""


def prepared(what: Path, out: Path, where: Path | None = None):
    source, reader = open_dataset(str(what), None if where is None else str(where))
    return prepare(source, reader, out), PreparedRows(out)


def mapped(folder: Path, **spec) -> Path:
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump({"name": "mine"} | spec))
    return path


def row(**other):
    return {"question": "What is it?", "answer": "a cup"} | other


def test_a_package_made_by_others_is_mapped_without_code(tmp_path):
    spec = tmp_path / "easy-vqa.yaml"
    spec.write_text(EASY_VQA_YAML)
    made, rows = prepared(spec, tmp_path / "train", EASY_VQA / "train")
    assert (made.rows, made.read, made.dropped.bad) == (123, 123, {})
    assert made.images == {"1": 123}
    first = rows[0]
    assert (first.question, first.answer) == ("what is the blue shape?", "rectangle")
    assert first.images[0].size == (64, 64)
    assert first.images[0].tobytes() == rows[1].images[0].tobytes()


def test_a_folder_with_one_jsonl_is_read_as_it_is(tmp_path):
    folder = tmp_path / "cups"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures/1.png").write_bytes(png())
    (folder / "pictures/2.jpg").write_bytes(jpeg(30, 30))
    rows = [
        row(id="one", images=["pictures/1.png"]),
        row(id="two", images=["pictures/1.png", "pictures/2.jpg"]),
        row(id="text only"),
        row(id="choice", choices=["a cup", "a pan"], answer="a pan"),
        row(id="letter", choices=["a cup", "a pan"], answer="(A)"),
        row(id="box", images="pictures/1.png", answer=[2, 1, 10, 9], answer_type="boxes"),
        row(id="number", answer="1,024.5", answer_type="number"),
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    made, read = prepared(folder, tmp_path / "out")
    by_id = {row.id: row for row in read}
    assert (made.name, made.rule, made.rows) == ("cups", "exact", 7)
    assert made.images == {"0": 4, "1": 2, "2": 1}
    assert [image.size for image in by_id["two"].images] == [(20, 10), (30, 30)]
    assert by_id["text only"].images == ()
    assert (by_id["choice"].answer, by_id["letter"].answer) == ("B", "A")
    assert json.loads(by_id["box"].answer) == [[100, 100, 500, 900]]
    assert by_id["number"].answer_type == "number"


def test_bad_rows_are_counted_and_stop_nothing(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "1.png").write_bytes(png())
    (folder / "broken.png").write_bytes(b"\x89PNG")
    secret = tmp_path / "secret.png"
    secret.write_bytes(png())
    (folder / "link.png").symlink_to(secret)
    rows = [
        row(id="good", images=["1.png"]),
        "{not json",
        "[1, 2",
        '"text"',
        row(id="good", images=["1.png"]),
        row(images=["broken.png"]),
        row(images=["missing.png"]),
        row(images=["../secret.png"]),
        row(images=[str(secret)]),
        row(images=["link.png"]),
        row(images=["1.png\x00"]),
        row(question=" "),
        row(answer=""),
        row(answer=["several"]),
        row(choices=["a", "b"], answer="c"),
        row(choices=["a", ""], answer="a"),
        row(answer_type="essay"),
        row(answer_type="number", answer="many"),
        row(answer_type="boxes", answer=[[0, 0, 30, 30]], images=["1.png"]),
        row(answer_type="boxes", answer="nowhere", images=["1.png"]),
        row(answer_type="boxes", answer=[[0, 0, 1, 1]]),
        row(question="\ud800"),
        row(images=7),
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    made, read = prepared(folder, tmp_path / "out")
    assert [row.id for row in read] == ["good"]
    assert made.read == len(rows) == made.rows + sum(made.dropped.bad.values())
    assert made.dropped.bad == {
        "answer is not a number": 1,
        "answer outside the image": 1,
        "broken image": 3,
        "duplicate id": 1,
        "empty answer": 1,
        "empty question": 1,
        "image outside the folder": 3,
        "malformed row": 9,
        "missing option": 2,
    }
    assert len(made.dropped.rows) == sum(made.dropped.bad.values())


@given(st.text(max_size=40))
def test_no_name_leads_out_of_the_folder(name):
    folder = EASY_VQA / "train"
    with contextlib.suppress(Dropped, DataError):
        assert own_pictures.inside(folder, name).is_relative_to(folder.resolve())


@pytest.mark.parametrize("name", ["clip.mp4", "a/b.WEBM", "speech.wav"])
def test_film_and_sound_are_refused_by_name(tmp_path, name):
    folder = tmp_path / "mine"
    write_jsonl(folder / "rows.jsonl", [row(), row(images=[name])])
    with pytest.raises(DataError, match="only text and images are supported"):
        prepared(folder, tmp_path / "out")


@pytest.mark.parametrize("column", ["video", "audio", "videos"])
def test_film_and_sound_are_refused_by_column(tmp_path, column):
    write_jsonl(tmp_path / "mine/rows.jsonl", [row(**{column: "x"})])
    with pytest.raises(DataError, match=column):
        prepared(tmp_path / "mine", tmp_path / "out")


def test_film_and_sound_are_refused_by_the_datasets_own_types():
    from datasets import Audio, Image, List, Value, Video

    refuse_media({"image": Image(), "images": List(Image()), "text": Value("string")}, "x")
    for feature in (Audio(), Video(), List(Audio())):
        with pytest.raises(DataError, match="'clip'"):
            refuse_media({"clip": feature}, "x")


def test_parquet_columns_are_mapped_by_a_yaml(tmp_path):
    rows = [
        {
            "image": embedded(png(100, 50)),
            "question": "Which?",
            "choices": ["x", "y", "z"],
            "answer": answer,
            "subject": "art",
        }
        for answer in (2, 0, 3)
    ]
    rows[1]["question"] = "Which one?"
    write_parquet(tmp_path / "files/data-0.parquet", "scienceqa", rows)
    spec = mapped(
        tmp_path,
        path="files",
        columns={"images": "image", "stratum": "subject"},
        answer_form="index",
        longer_side=50,
        reward="scienceqa-letter",
        official=["exact"],
    )
    made, read = prepared(spec, tmp_path / "out")
    assert [row.answer for row in read] == ["C", "A"]
    assert made.dropped.bad == {"missing option": 1}
    assert read[0].images[0].size == (50, 25)
    assert (made.rule, made.official, made.strata) == (
        "scienceqa-letter",
        ("exact",),
        {"art": 2},
    )


def test_boxes_may_be_given_by_corner_and_size(tmp_path):
    (tmp_path / "1.png").write_bytes(png(100, 100))
    write_jsonl(tmp_path / "rows.jsonl", [row(image="1.png", box=[10, 20, 30, 40])])
    spec = mapped(
        tmp_path,
        path="rows.jsonl",
        columns={"images": "image", "answer": "box"},
        answer_type="boxes",
        boxes="corner and size",
    )
    made, read = prepared(spec, tmp_path / "out")
    assert made.rule == "box-iou"
    assert json.loads(read[0].answer) == [[100, 200, 400, 600]]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"path": "rows.jsonl", "colums": {}}, "colums"),
        ({}, "either path"),
        ({"path": "a", "hub": "b/c"}, "either path"),
        ({"path": "rows.jsonl", "name": "a b"}, "name"),
        ({"path": "rows.txt"}, "no file or folder"),
        ({"path": "."}, "no .jsonl"),
        ({"path": "rows.jsonl", "reward": "exakt"}, "reward: .*'exakt'; did you mean 'exact'"),
        ({"path": "rows.jsonl", "reward": "infovqa-anls"}, "reward: .*is no reward; these are:"),
        ({"path": "rows.jsonl", "official": ["anl"]}, "official.0: .*no rule 'anl'"),
    ],
)
def test_a_yaml_that_is_wrong_says_where(tmp_path, spec, says):
    with pytest.raises(DataError, match=says):
        prepared(mapped(tmp_path, **spec), tmp_path / "out")


def test_a_yaml_is_data_and_never_code(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("!!python/object/apply:os.system ['touch hacked']")
    with pytest.raises(DataError, match="cannot read"):
        open_dataset(str(path))


def test_a_template_only_puts_texts_into_words(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [{"q": "{answer.__class__}", "answer": "x"}])
    spec = mapped(tmp_path, path="rows.jsonl", columns={"question": "Say: {q} {answer.__class__}"})
    _, read = prepared(spec, tmp_path / "out")
    assert read[0].question == "Say: {answer.__class__}"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match=r"'cocoa'.*known: coco, lisa"):
        open_dataset("cocoa")
