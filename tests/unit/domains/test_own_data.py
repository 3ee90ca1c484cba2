"""The user's own data: files as they are, a YAML that maps columns, and what is not trusted."""

import contextlib
import json
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.datasets import embedded, jpeg, png, write_jsonl, write_parquet
from trainer.catalog import open_dataset
from trainer.domains import canonical, own, own_columns, own_pictures
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


def prepared(what: Path, out: Path, where: Path | None = None, **how):
    source, reader = open_dataset(str(what), None if where is None else str(where))
    return prepare(source, reader, out, **how), PreparedRows(out)


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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["A", "B", "text", "label", "bytes"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*own_columns.Columns.model_fields, "image", "options", "img"]), VALUES
    ),
    st.sampled_from(["letter or text", "index"]),
)
def test_whatever_a_row_holds_it_is_read_or_dropped(record, form):
    spec = own.OwnData(name="any", path="any", answer_form=form)
    with contextlib.suppress(Dropped):
        canonical.stored(own.convert(record, spec), spec.source(), "any-0", "thousandths")


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


def answers(made_of, folder: Path) -> list[str]:
    return [read.answer for read in prepared(made_of, folder / "out")[1]]


def parquet(path: Path, columns: dict) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_value_that_is_missing_is_none(tmp_path):
    rows = [row(id=str(i), answer=value) for i, value in enumerate([None, float("nan"), ""])]
    rows += [row(id="q", question=float("nan")), row(id="inf", answer=float("inf"))]
    rows += [row(id=x, answer=x, answer_type="number") for x in ("nan", "inf", "1_000", "1e999")]
    rows += [row(id="good", stratum=float("nan"), images=float("nan"), choices=float("nan"))]
    write_jsonl(tmp_path / "mine/rows.jsonl", rows)
    made, read = prepared(tmp_path / "mine", tmp_path / "out")
    assert [one.id for one in read] == ["good"]
    assert made.dropped.bad == {
        "answer is not a number": 4,
        "empty answer": 3,
        "empty question": 1,
        "malformed row": 1,
    }


def test_the_same_numbers_are_the_same_words_in_every_file(tmp_path):
    column = [5, None, 42, 2**40]
    table = {"question": list("abcd"), "answer": pa.array(column, pa.float64())}
    file = parquet(tmp_path / "rows.parquet", table)
    rows = [{"question": "q", "answer": None if n is None else float(n)} for n in column]
    lines = write_jsonl(tmp_path / "lines/rows.jsonl", rows)
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps(rows))
    right = ["5", "42", "1099511627776"]
    for number, source in enumerate((file, lines, listed)):
        assert answers(source, tmp_path / str(number)) == right


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array([1.1, 2.0], pa.float32()), ["1.1", "2"]),
        (pa.array([1.1, 0.1], pa.float16()), ["1.1", "0.1"]),
        (pa.array([Decimal("1.10"), Decimal("-2.00")]), ["1.10", "-2.00"]),
        (pa.array([date(2024, 1, 31), date(2024, 2, 1)]), ["2024-01-31", "2024-02-01"]),
        (pa.array([1, 255], pa.uint8()), ["1", "255"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array([1e-7, 1e20]), ["1e-07", "1e+20"]),
    ],
)
def test_a_parquet_column_is_read_as_it_was_written(tmp_path, values, words):
    file = parquet(tmp_path / "rows.parquet", {"question": ["q"] * len(values), "answer": values})
    assert answers(file, tmp_path) == words


def test_narrow_floats_inside_lists_and_structs_are_read_as_written(tmp_path):
    numbers = pa.array([[1.1, 2.0]], pa.list_(pa.float32()))
    table = {"question": ["q"], "answer": ["1.1"], "choices": numbers}
    _, read = prepared(parquet(tmp_path / "a.parquet", table), tmp_path / "a")
    assert (read[0].choices, read[0].answer) == (("1.1", "2"), "A")
    kind = pa.struct([("A", pa.float32()), ("B", pa.float32())])
    table["choices"] = pa.array([{"A": 0.3, "B": 1.1}], kind)
    _, read = prepared(parquet(tmp_path / "b.parquet", table), tmp_path / "b")
    assert (read[0].choices, read[0].answer) == (("0.3", "1.1"), "B")


def test_a_parquet_struct_of_options_has_those_of_its_row(tmp_path):
    choices = pa.array([{"A": "x", "B": "y", "C": None}, {"A": "x", "B": "y", "C": "z"}])
    table = {"question": ["q", "r"], "answer": ["B", "C"], "choices": choices}
    _, read = prepared(parquet(tmp_path / "rows.parquet", table), tmp_path / "out")
    assert [(one.choices, one.answer) for one in read] == [
        (("x", "y"), "B"),
        (("x", "y", "z"), "C"),
    ]


def test_an_index_in_a_column_with_a_gap_is_one(tmp_path):
    given = [0, 1.0, "1", "1.0", None, float("nan"), "", 2, -1, 0.5, True]
    rows = [row(id=str(i), choices=["x", "y"], answer=a) for i, a in enumerate(given)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    spec = mapped(tmp_path, path="rows.jsonl", answer_form="index")
    made, read = prepared(spec, tmp_path / "out")
    assert [one.answer for one in read] == ["A", "B", "B", "B"]
    assert made.dropped.bad == {"empty answer": 3, "malformed row": 2, "missing option": 2}


def test_a_question_with_two_options_in_four_columns_has_two(tmp_path):
    options = {"A": "x", "B": "y", "C": None, "D": float("nan")}
    write_jsonl(tmp_path / "rows.jsonl", [row(answer="B", **options)])
    spec = mapped(tmp_path, path="rows.jsonl", columns={"choices": ["A", "B", "C", "D"]})
    _, read = prepared(spec, tmp_path / "out")
    assert (read[0].choices, read[0].answer) == (("x", "y"), "B")


def test_other_usual_names_of_columns_are_read(tmp_path):
    (tmp_path / "1.png").write_bytes(png())
    rows = [
        row(id="name", image="1.png"),
        row(id="list", image=["1.png"]),
        row(id="empty", images=None, image="1.png"),
        row(id="options", options=["a cup", "a pan"]),
    ]
    _, read = prepared(write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "out")
    assert [len(one.images) for one in read] == [1, 1, 1, 0]
    assert (read[3].choices, read[3].answer) == (("a cup", "a pan"), "A")


@pytest.mark.parametrize(
    "column",
    [
        *({name: "1.png"} for name in ("img", "Image", "picture", "image_path", "image_1", "src")),
        {"photos": ["1.png"]},
        {"image_url": "https://example.org/1"},
        {"thumb": {"bytes": "x", "path": None}},
    ],
)
def test_an_image_in_a_column_that_is_not_read_is_a_wrong_row(tmp_path, column):
    write_jsonl(tmp_path / "rows.jsonl", [row(), row(**column)])
    made, read = prepared(tmp_path / "rows.jsonl", tmp_path / "out")
    assert (len(read), made.dropped.bad) == (1, {"image not read": 1})
    name = next(iter(column))
    assert f"column {name!r} seems to hold images" in made.dropped.rows[0].detail
    spec = mapped(tmp_path, path="rows.jsonl", columns={"images": None})
    assert prepared(spec, tmp_path / "mapped")[0].rows == 2


@pytest.mark.parametrize(
    "column", [{"n_images": 2}, {"img": None}, {"images": [], "src": "1.png"}, {"id": "1.png"}]
)
def test_a_column_that_holds_no_image_is_left_alone(tmp_path, column):
    write_jsonl(tmp_path / "rows.jsonl", [row(**column)])
    assert prepared(tmp_path / "rows.jsonl", tmp_path / "out")[0].rows == 1


def test_half_a_surrogate_pair_anywhere_is_a_wrong_row(tmp_path):
    half = [row(id="\ud800"), row(stratum="\ud800"), row(choices=["\ud800", "a cup"])]
    write_jsonl(tmp_path / "rows.jsonl", [row(), *half])
    made, _ = prepared(tmp_path / "rows.jsonl", tmp_path / "out")
    assert (made.rows, made.dropped.bad) == (1, {"malformed row": 3})


def test_a_picture_that_was_mended_is_another_revision(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "1.png").write_bytes(png())
    (folder / "2.png").write_bytes(b"broken")
    write_jsonl(folder / "rows.jsonl", [row(images=["1.png"]), row(images=["2.png", "3.png"])])
    first, _ = prepared(folder, tmp_path / "out")
    assert prepared(folder, tmp_path / "out")[0] == first
    copy = shutil.copytree(folder, tmp_path / "copy" / "mine")
    assert prepared(copy, tmp_path / "copied")[0] == first
    (folder / "unused.png").write_bytes(png())
    assert prepared(folder, tmp_path / "out")[0] == first
    (folder / "2.png").write_bytes(png())
    with pytest.raises(DataError, match="as its rows or pictures were before they were changed"):
        prepared(folder, tmp_path / "out")
    (folder / "3.png").write_bytes(png())
    assert prepared(folder, tmp_path / "new")[0].rows == 2


def test_pictures_that_a_parquet_file_names_are_part_of_its_revision(tmp_path):
    (tmp_path / "1.png").write_bytes(png())
    table = {"question": ["q"], "answer": ["a"], "image": ["1.png"]}
    file = parquet(tmp_path / "rows.parquet", table)
    first = open_dataset(str(file))[1].origin.revision
    (tmp_path / "1.png").write_bytes(png(colour="blue"))
    assert open_dataset(str(file))[1].origin.revision != first


def test_wrong_rows_are_told_by_file_and_line(tmp_path):
    bad = json.dumps(row(answer=""))
    lines = write_jsonl(tmp_path / "a.jsonl", [row(), "", bad, "{", row(), bad])
    made, _ = prepared(lines, tmp_path / "a")
    places = [(one.file, one.line, one.reason) for one in made.dropped.rows]
    assert places == [
        ("a.jsonl", 3, "empty answer"),
        ("a.jsonl", 4, "malformed row"),
        ("a.jsonl", 6, "empty answer"),
    ]
    listed = tmp_path / "b.json"
    listed.write_text(json.dumps([row(), row(answer=""), 5], indent=1))
    places = [
        (one.file, one.line, one.row) for one in prepared(listed, tmp_path / "b")[0].dropped.rows
    ]
    assert places == [("b.json", 6, 2), ("b.json", 10, 3)]
    folder = tmp_path / "c"
    folder.mkdir()
    parquet(folder / "1.parquet", {"question": ["q", ""], "answer": ["a", "b"]})
    parquet(folder / "2.parquet", {"question": [""], "answer": ["a"]})
    places = [(one.file, one.row) for one in prepared(folder, tmp_path / "d")[0].dropped.rows]
    assert places == [("1.parquet", 2), ("2.parquet", 1)]


def test_lines_are_counted_on_after_an_interruption(tmp_path):
    rows = [row(answer="" if i % 2 else "a") if i % 3 else "" for i in range(20)]
    whole, _ = prepared(write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "whole", chunk=3)

    def stop(read, total, kept):
        raise KeyboardInterrupt

    for _ in range(4):
        source, reader = open_dataset(str(tmp_path / "rows.jsonl"))
        with contextlib.suppress(KeyboardInterrupt):
            prepare(source, reader, tmp_path / "cut", progress=stop, chunk=3)
    assert prepared(tmp_path / "rows.jsonl", tmp_path / "cut", chunk=3)[0] == whole
    assert [one.line for one in whole.dropped.rows] == [
        i + 1 for i, line in enumerate(rows) if line and not line["answer"]
    ]


def test_all_wrong_rows_are_in_the_manifest_and_ten_of_a_reason_are_told(tmp_path):
    rows = [row(), *[row(answer="")] * 1200, *[row(question="")] * 2]
    made, _ = prepared(write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "out")
    assert len(made.dropped.rows) == 1202
    shown = made.dropped.shown()
    assert {reason: len(lines) for reason, lines in shown.items()} == {
        "empty answer": 10,
        "empty question": 2,
    }
    assert shown["empty answer"][0] == "rows.jsonl, line 2 (rows-1): empty answer"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("[1, 2", "Expecting ',' delimiter"),
        ("[1] x", "Extra data"),
        ("{}", "does not begin with"),
        ("", "Expecting value"),
        ("[1,]", "Expecting value"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_json_file_that_is_no_list_says_where(tmp_path, data, says):
    (tmp_path / "rows.json").write_text(data)
    with pytest.raises(DataError, match=f"rows.json is not a JSON list of rows: .*{says}"):
        prepared(tmp_path / "rows.json", tmp_path / "out")


def test_a_dataset_without_a_good_row_tells_where_it_is_wrong(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [row(answer=True)])
    with pytest.raises(DataError, match=r"line 1 \(rows-0\): answer is bool, not text"):
        prepared(tmp_path / "rows.jsonl", tmp_path / "out")


def test_a_parquet_file_whose_pages_are_broken_is_named(tmp_path):
    names = [f"{i}.png" for i in range(200)]
    file = parquet(tmp_path / "rows.parquet", {"question": names, "answer": names, "image": names})
    data = bytearray(file.read_bytes())
    data[4:-2000] = bytes(len(data) - 2004)
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"rows\.parquet"):
        prepared(file, tmp_path / "out")
