"""Who pursues goals: our strategies, and the peers, behind one question and one answer.

Each is told the same start and then asked for batches; for floors each says what it would train.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from service.search import fronts
from service.search.goal_beliefs import Beliefs
from service.search.goal_decision import decide
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.strategies import propose

Ask = Callable[[Goal, MixtureSpace, Runs, int, int], FloatArray]
"""Goal, space, runs so far, how many, seed -> (n, m) mixtures to run."""


class Chosen(NamedTuple):
    """A mixture (m,) to train, and how likely it is said to keep all floors; None by who does not
    say."""

    weights: FloatArray
    stated: float | None = None


Choose = Callable[[Goal, MixtureSpace, Runs, int], Chosen]
"""Goal, space, runs so far, seed -> what it would train."""

MC_SAMPLES = 64
CANDIDATES = 2000


def _measured(goal: Goal, runs: Runs) -> tuple[FloatArray, FloatArray]:
    """(O, n) outputs of runs, and (O,) of the first, which is of equal weights."""
    outputs = goal.outputs(runs.benchmarks)
    return outputs, outputs[:, 0]


# --- ours -------------------------------------------------------------------------------------


def ours(strategy: str) -> tuple[Ask, Choose]:
    def ask(goal: Goal, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
        nothing = np.empty((0, space.m))
        found = propose(strategy, space, runs, nothing, n, seed, goal=goal)
        return np.array([item.weights for item in found])

    def choose(goal: Goal, space: MixtureSpace, runs: Runs, seed: int) -> Chosen:
        beliefs = Beliefs.fitted(strategy, goal, space, runs, seed)
        recommended = decide(beliefs, seed).recommended
        return Chosen(recommended.weights, recommended.together)

    return ask, choose


# --- BoTorch ----------------------------------------------------------------------------------


def _model(goal: Goal, runs: Runs) -> Any:
    """BoTorch's default Gaussian process of each output."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.model_list_gp_regression import ModelListGP
    from botorch.models.transforms import Standardize
    from gpytorch.mlls import SumMarginalLogLikelihood

    X = torch.tensor(runs.weights)
    outputs, _ = _measured(goal, runs)
    each = [
        SingleTaskGP(X, torch.tensor(y)[:, None], outcome_transform=Standardize(1)) for y in outputs
    ]
    model = ModelListGP(*each)
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    return model


def _botorch(goal: Goal, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
    """qLogNEHVI, or with floors qLogNEI with outcome constraints, over the simplex, or of a list
    over what was not run."""
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.optim import optimize_acqf, optimize_acqf_discrete
    from botorch.sampling.normal import SobolQMCNormalSampler

    from service.search.front_improvement import compile_nothing

    compile_nothing()
    torch.manual_seed(seed)
    model, baseline = _model(goal, runs), torch.tensor(runs.weights)
    outputs, uniform = _measured(goal, runs)
    sampler = SobolQMCNormalSampler(torch.Size([MC_SAMPLES]), seed=seed)
    acquisition: Any
    if goal.n_objectives > 1:
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model,
            torch.tensor(fronts.reference_of(outputs.T)),
            baseline,
            sampler,
            prune_baseline=True,
        )
    else:
        levels = goal.levels(uniform)
        acquisition = qLogNoisyExpectedImprovement(
            model,
            baseline,
            sampler,
            objective=GenericMCObjective(lambda Y, X=None: Y[..., 0]),
            constraints=[
                lambda Y, o=floor.output, level=float(level): level - Y[..., o]
                for floor, level in zip(goal.floors, levels, strict=True)
            ],
            prune_baseline=True,
        )
    m, listed = space.m, space.listed()
    if listed is not None:
        rows, _ = optimize_acqf_discrete(acquisition, n, torch.tensor(listed), X_avoid=baseline)
        return np.asarray(rows.numpy())
    bounds = torch.tensor([[0.0] * m, [1.0] * m], dtype=torch.float64)
    found, _ = optimize_acqf(
        acquisition,
        bounds,
        q=n,
        num_restarts=2,
        raw_samples=64,
        sequential=True,
        equality_constraints=[(torch.arange(m), torch.ones(m, dtype=torch.float64), 1.0)],
        options={"maxiter": 40},
    )
    return space.project(found.numpy())


def _botorch_choice(goal: Goal, space: MixtureSpace, runs: Runs, seed: int) -> Chosen:
    """The highest posterior mean where all floors hold with the probability asked, or the safest;
    floors at what the run of equal weights scored."""
    import torch

    model = _model(goal, runs)
    _, uniform = _measured(goal, runs)
    listed = space.listed()
    rng = np.random.default_rng(seed)
    X = space.sample(CANDIDATES, rng) if listed is None else listed
    X = np.vstack([X, space.project(runs.weights)])
    with torch.no_grad():
        belief = model.posterior(torch.tensor(X))
    mean, sd = belief.mean.numpy().T, np.sqrt(belief.variance.numpy().T)
    chances = np.array(
        [
            ndtr((mean[floor.output] - level) / np.maximum(sd[floor.output], 1e-9))
            for floor, level in zip(goal.floors, goal.levels(uniform), strict=True)
        ]
    )
    together = chances.prod(axis=0)
    enough = goal.is_enough(chances, together)
    merit = np.where(enough, mean[0], -np.inf) if enough.any() else together
    best = int(np.argmax(merit))
    return Chosen(X[best], float(together[best]))


# --- Optuna -----------------------------------------------------------------------------------


def _optuna(kind: str) -> Ask:
    """Weights are normalised logs of uniform numbers; the study is made anew from the runs."""

    def ask(goal: Goal, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        outputs, uniform = _measured(goal, runs)
        values = goal.values(outputs, uniform)
        broken = -goal.spare(outputs, uniform)
        constraints = (lambda trial: trial.user_attrs["broken"]) if goal.floors else None
        samplers: dict[str, Callable[[], Any]] = {
            "optuna-nsga2": lambda: optuna.samplers.NSGAIISampler(
                population_size=8, seed=seed, constraints_func=constraints
            ),
            "optuna-motpe": lambda: optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=6, constraints_func=constraints
            ),
        }
        study = optuna.create_study(directions=["maximize"] * len(values), sampler=samplers[kind]())
        names = [f"x{i}" for i in range(space.m)]
        uniforms = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        for weights, value, short in zip(runs.weights, values.T, broken.T, strict=True):
            x = np.clip(np.exp(-weights / max(weights.max(), 1e-9)), 1e-6, 1 - 1e-6)
            trial = optuna.trial.create_trial(
                params=dict(zip(names, map(float, x), strict=True)),
                distributions=uniforms,
                values=[float(v) for v in value],
                user_attrs={"broken": [float(v) for v in short]},
                system_attrs={"constraints": [float(v) for v in short]} if goal.floors else {},
            )
            study.add_trial(trial)
        found = []
        for _ in range(n):
            asked = study.ask(uniforms)
            part = -np.log(np.clip([asked.params[name] for name in names], 1e-12, 1 - 1e-12))
            found.append(part / part.sum())
        return space.project(np.array(found))

    return ask


# --- Ax ---------------------------------------------------------------------------------------


def _ax(goal: Goal, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
    """Ax's client and its default strategy, with objectives and outcome constraints of its own;
    floors at what the run of equal weights scored. The last weight is what the others leave."""
    from service.search.ax import begun, client_of, parameters, quiet
    from service.search.front_improvement import compile_nothing

    compile_nothing()
    outputs, uniform = _measured(goal, runs)
    names = [f"output{o}" for o in range(len(outputs))]
    levels = zip(goal.floors, goal.levels(uniform), strict=True)
    free = list(range(space.m - 1))
    client = client_of(space, Runs.none(space.m), np.empty((0, space.m)), seed)
    with quiet():
        client.configure_optimization(
            objective=", ".join(names[o] for o in goal.objectives),
            outcome_constraints=[f"{names[floor.output]} >= {level}" for floor, level in levels]
            or None,
        )
        for weights, scored in zip(runs.weights, outputs.T, strict=True):
            trial = client.attach_trial(parameters(weights, free))
            client.complete_trial(trial, dict(zip(names, map(float, scored), strict=True)))
        begun(client, seed)
        found = client.get_next_trials(max_trials=n).values()
    some = np.array([[float(one[f"w{i}"]) for i in free] for one in found])
    return space.project(np.column_stack([some, 1 - some.sum(axis=1)]))


def _tried_choice(goal: Goal, space: MixtureSpace, runs: Runs, seed: int) -> Chosen:
    """The best run of those that kept the floors, or the one least short."""
    outputs, uniform = _measured(goal, runs)
    return Chosen(runs.weights[goal.best_measured(outputs, uniform)])


def _random(goal: Goal, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
    return space.sample(n, np.random.default_rng(seed))


PURSUERS: dict[str, tuple[Ask, Choose]] = {
    "bayes-quadratic": ours("bayes-quadratic"),
    "gp": ours("gp"),
    "botorch": (_botorch, _botorch_choice),
    "optuna-motpe": (_optuna("optuna-motpe"), _tried_choice),
    "optuna-nsga2": (_optuna("optuna-nsga2"), _tried_choice),
    "ax": (_ax, _tried_choice),
    "random": (_random, _tried_choice),
}
OURS = ("bayes-quadratic", "gp")
SLOW = {"gp": 3, "botorch": 3, "ax": 1}
"""Those that take seconds a proposal have fewer seeds."""
