"""Experts' weights, fetched from the store once and kept for the next merged model of their study.

<work folder>/experts/<study>/<trial id>/run.json      which run it is
<work folder>/experts/<study>/<trial id>/model/        its weights, or its adapters
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import structlog

from service.schemas import SUM_TOLERANCE, Expert
from trainer.job import ExpertWeights
from trainer.recipe import Recipe, RecipeError
from trainer.storage.remote import Manifest, Store, StoredRun
from trainer.storage.run_folder import RUN

MODEL = "model"
SPARE_BYTES = 10**9
"""That stay free beside experts."""


class _CannotBeHad(Exception):  # noqa: N818 - it is a state of things
    """An expert cannot be fetched here, or not yet."""


class _Wrong(Exception):  # noqa: N818
    """What is stored is not the expert that is wanted, wherever it is fetched."""


class Experts:
    """Fetches the experts of one merged model in a thread, so that the lease can be kept meanwhile.

    Args:
        folder: of the study's experts; those of other studies beside it are removed.
        make_room: removes what is not needed until so many bytes are free, and tells how many are.

    Attributes:
        weights: in the order asked for, once all are here.
        trouble: why they are not, in words.
        is_wrong: whether that is the same on every machine.
    """

    def __init__(
        self, store: Store, folder: Path, make_room: Callable[[int], int] | None = None
    ) -> None:
        self._store, self._folder, self._make_room = store, folder, make_room
        self.weights: tuple[ExpertWeights, ...] = ()
        self.trouble: str | None = None
        self.is_wrong = False
        self._thread: Thread | None = None

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Waits, at most so long."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def fetch(self, experts: Sequence[Expert], recipe: Recipe) -> None:
        """Begins to lay the experts here.

        Args:
            recipe: that they must have been trained by.
        """
        self._thread = Thread(
            target=self._run, args=(experts, recipe), name="modomodo-experts", daemon=True
        )
        self._thread.start()

    def _run(self, experts: Sequence[Expert], recipe: Recipe) -> None:
        try:
            self.weights = self._fetched(experts, recipe)
        except _CannotBeHad as trouble:
            self.trouble = str(trouble)
        except _Wrong as trouble:
            self.trouble, self.is_wrong = str(trouble), True
        except Exception as error:  # a store's library may raise anything
            self.trouble = f"experts cannot be fetched: {type(error).__name__}: {error}"

    def _fetched(self, experts: Sequence[Expert], recipe: Recipe) -> tuple[ExpertWeights, ...]:
        self._forget_other_studies()
        # 1. What is not here yet, and whether there is room for it.
        missing = [(one, *self._stored(one)) for one in experts if not self._place(one).is_dir()]
        self._see_to_room(sum(file.size for *_, whole in missing for file in whole.files))
        # 2. Each whole, or not at all.
        for expert, stored, manifest in missing:
            self._fetch_one(expert, stored, manifest)
        # 3. Whether they are what is wanted.
        for expert in experts:
            self._check(expert, recipe)
        return tuple(
            ExpertWeights(one.domain, self._place(one) / MODEL, one.steps) for one in experts
        )

    def _forget_other_studies(self) -> None:
        if self._folder.parent.is_dir():
            for other in self._folder.parent.iterdir():
                if other != self._folder:
                    shutil.rmtree(other, ignore_errors=True)

    def _place(self, expert: Expert) -> Path:
        return self._folder / str(expert.trial)

    def _stored(self, expert: Expert) -> tuple[StoredRun, Manifest]:
        """Where an expert lies, and what of it is wanted."""
        stored = self._store.at(expert.run)
        if stored is None:
            raise _CannotBeHad(f"{_called(expert)} is in another store than this worker's")
        whole = stored.finished()
        if whole is None:
            raise _CannotBeHad(f"{_called(expert)} is not in the store, or not yet")
        files = [
            file for file in whole.files if file.path == RUN or file.path.startswith(f"{MODEL}/")
        ]
        return stored, Manifest(step=whole.step, files=files)

    def _see_to_room(self, wanted: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        needed = wanted + SPARE_BYTES if wanted else 0
        free = shutil.disk_usage(self._folder).free
        if free < needed and self._make_room is not None:
            free = self._make_room(needed)
        if free < needed:
            raise _CannotBeHad(
                f"no room for the experts' weights: they need {needed / 1e9:.1f} GB, and "
                f"{free / 1e9:.1f} GB are free in {self._folder}"
            )

    def _fetch_one(self, expert: Expert, stored: StoredRun, manifest: Manifest) -> None:
        # A place of its own: the fetch of a trial that was lost meanwhile may still be under way.
        with TemporaryDirectory(
            prefix="incoming-", dir=self._folder, ignore_cleanup_errors=True
        ) as incoming:
            whole = Path(incoming) / "run"
            damaged = stored.fetch_finished(manifest, whole)
            if damaged is not None:
                raise _CannotBeHad(f"{_called(expert)} is damaged in the store: {damaged}")
            if not self._place(expert).is_dir():
                whole.replace(self._place(expert))
        structlog.get_logger().info("expert fetched", domain=expert.domain, trial=expert.trial)

    def _check(self, expert: Expert, recipe: Recipe) -> None:
        """Sees that it is the run of a domain alone, by the recipe of the merged model; a study
        that was changed since may call the domain otherwise, and have data of more."""
        place = self._place(expert)
        if not any((place / MODEL).glob("*.safetensors")):
            raise _Wrong(f"{_called(expert)} has no weights")
        try:
            run = json.loads((place / RUN).read_bytes())
            mixture, theirs = run["mixture"], Recipe.parse(run["recipe"], is_here=False)
        except (OSError, ValueError, KeyError, TypeError, RecipeError) as error:
            raise _Wrong(f"{_called(expert)} does not say which run it is: {error}") from error
        name = max(mixture, key=mixture.__getitem__)
        if mixture[name] < 1 - SUM_TOLERANCE:
            raise _Wrong(f"{_called(expert)} was trained on {', '.join(mixture)}")
        ours, there = (
            one.model_dump(mode="json", exclude={"speed", "data"}) for one in (recipe, theirs)
        )
        if name == expert.domain:
            ours["data"], there["data"] = (_data_of(one, name) for one in (recipe, theirs))
        for key, value in ours.items():
            if there[key] != value:
                raise _Wrong(
                    f"{_called(expert)} is of another recipe: {key} is {there[key]} there and "
                    f"{value} here"
                )


def _data_of(recipe: Recipe, domain: str) -> str | None:
    """The folder of a domain's data; None where the recipe draws it."""
    return None if recipe.data is None else recipe.data.domains.get(domain)


def _called(expert: Expert) -> str:
    return f"the expert of {expert.domain!r} (id {expert.trial}, {expert.run})"
