"""A sampler for verl that draws rows by the weights of a mixture.

verl makes it when its configuration has

    data:
      dataloader_num_workers: 0
      sampler: {class_path: verl_sampler.py, class_name: MixtureSampler, weights: {coco: 0.7, ...}}

or, in the place of weights, phases: [{prompts: 4000, weights: {...}}, ...] of a schedule.
A domain is drawn by its weight, then one of its rows that was not drawn before; the epoch ends when
the drawn domain has none left. A row's domain is its column `data_source`.
"""

import numpy as np
from verl.experimental.dataset.sampler import AbstractSampler


class MixtureSampler(AbstractSampler):
    def __init__(self, data_source, data_config):
        sampler = data_config["sampler"]
        domains = np.asarray(data_source.dataframe["data_source"])
        if "phases" in sampler:
            phases = [(each["prompts"], dict(each["weights"])) for each in sampler["phases"]]
        else:
            phases = [(len(domains), dict(sampler["weights"]))]
        named = {name for _, weights in phases for name in weights}
        missing = sorted(named - set(domains.tolist()))
        if missing:
            raise ValueError(f"no row has data_source {missing[0]!r}, which has a weight")
        self.order = draw(domains, phases, seed=data_config.get("seed") or 0)

    def __iter__(self):
        return iter(self.order)

    def __len__(self):
        return len(self.order)


def draw(domains, phases, seed):
    """Indices of rows in the order they are trained on; the same for the same seed."""
    rng = np.random.default_rng(seed)
    unseen = {
        name: iter(rng.permutation(np.flatnonzero(domains == name)).tolist())
        for name in sorted({name for _, weights in phases for name in weights})
    }
    order = []
    for prompts, weights in phases:
        names = sorted(weights)
        share = np.array([weights[name] for name in names])
        for name in rng.choice(names, size=prompts, p=share / share.sum()):
            row = next(unseen[name], None)
            if row is None:
                return order
            order.append(row)
    return order
