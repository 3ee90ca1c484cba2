"""The rows of an order as the dataset that TRL and the reward functions read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import datasets

from trainer.adaptive import AnyOrder
from trainer.data import ItemSet
from trainer.prompts import StyleName, messages
from trainer.recipe import Recipe
from trainer.run.ahead import Ahead
from trainer.run.processors import PictureProcessor, scaled


class Prompts:
    """The rows of an order with the columns TRL and the reward functions read.

    Args:
        token_limit: tokens that a completion may have.
        processor: scales pictures to its cap, and processes them ahead where it keeps them.
        per_step: prompts of a step, of all processes.
        ahead: reads a step's rows in a thread while the one before is trained on.
    """

    def __init__(
        self,
        rows: Mapping[str, ItemSet],
        order: AnyOrder,
        style: StyleName,
        token_limit: int,
        *,
        processor: PictureProcessor | None = None,
        per_step: int = 1,
        ahead: bool = False,
    ) -> None:
        self.rows, self.order = rows, order
        self._style, self._token_limit, self._processor = style, token_limit, processor
        self._per_step = per_step
        # A step's rows are asked for once for each piece that it is cut into, and TRL's loader asks
        # for the next step's before this one is done.
        self._columns_of = Ahead(self._columns, 4 * per_step, in_thread=ahead)

    @classmethod
    def of_recipe(
        cls,
        recipe: Recipe,
        rows: Mapping[str, ItemSet],
        order: AnyOrder,
        processor: PictureProcessor,
        *,
        may_prefetch: bool = True,
    ) -> Self:
        """As a run of the recipe reads them."""
        return cls(
            rows,
            order,
            recipe.prompt,
            recipe.max_completion_tokens,
            processor=processor,
            per_step=recipe.prompts_per_step,
            # With `adaptive`, which samples the next step has follows from rewards not there yet.
            ahead=recipe.speed.prefetch and may_prefetch and recipe.adaptive is None,
        )

    def __getstate__(self) -> dict[str, Any]:
        # datasets tells transforms apart by their pickles; threads and pictures are in none.
        return {"order": self.order, "style": self._style, "token_limit": self._token_limit}

    def dataset(self) -> datasets.Dataset:
        """Decodes a row's images when the row is asked for: a domain may not fit into memory."""
        places = datasets.Dataset.from_dict({"place": list(range(len(self.order)))})
        return places.with_transform(self._batch)

    def close(self) -> None:
        """Ends the thread that reads ahead."""
        self._columns_of.close()

    def _batch(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        # A group's completions ask for the same row as often as there are of them.
        places = list(dict.fromkeys(batch["place"]))
        made = {place: self._columns_of.get(place) for place in places}
        self._columns_of.expect(
            place + self._per_step for place in places if place + self._per_step < len(self.order)
        )
        wanted = [made[place] for place in batch["place"]]
        return {name: [columns[name] for columns in wanted] for name in wanted[0]}

    def _columns(self, place: int) -> dict[str, Any]:
        domain, index = self.order.pick(place)
        items = self.rows[domain]
        row = items.rows[index]
        images = list(row.images)
        if self._processor is not None:
            images = [scaled(image, self._processor) for image in images]
            self._processor.prepare(images)
        return {
            "place": place,
            "prompt": messages(row, self._style),
            "images": images,
            "answer": row.answer,
            "answer_type": row.answer_type,
            "rule": items.rule,
            "extra": row.extra,
            "token_limit": self._token_limit,
            "domain": row.domain,
        }
