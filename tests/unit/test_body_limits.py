"""Each call takes as much as its fields may hold, and no more is read."""

from __future__ import annotations

import pytest

from service.http.limits import most_bytes
from service.settings import Settings

ALL = 8 * 2**20


@pytest.mark.parametrize(
    ("path", "kib"),
    [
        ("/studies/vlm/surrogates/auto/predict", 4096),
        ("/trials/7/heartbeat", 4096),
        ("/heartbeats", 4096),
        ("/trials/7/result", 2048),
        ("/trials/7/measurements", 2048),
        ("/studies", 2048),
        ("/studies/vlm/trials", 1024),
        ("/studies/vlm/trials/import", 8192),
        ("/ui/studies/vlm/trials/import", 8192),
        ("/studies/vlm/trials/bulk", 64),
        ("/ui/new", 256),
        ("/ui/studies/vlm/change", 256),
        ("/ui/sign-in", 16),
        ("/ui/sign-out", 16),
        ("/trials/next", 64),
        ("/trials/7/failure", 64),
        ("/trials/7", 64),
        ("/studies/vlm", 1024),
        ("/studies/vlm/clone", 1024),
        ("/studies/vlm/surrogates/auto", 64),
        ("/healthz", 64),
        ("/", 64),
        ("/anything/else", 64),
    ],
)
def test_a_body_has_the_limit_of_its_call(path, kib):
    assert most_bytes(path, ALL) == kib * 1024


def test_the_operators_limit_is_for_all_calls():
    assert most_bytes("/studies", 5000) == 5000


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("", ""),
        ("10.0.0.7", "10.0.0.7"),
        (" 10.0.0.0/8 , ::1,", "10.0.0.0/8,::1"),
        ("*", "*"),
        ("10.0.0.7,*", "*"),
    ],
)
def test_proxies_are_named_by_address_or_network(given, taken, monkeypatch):
    assert Settings(proxies=given).proxies == taken
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", given)
    assert Settings().proxies == taken


@pytest.mark.parametrize("given", ["proxy", "10.0.0.1/8", "10.0.0.300", "10.0.0.1:80"])
def test_what_is_no_proxys_address_is_refused(given):
    with pytest.raises(ValueError, match="no address or network"):
        Settings(proxies=given)
