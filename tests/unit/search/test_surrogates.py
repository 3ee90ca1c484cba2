"""Surrogates against closed forms and independent references."""

import numpy as np
import pytest

from service.search.diagnostics import diagnose, effects
from service.search.leave_one_out import leave_one_out
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates import SURROGATES, fit
from service.search.surrogates.quadsurface import features

SPACE = MixtureSpace.simplex(["a", "b", "c"])
ALONE = np.array([0.3, 0.5, 0.4])
SYNERGY = {(0, 1): 0.4, (0, 2): -0.2, (1, 2): 0.1}


def quadratic(X):
    return X @ ALONE + sum(b * X[:, i] * X[:, j] for (i, j), b in SYNERGY.items())


def runs_of(X, y, sd=0.01):
    return Runs(X, y, np.full(len(y), sd), y, y)


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    X = SPACE.sample(20, rng)
    return runs_of(X, quadratic(X) + 0.01 * rng.normal(size=20))


def test_quadsurface_recovers_a_quadratic_exactly():
    X = SPACE.sample(30, np.random.default_rng(1))
    fitted = fit("quadsurface", SPACE, runs_of(X, quadratic(X)), seed=0)
    new = SPACE.sample(10, np.random.default_rng(2))
    mean, sd = fitted.predict(new)
    assert mean == pytest.approx(quadratic(new), abs=1e-9)
    assert np.all(sd < 1e-9)


def test_quadsurface_has_the_31_columns_of_the_paper_for_five_domains():
    assert features(np.full((1, 5), 0.2)).shape == (1, 31)


def test_quadsurface_is_least_squares_of_one_of_its_splits(noisy):
    fitted = fit("quadsurface", SPACE, noisy, seed=3)
    rng = np.random.default_rng(3)
    candidates = []
    for _ in range(5):
        train = rng.permutation(20)[4:]
        F = features(noisy.weights)[train]
        candidates.append(np.linalg.pinv(F) @ noisy.score[train])
    assert any(np.allclose(fitted.coefficients, c, atol=1e-6) for c in candidates)


def test_effects_are_the_scheffe_terms_of_a_quadratic():
    X = SPACE.sample(30, np.random.default_rng(1))
    found = effects(SPACE, fit("quadsurface", SPACE, runs_of(X, quadratic(X)), seed=0))
    assert [e.mean for e in found.alone] == pytest.approx(ALONE.tolist(), abs=1e-8)
    assert {pair: e.mean for pair, e in found.synergy.items()} == pytest.approx(SYNERGY, abs=1e-7)


@pytest.fixture(scope="module")
def process(noisy):
    return fit("gp", SPACE, noisy, seed=0)


def gp_algebra(fitted, noisy):
    """K, y and the kernel of a fitted process, for writing its posterior down by hand."""
    import torch

    model = fitted.model
    kernel = lambda A, B: model.covar_module(A, B).to_dense()  # noqa: E731
    X = torch.as_tensor(noisy.weights)
    K = kernel(X, X) + model.likelihood.noise * torch.eye(len(X), dtype=X.dtype)
    return model, kernel, X, K


def test_the_process_predicts_by_the_textbook_formula(noisy, process):
    import torch

    fitted = process
    new = SPACE.sample(6, np.random.default_rng(5))
    with torch.no_grad():
        model, kernel, X, K = gp_algebra(fitted, noisy)
        Z = torch.as_tensor(new)
        c = model.mean_module.constant
        y = (torch.as_tensor(noisy.score) - fitted.centre) / fitted.scale
        mean = c + kernel(Z, X) @ torch.linalg.solve(K, y - c)
        covariance = kernel(Z, Z) - kernel(Z, X) @ torch.linalg.solve(K, kernel(X, Z))
    belief = fitted.posterior(new)
    assert belief.mean == pytest.approx(fitted.centre + fitted.scale * mean.numpy(), abs=1e-6)
    assert belief.covariance == pytest.approx(fitted.scale**2 * covariance.numpy(), abs=1e-6)
    ours = fitted.model.posterior(torch.as_tensor(new))  # GPyTorch's own way there
    assert belief.mean == pytest.approx(
        fitted.centre + fitted.scale * ours.mean[:, 0].detach().numpy(), abs=1e-6
    )
    mean_alone, sd_alone = fitted.predict(new)
    assert mean_alone == pytest.approx(belief.mean, abs=1e-8)
    assert sd_alone == pytest.approx(belief.sd, abs=1e-5)


def test_leave_one_out_of_the_process_is_what_a_process_without_the_run_predicts(noisy, process):
    import torch

    fitted = process
    mean, sd = fitted.leave_one_out()
    with torch.no_grad():
        model, kernel, X, K = gp_algebra(fitted, noisy)
        c = model.mean_module.constant
        y = (torch.as_tensor(noisy.score) - fitted.centre) / fitted.scale
        for i in (0, 7, 19):
            others = torch.arange(20) != i
            k = kernel(X[i : i + 1], X[others])
            part = K[others][:, others]
            m = c + k @ torch.linalg.solve(part, y[others] - c)
            v = K[i, i] - (k @ torch.linalg.solve(part, k.T))[0, 0]
            assert mean[i] == pytest.approx(fitted.centre + fitted.scale * m.item(), abs=1e-6)
            assert sd[i] == pytest.approx(fitted.scale * v.sqrt().item(), rel=1e-4)


def test_leave_one_out_of_quadsurface_is_a_fit_to_the_other_runs(noisy):
    mean, sd = fit("quadsurface", SPACE, noisy, seed=0).leave_one_out()
    for i in (0, 7, 19):
        others = fit("quadsurface", SPACE, noisy.subset(np.arange(20) != i), seed=0)
        expected_mean, expected_sd = others.predict(noisy.weights[i : i + 1])
        assert (mean[i], sd[i]) == (pytest.approx(expected_mean[0]), pytest.approx(expected_sd[0]))


def test_figures_of_leave_one_out_by_hand():
    class Foreseen:
        def leave_one_out(self):
            return np.array([0.2, 0.3, 0.5, 0.4]), np.full(4, 0.1)

    # Residuals .1, 0, .1, -.2: squares sum to .06; scores about their mean .35: .09.
    # 1.645 sd is .1645, so three of four lie inside.
    runs = runs_of(SPACE.sample(4, np.random.default_rng(0)), np.array([0.3, 0.3, 0.6, 0.2]))
    loo = leave_one_out(runs, Foreseen())
    assert loo.r2 == pytest.approx(1 - 0.06 / 0.09)
    assert loo.rmse == pytest.approx(np.sqrt(0.06 / 4))
    assert loo.coverage_90 == pytest.approx(0.75)
    # Gaussian: log(sd sqrt(2 pi)) + mean square / (2 sd^2).
    assert loo.nlpd == pytest.approx(np.log(0.1 * np.sqrt(2 * np.pi)) + 0.015 / 0.02)
    # Ranks of scores 2.5 2.5 4 1 and of predictions 1 2 4 3.
    ranks = np.corrcoef([2.5, 2.5, 4, 1], [1, 2, 4, 3])[0, 1]
    assert loo.spearman == pytest.approx(ranks)


@pytest.mark.usefixtures("short_fits")
def test_the_process_never_holds_runs_to_be_more_exact_than_their_sampling_error(noisy):
    loud = runs_of(noisy.weights, noisy.score, sd=0.05)
    assert fit("gp", SPACE, loud, seed=0).noise_sd >= 0.05


@pytest.mark.usefixtures("short_fits")
def test_the_process_trusts_a_run_of_many_samples_more(noisy):
    X = np.vstack([noisy.weights, [[0.2, 0.3, 0.5]], [[0.2, 0.3, 0.5]]])
    y = np.concatenate([noisy.score, [0.5, 0.3]])
    sd = np.concatenate([np.full(20, 0.01), [0.001, 0.1]])
    fitted = fit("gp", SPACE, Runs(X, y, sd, y, y), seed=0)
    turned = fit("gp", SPACE, Runs(X, y, sd[[*range(20), 21, 20]], y, y), seed=0)
    at = np.array([[0.2, 0.3, 0.5]])
    assert fitted.predict(at)[0][0] > turned.predict(at)[0][0]


@pytest.mark.usefixtures("short_fits")
def test_unknown_sampling_errors_leave_a_process_that_can_be_used(noisy):
    unknown = runs_of(noisy.weights, noisy.score, sd=np.nan)
    mean, sd = fit("gp", SPACE, unknown, seed=0).predict(noisy.weights)
    assert np.all(np.isfinite(mean) & np.isfinite(sd))


@pytest.mark.parametrize(
    "name",
    # LightGBM learns its thousand trees without each run in `test_comparison`.
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "lightgbm" else [])
        for name in SURROGATES
    ],
)
def test_a_surrogate_tells_good_mixtures_from_bad_ones(name):
    rng = np.random.default_rng(4)
    X, new = SPACE.sample(40, rng), SPACE.sample(100, rng)
    fitted = fit(name, SPACE, runs_of(X, quadratic(X) + 0.005 * rng.normal(size=40)), seed=0)
    mean, sd = fitted.predict(new)
    assert np.corrcoef(mean, quadratic(new))[0, 1] > 0.97
    assert np.mean(np.abs(mean - quadratic(new)) < 3 * np.maximum(sd, fitted.noise_sd)) > 0.9


@pytest.mark.parametrize("name", SURROGATES)
def test_too_few_runs_are_refused_in_words(name):
    with pytest.raises(ValueError, match=r"needs at least \d+ completed runs; so far there are 0"):
        fit(name, SPACE, Runs.none(3), seed=0)


def test_an_unknown_surrogate_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="known: auto, bayes-quadratic, gp"):
        fit("oracle", SPACE, Runs.none(3), seed=0)


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize(
    ("n", "name"),
    [
        (n, name)
        for n in (2, 3, 4, 8)
        for name in SURROGATES
        # Processes of any number of runs are in the slow test below.
        if name not in ("gp", "auto") or (name, n) in (("gp", 2), ("auto", 8))
    ],
)
def test_few_or_equal_runs_are_diagnosed_without_figures_that_mean_nothing(name, n):
    assert_diagnosed(name, n)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gp", "auto"])
@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_so_they_are_where_processes_are_fitted_in_as_many_steps_as_they_need(name, n):
    assert_diagnosed(name, n)


def assert_diagnosed(name, n):
    n = max(n, SURROGATES[name]().min_runs)
    X = SPACE.sample(n, np.random.default_rng(n))
    for scores in (quadratic(X), np.full(n, 0.5)):
        found = diagnose(name, SPACE, runs_of(X, scores), seed=0)
        figures = [found.loo.r2, found.loo.rmse, found.loo.nlpd, found.best.mean, found.best.sd]
        assert all(figure is None or np.isfinite(figure) for figure in figures)
        assert SPACE.contains(found.best.weights)


def test_messages_say_what_the_runs_cannot_tell():
    X = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]])
    messages = " ".join(diagnose("quadsurface", SPACE, runs_of(X, quadratic(X)), 0).messages)
    assert (
        "4 runs cannot identify the 6 terms of a quadratic in 3 domains: the pairs a*c, b*c rest"
        in messages
    )
    assert "No mixture was run twice" in messages


def test_the_best_mixture_follows_the_direction():
    X = SPACE.sample(30, np.random.default_rng(1))
    runs = runs_of(X, quadratic(X))
    high = diagnose("quadsurface", SPACE, runs, 0, "maximize").best
    low = diagnose("quadsurface", SPACE, runs, 0, "minimize").best
    assert high.mean > runs.score.max() - 1e-3
    assert low.mean < runs.score.min() + 1e-3
