"""The paper's heuristics, worked by hand from its own seed rows (Table 2)."""

import csv
from pathlib import Path

import numpy as np
import pytest

from service.search.designs import seed_design
from service.search.heuristics import HeuristicOptions, alpha, coli, norm
from service.search.runs import Runs
from service.search.space import MixtureSpace

DOMAINS = ("coco", "lisa", "geoqav", "sat", "scienceqa")
TABLE = Path(__file__).parents[2] / "data" / "modomodo" / "table2.csv"


@pytest.fixture(scope="module")
def seeds():
    with TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if row["group"].startswith("seed")]
    weights = np.array([[float(row[f"w_{d}"]) for d in DOMAINS] for row in rows])
    out = np.array([float(row["out_score"]) for row in rows])
    return Runs(weights, out, np.full(11, 0.006), [float(row["in_score"]) for row in rows], out)


def test_the_seed_design_is_the_papers_eleven_mixtures(seeds):
    design = [point.weights for point in seed_design(MixtureSpace.simplex(DOMAINS))]
    assert {tuple(np.round(w, 9)) for w in design} == {tuple(np.round(w, 9)) for w in seeds.weights}


def test_norm_by_hand(seeds):
    # Exclude-one Out-Scores: coco .5146, lisa .4783, geoqav .4889, sat .4721, scienceqa .4930.
    # Lowest .4721, span .0425; scaled 1, .145882, .395294, 0, .491765;
    # raw .2 - .1 * scaled: .1, .185412, .160471, .2, .150824, sum .796706.
    expected = np.array([0.1, 0.185412, 0.160471, 0.2, 0.150824]) / 0.796706
    assert norm(seeds) == pytest.approx(expected, abs=1e-5)


def test_alpha_out_by_hand(seeds):
    # Out-Scores summed over the six runs that used each domain (single, four exclude-ones, all):
    # coco  .4589 + .4783 + .4889 + .4721 + .4930 + .4609 = 2.8521
    # lisa  .4219 + .5146 + .4889 + .4721 + .4930 + .4609 = 2.8514
    # geo   .4753 + .5146 + .4783 + .4721 + .4930 + .4609 = 2.8942
    # sat   .4915 + .5146 + .4783 + .4889 + .4930 + .4609 = 2.9272
    # sci   .4263 + .5146 + .4783 + .4889 + .4721 + .4609 = 2.8411
    scaled = (np.array([2.8521, 2.8514, 2.8942, 2.9272, 2.8411]) - 2.8411) / (2.9272 - 2.8411)
    assert alpha(seeds, 0.0) == pytest.approx(scaled / scaled.sum(), abs=1e-9)


def test_alpha_single_scales_only_the_runs_of_one_domain(seeds):
    # Without the singles' scores: the sums above less .4589, .4219, .4753, .4915, .4263.
    sums = np.array([2.3932, 2.4295, 2.4189, 2.4357, 2.4148])
    scaled = (sums - sums.min()) / (sums.max() - sums.min())
    assert alpha(seeds, 0.0, HeuristicOptions(alpha_single=0.0)) == pytest.approx(
        scaled / scaled.sum(), abs=1e-9
    )


def test_a_domain_left_out_gets_no_weight_and_scales_nothing(seeds):
    # The sums of alpha-out and the runs of norm as above, without coco's.
    no1 = HeuristicOptions(leave_out=(0,))
    scaled = (np.array([2.8514, 2.8942, 2.9272, 2.8411]) - 2.8411) / (2.9272 - 2.8411)
    assert alpha(seeds, 0.0, no1) == pytest.approx([0, *scaled / scaled.sum()], abs=1e-9)
    # Left: .4783, .4889, .4721, .4930; lowest .4721, span .0209; scaled .296651, .803828, 0, 1;
    # raw .170335, .119617, .2, .1, sum .589952.
    by_norm = np.array([0, 0.170335, 0.119617, 0.2, 0.1]) / 0.589952
    assert norm(seeds, no1) == pytest.approx(by_norm, abs=1e-5)
    everything = coli(seeds)
    assert coli(seeds, no1) == pytest.approx([0, *everything[1:] / everything[1:].sum()])


def test_alpha_balanced_lies_between_its_two_ends(seeds):
    ends = np.array([alpha(seeds, 1.0), alpha(seeds, 0.0)])
    middle = alpha(seeds, 0.5)
    assert np.all(middle >= ends.min(axis=0) - 1e-12)
    assert np.all(middle <= ends.max(axis=0) + 1e-12)


def test_coli_is_ridge_regression_on_who_was_used(seeds):
    # X'X of the seeds: 6 on the diagonal, 4 off it (three exclude-ones and all... of two domains).
    gram = np.full((5, 5), 4.0) + 2.0 * np.eye(5) + 1e-3 * np.eye(5)
    used = (seeds.weights > 0).astype(float)
    assert np.array_equal(used.T @ used, gram - 1e-3 * np.eye(5))
    sums = np.array([2.8521, 2.8514, 2.8942, 2.9272, 2.8411])
    coefficients = np.linalg.solve(gram, sums)
    assert coli(seeds) == pytest.approx(coefficients / coefficients.sum(), abs=1e-6)


def test_coli_divides_by_how_well_a_domain_is_known():
    # a, a, b, a+b score .6, .6, .4, .5: X'X = [[3, 1], [1, 2]], X'y = [1.7, .9],
    # inverse [[.4, -.2], [-.2, .6]], coefficients [.5, .2], over the diagonal [1.25, 1/3].
    X = np.array([[1.0, 0], [1, 0], [0, 1], [0.5, 0.5]])
    y = np.array([0.6, 0.6, 0.4, 0.5])
    expected = np.array([1.25, 1 / 3]) / (1.25 + 1 / 3)
    assert coli(Runs(X, y, y, y, y)) == pytest.approx(expected, abs=1e-3)


def test_a_missing_seed_does_not_speak_against_its_domain(seeds):
    # Every domain equally good in every run: with sums, coco would lose for its missing run.
    equal = Runs(
        seeds.weights, np.full(11, 0.5), seeds.noise_sd, np.full(11, 0.5), np.full(11, 0.5)
    )
    assert alpha(equal.subset(np.arange(11) != 0), 0.5) is None
    better = np.where(seeds.weights[:, 3] > 0, 0.6, 0.5)
    runs = Runs(seeds.weights, better, seeds.noise_sd, better, better)
    weights = alpha(runs.subset(np.arange(11) != 0), 0.5)
    assert int(np.argmax(weights)) == 3
    assert weights[0] > weights[3] / 10


def test_alpha_out_needs_no_in_scores(seeds):
    unknown = Runs(seeds.weights, seeds.score, seeds.noise_sd, np.full(11, np.nan), seeds.out_score)
    assert alpha(unknown, 0.0) == pytest.approx(alpha(seeds, 0.0))
    assert alpha(unknown, 1.0) is None


def test_replicates_count_as_one_run_with_their_mean(seeds):
    everything = [np.arange(11) == i for i in range(9)] + [np.arange(11) >= 9]
    averaged = seeds.averaged(everything)
    assert len(averaged) == 10
    assert averaged.score[-1] == pytest.approx(seeds.score[9:].mean())
    assert averaged.noise_sd[-1] == pytest.approx(0.006 / np.sqrt(2))


def test_without_enough_seeds_a_heuristic_says_nothing(seeds):
    some = seeds.subset(np.arange(11) < 7)
    assert norm(some) is None
    assert coli(seeds.subset(np.arange(11) < 1)) is None
    unknown = Runs(some.weights, some.score, some.noise_sd, np.full(7, np.nan), some.out_score)
    assert alpha(unknown, 0.5) is None


def test_seeds_of_one_and_two_domains_are_told_apart_once():
    assert len(seed_design(MixtureSpace.simplex(["a"]))) == 1
    assert len(seed_design(MixtureSpace.simplex(["a", "b"]))) == 3


def test_seeds_stay_within_bounds():
    space = MixtureSpace(DOMAINS, np.full(5, 0.1), np.full(5, 0.5))
    design = seed_design(space)
    assert all(space.contains(point.weights) for point in design)
    assert any("as near as the limits allow" in point.reason for point in design)
