"""Pictures as models read them: processed once each, whoever asks, and kept for the next time.

A group of completions shares its picture, and so do the passes over it (drawing, reference, policy)
and evaluations of one benchmark at several steps. Pictures are known by their content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

IN_USE_CALLS = 4
"""Calls of a processor whose pictures are kept whatever the limit: a step makes two and an
evaluation one a batch, and the next one may be prepared meanwhile."""

Process = Callable[[Image], tuple[np.ndarray, np.ndarray]]
"""An image to its patches, shape (patches, numbers), and its grid: frames, rows, columns."""
Features = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Patches and grid, shape (1, 3), to what a vision tower makes of them, shape (tokens, width)."""


@dataclass(slots=True)
class Picture:
    """What is kept of an image: its patches until its features are known."""

    number: int
    grid: np.ndarray
    patches: np.ndarray | None
    features: torch.Tensor | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        patches = 0 if self.patches is None else self.patches.nbytes
        return patches + (0 if self.features is None else self.features.nbytes)


class Pictures:
    """Processed pictures, those last used; safe to ask from several threads.

    Args:
        process: makes patches of an image, alone.
        limit: bytes that stay, beside what is in use.
    """

    stands_for_patches = False
    """Whether a number stands for a picture's patches, because who reads them has its features."""

    def __init__(self, process: Process, limit: float) -> None:
        self._process, self._limit = process, limit
        self._known: OrderedDict[Any, Future[Picture]] = OrderedDict()
        self._by_number: dict[int, Picture] = {}
        self._in_use: deque[frozenset[Any]] = deque(maxlen=IN_USE_CALLS)
        self._numbers, self._lock, self._size = count(), Lock(), 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Pictures:
        return self  # a processor is copied to be saved, and its pictures are not

    def prepare(self, image: Image) -> None:
        """Processes a picture that will be asked for."""
        self._get(_key(image), image)

    def get(self, images: Sequence[Image]) -> list[Picture]:
        """The processed pictures, which stay for the next calls."""
        keys = [_key(image) for image in images]
        found = [self._get(key, image) for key, image in zip(keys, images, strict=True)]
        with self._lock:
            self._in_use.append(frozenset(keys))
            for key in keys:
                if key in self._known:
                    self._known.move_to_end(key)
            self._drop_old()
        return found

    def features(self, number: int, compute: Features, device: torch.device) -> torch.Tensor:
        """A picture's features, computed the first time, kept in host memory."""
        picture = self._by_number[number]
        if picture.features is None:
            assert picture.patches is not None  # noqa: S101 - they go when features come
            before = picture.size
            grid = torch.from_numpy(picture.grid)[None]
            found = compute(torch.from_numpy(picture.patches).to(device), grid.to(device))
            picture.features, picture.patches = found.to("cpu"), None
            with self._lock:
                self._size += picture.size - before
            return found
        return picture.features.to(device)

    def _get(self, key: Any, image: Image) -> Picture:
        with self._lock:
            known = self._known.get(key)
            mine: Future[Picture] = Future()
            if known is None:
                self._known[key] = mine
        if known is not None:
            return known.result()
        try:
            patches, grid = self._process(image)
        except BaseException as error:
            with self._lock:
                del self._known[key]
            mine.set_exception(error)
            raise
        picture = Picture(next(self._numbers), grid, patches)
        with self._lock:
            self._by_number[picture.number] = picture
            self._size += picture.size
        mine.set_result(picture)
        return picture

    def _drop_old(self) -> None:
        used = frozenset().union(*self._in_use)
        for key in list(self._known):
            if self._size <= self._limit:
                return
            known = self._known[key]
            if key in used or not known.done():
                continue
            del self._known[key]
            picture = known.result()
            del self._by_number[picture.number]
            self._size -= picture.size


def _key(image: Image) -> Any:
    """What makes two images one picture; each of a rarer kind is a picture of its own."""
    if image.mode not in ("RGB", "L"):
        return object()
    content = hashlib.blake2b(image.tobytes(), digest_size=20).digest()
    return image.mode, image.size, content
