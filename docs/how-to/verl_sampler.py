"""A sampler for verl that draws rows by the weights of a mixture.

verl makes it when its configuration has

    data:
      dataloader_num_workers: 0
      sampler: {class_path: verl_sampler.py, class_name: MixtureSampler, weights: {coco: 0.7, ...}}

A domain is drawn by its weight, then one of its rows that was not drawn before; the epoch ends when
the drawn domain has none left. A row's domain is its column `data_source`.
"""

import numpy as np
from verl.experimental.dataset.sampler import AbstractSampler


class MixtureSampler(AbstractSampler):
    def __init__(self, data_source, data_config):
        weights = dict(data_config["sampler"]["weights"])
        domains = np.asarray(data_source.dataframe["data_source"])
        missing = sorted(set(weights) - set(domains.tolist()))
        if missing:
            raise ValueError(f"no row has data_source {missing[0]!r}, which has a weight")
        self.order = draw(domains, weights, seed=data_config.get("seed") or 0)

    def __iter__(self):
        return iter(self.order)

    def __len__(self):
        return len(self.order)


def draw(domains, weights, seed):
    """Indices of rows in the order they are trained on; the same for the same seed."""
    rng = np.random.default_rng(seed)
    names = sorted(weights)
    share = np.array([weights[name] for name in names])
    unseen = {
        name: iter(rng.permutation(np.flatnonzero(domains == name)).tolist()) for name in names
    }
    order = []
    for name in rng.choice(names, size=len(domains), p=share / share.sum()):
        row = next(unseen[name], None)
        if row is None:
            break
        order.append(row)
    return order
