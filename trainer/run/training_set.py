"""The rows of an order as the dataset that TRL and the reward functions read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets

from trainer.data import ItemSet
from trainer.prompts import StyleName, messages
from trainer.sampler import Order


@dataclass(frozen=True, slots=True)
class Prompts:
    """The rows of an order with the columns TRL and the reward functions read."""

    rows: Mapping[str, ItemSet]
    order: Order
    style: StyleName
    token_limit: int
    """Tokens that a completion may have."""

    def dataset(self) -> datasets.Dataset:
        """Decodes a row's images when the row is asked for: a domain may not fit into memory."""
        places = datasets.Dataset.from_dict({"place": list(range(len(self.order.picks)))})
        return places.with_transform(self._batch)

    def _batch(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        # A group's completions ask for the same row as often as there are of them.
        made = {place: self._columns(place) for place in dict.fromkeys(batch["place"])}
        wanted = [made[place] for place in batch["place"]]
        return {name: [columns[name] for columns in wanted] for name in wanted[0]}

    def _columns(self, place: int) -> dict[str, Any]:
        domain, index = self.order.picks[place]
        items = self.rows[domain]
        row = items.rows[index]
        return {
            "place": place,
            "prompt": messages(row, self.style),
            "images": list(row.images),
            "answer": row.answer,
            "answer_type": row.answer_type,
            "rule": items.rule,
            "extra": row.extra,
            "token_limit": self.token_limit,
            "domain": row.domain,
        }
