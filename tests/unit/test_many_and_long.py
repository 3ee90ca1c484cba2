"""Many domains and long names: no two look alike, and what is small or long is put together."""

from __future__ import annotations

import numpy as np
import pytest

from service.dashboard import colours, words
from service.dashboard.assets import STATIC
from service.dashboard.charts import legibility
from service.dashboard.charts import mixtures as mixture_charts
from service.dashboard.charts.mixtures import Dot
from service.dashboard.rendering import TEMPLATES
from service.schemas import Score, StudySpec
from tests.support.dashboard import body

FORTY = [f"domain-{place:02}" for place in range(40)]
LONG = [f"a-very-long-name-of-a-domain-that-nobody-wants-to-read-{n:03}-v2" for n in range(1, 41)]


def study(domains=FORTY, **changes) -> StudySpec:
    return StudySpec.model_validate(body(domains=domains, **changes))


def dot(number: int, weights, value: float = 0.3, domains=FORTY) -> Dot:
    mixture = dict(zip(domains, map(float, weights), strict=True))
    return Dot(number, mixture, Score(value=value, se=0.01))


def dots(n: int, m: int = 40, seed: int = 0, concentration: float = 1.0) -> list[Dot]:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(m, concentration), n)
    return [dot(k, row, 0.3 + row[0], FORTY[:m]) for k, row in enumerate(rows, 1)]


def test_as_many_domains_as_a_study_may_have_all_look_different():
    looks = [colours.look(place) for place in range(64)]
    assert len({look.classes for look in looks}) == 64
    assert len({(look.colour, look.dash) for look in looks}) == 64
    assert len({(look.colour, look.symbol) for look in looks}) == 64


def test_every_hatching_is_drawn_in_bars_and_on_chips():
    css = (STATIC / "style.css").read_text()
    macros = (TEMPLATES / "_macros.html").read_text()
    for hatching in range(1, colours.HATCHINGS):
        assert f".chip.h{hatching} " in css
        assert f'<pattern id="hatch{hatching}"' in macros
    assert f"hatch{colours.HATCHINGS}" not in macros


def test_small_domains_are_put_together_at_the_end_and_none_is_lost():
    weights = np.r_[np.full(10, 0.095), np.full(30, 0.05 / 30)]
    found = colours.grouped(FORTY, dict(zip(FORTY, weights, strict=True)))
    assert [part.domain for part in found.parts] == FORTY[:10]
    assert [part.domain for part in found.other] == FORTY[10:]
    assert found.rest == pytest.approx(0.05)
    assert [part.start for part in found.parts] == pytest.approx([0.095 * k for k in range(10)])


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(np.full(40, 1 / 40), id="equal weights"),
        pytest.param(np.r_[0.996, np.full(4, 0.001), np.zeros(35)], id="few with weight"),
        pytest.param(np.r_[np.full(39, 0.9999 / 39), 0.0001], id="one small one"),
    ],
)
def test_where_little_would_be_won_every_domain_stands_by_itself(weights):
    found = colours.grouped(FORTY, dict(zip(FORTY, weights, strict=True)))
    assert found.other == []
    assert len(found.parts) == np.count_nonzero(weights)


def test_a_list_names_the_heaviest_and_counts_the_others():
    found = colours.grouped(FORTY, dict.fromkeys(FORTY, 1 / 40), 8)
    assert len(found.parts) == 8
    assert len(found.other) == 32


def test_long_names_keep_both_ends_and_are_told_apart():
    shown = words.short_names(LONG, 14)
    assert len(set(shown.values())) == len(LONG)
    assert all(len(short) <= 14 for short in shown.values())
    assert words.short_names(["coco", LONG[0]], 14)["coco"] == "coco"
    assert words.short_names(LONG[:1], 14)[LONG[0]] == "a-very-…001-v2"


def test_names_that_would_look_alike_have_their_place_in_the_list():
    alike = ["x" * 20 + "1" + "y" * 20, "x" * 20 + "2" + "y" * 20]
    assert list(words.short_names(alike, 9).values()) == ["xxxxxx…#1", "xxxxxx…#2"]


def test_charts_show_long_names_short_and_say_what_each_stands_for():
    drawn = [dot(k, row, domains=LONG[:3]) for k, row in enumerate(np.eye(3), 1)]
    triangle = mixture_charts.ternary(study(LONG[:3]), drawn, LONG[:3])["layout"]
    corner = triangle["ternary"]["aaxis"]["title"]["text"]
    assert len(corner) <= mixture_charts.CORNER_LETTERS
    assert triangle["meta"]["names"][corner] == LONG[0]
    lines = mixture_charts.parallel(study(LONG[:3]), drawn)["layout"]
    assert lines["xaxis"]["tickvals"] == LONG[:3]
    assert max(map(len, lines["xaxis"]["ticktext"])) <= mixture_charts.AXIS_LETTERS


@pytest.mark.parametrize(
    ("n", "m", "concentration", "said"),
    [
        (24, 5, 1.0, ""),
        (300, 17, 1.0, ""),
        (301, 5, 1.0, "301 lines hide each other."),
        (24, 40, 1.0, "Lines over 40 domains cannot be followed."),
        (24, 17, 0.03, "Most weights are so small that their lines lie on the ground."),
    ],
)
def test_lines_say_when_they_do_not_tell_mixtures_apart(n, m, concentration, said):
    drawn = dots(n, m, concentration=concentration)
    assert legibility.lines_trouble(study(FORTY[:m]), drawn) == said


def test_a_map_says_when_it_shows_too_little_of_the_distances():
    many = mixture_charts.distance_map(study(), dots(60))
    assert "too little to go by" in legibility.map_trouble(many)
    few = mixture_charts.distance_map(study(FORTY[:4]), dots(3, 4))
    assert legibility.map_trouble(few) == ""


def test_the_table_instead_of_lines_begins_with_what_the_best_runs_have_more_or_less_of():
    row = legibility.leanings(study(), dots(200))[0]
    assert row.domain == FORTY[0], "the score grows with its weight"
    assert row.in_best > row.in_top > row.in_others
    low = study(objective={"name": "out_score", "direction": "minimize"})
    assert legibility.leanings(low, dots(200))[0].in_top < 0.003
    assert len(legibility.leanings(study(), dots(1))) == 40


def test_the_table_instead_of_the_map_begins_with_the_best_and_then_what_is_like_it():
    drawn = [dot(1, np.eye(40)[3]), dot(2, np.eye(40)[0], 0.5), dot(3, np.r_[0.9, 0.1, [0] * 38])]
    found = legibility.neighbours(study(), drawn)
    assert [row.dot.number for row in found] == [2, 3, 1]
    assert [row.distance for row in found] == pytest.approx([0.0, 0.227, 1.0], abs=1e-3)
    assert found[1].heaviest == [(FORTY[0], 0.9), (FORTY[1], 0.1)]
