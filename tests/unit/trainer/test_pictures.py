"""Pictures that are processed once, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global IN_USE_CALLS, Pictures, torch
    import torch

    from trainer.run.pictures import IN_USE_CALLS, Pictures


def picture(shade: int, mode: str = "RGB") -> Image.Image:
    return Image.new("L", (4, 2), shade).convert(mode)


class Processing:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(image.convert("L").getpixel((0, 0)))
        return np.full((8, 16), self.seen[-1], dtype=np.float32), np.array([1, 2, 4])


SIZE = 8 * 16 * 4
"""Bytes of one."""


def test_a_picture_is_processed_once_however_many_copies_of_it_are_asked_for():
    process = Processing()
    pictures = Pictures(process, limit=10 * SIZE)
    first = pictures.get([picture(7), picture(7).copy(), picture(9)])
    again = pictures.get([picture(9), picture(7)])
    assert process.seen == [7, 9]
    assert [one.number for one in first] == [0, 0, 1]
    assert [one.number for one in again] == [1, 0]
    assert again[0].patches[0, 0] == 9


def test_images_of_one_look_but_another_kind_are_told_apart():
    process = Processing()
    pictures = Pictures(process, limit=10 * SIZE)
    pictures.get([picture(0), picture(0, "L"), picture(0).resize((2, 4))])
    assert len(process.seen) == 3
    pictures.get([picture(0, "P"), picture(0, "P")])
    assert len(process.seen) == 5, "those with a palette are not compared"


def test_the_oldest_go_when_there_are_too_many_but_none_that_is_in_use():
    process = Processing()
    pictures = Pictures(process, limit=2 * SIZE)
    pictures.get([picture(shade) for shade in range(5)])
    assert len(process.seen) == 5
    pictures.get([picture(0)])
    assert len(process.seen) == 5, "a batch larger than the limit stays while it is in use"
    for _ in range(IN_USE_CALLS):
        pictures.get([picture(0)])
    pictures.get([picture(4), picture(0)])
    assert len(process.seen) == 5
    pictures.get([picture(1)])
    assert process.seen[5:] == [1]


def test_features_are_computed_once_and_take_the_place_of_patches():
    pictures = Pictures(Processing(), limit=10 * SIZE)
    [one] = pictures.get([picture(3)])
    computed = []

    def compute(patches: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        computed.append(grid.tolist())
        return patches[:2] * 2

    for _ in range(2):
        features = pictures.features(one.number, compute, torch.device("cpu"))
        assert features.tolist() == [[6.0] * 16] * 2
    assert computed == [[[1, 2, 4]]]
    assert one.patches is None
    assert one.size == SIZE / 4


def test_a_picture_that_is_being_processed_in_a_thread_is_waited_for():
    begun, go_on = Event(), Event()
    process = Processing()

    def slow(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        begun.set()
        assert go_on.wait(10)
        return process(image)

    pictures = Pictures(slow, limit=10 * SIZE)
    with ThreadPoolExecutor(2) as threads:
        ahead = threads.submit(pictures.prepare, picture(3))
        assert begun.wait(10)
        asked = threads.submit(pictures.get, [picture(3)])
        go_on.set()
        ahead.result(10)
        assert asked.result(10)[0].patches[0, 0] == 3
    assert process.seen == [3]


def test_a_picture_that_cannot_be_processed_fails_for_all_and_may_be_tried_again():
    failing = [True]

    def process(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        if failing:
            failing.pop()
            raise ValueError("absolute aspect ratio")
        return Processing()(image)

    pictures = Pictures(process, limit=10 * SIZE)
    with pytest.raises(ValueError, match="aspect ratio"):
        pictures.get([picture(1)])
    assert pictures.get([picture(1)])[0].number == 0
