"""Stratified subsets: fixed, of the right size, with every kind's share."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.domains.subsets import stratified

KINDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=200)


@given(KINDS, st.integers(1, 250))
def test_a_subset_has_its_size_and_every_kind_its_share(kinds, n):
    ids = [f"row-{i}" for i in range(len(kinds))]
    chosen = stratified(ids, kinds, n)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(n, len(ids))
    whole, part = Counter(kinds), Counter(kinds[i] for i in chosen)
    for kind, size in whole.items():
        assert abs(part[kind] - len(chosen) * size / len(ids)) < 1


@given(KINDS, st.integers(1, 100), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(kinds, n, rng):
    rows = [(f"row-{i}", kind) for i, kind in enumerate(kinds)]
    shuffled = rows[:]
    rng.shuffle(shuffled)

    def taken(some):
        ids, strata = zip(*some, strict=True)
        return {ids[i] for i in stratified(ids, strata, n)}

    assert taken(rows) == taken(shuffled)


def test_a_subset_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        stratified(["a"], [""], 0)
