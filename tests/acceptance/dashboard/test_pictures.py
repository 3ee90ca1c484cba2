"""The pictures of the documentation are made by a command."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.support import browser, dashboard_pictures
from tests.support.dashboard import create, fill

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_command_takes_every_page_in_small_files(service, name, tmp_path):
    if browser.find() is None:
        pytest.skip("NOT RUN: no Chromium found; `python -m tests.support.browser` installs one")
    study = create(service.client, name=name)
    fill(service.client, study, 6)
    taken = list(dashboard_pictures.take(service.url, study, tmp_path))
    assert [file.stem for file in taken] == [
        f"dashboard-{picture.name}" for picture in dashboard_pictures.PICTURES
    ]
    for file, picture in zip(taken, dashboard_pictures.PICTURES, strict=True):
        assert file.stat().st_size <= dashboard_pictures.MOST_BYTES
        with Image.open(file) as shown:
            assert shown.width == picture.scale * picture.width


def test_a_study_without_runs_is_refused(service, name, tmp_path):
    if browser.find() is None:
        pytest.skip("NOT RUN: no Chromium found; `python -m tests.support.browser` installs one")
    study = create(service.client, name=name)
    with pytest.raises(SystemExit, match="no run is completed"):
        list(dashboard_pictures.take(service.url, study, tmp_path))
