"""The processes of the demo and the benches."""

import socket

import pytest

from modomodo.errors import CommandFailed
from modomodo.extras import need
from modomodo.local import LocalFleet, free_port
from trainer.storage import files as storage_files


def test_a_taken_port_is_not_taken_twice():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) != taken


def test_a_port_that_is_chosen_is_none_of_those_of_outgoing_connections():
    # Linux gives these 32768 and up: /proc/sys/net/ipv4/ip_local_port_range
    chosen = {free_port() for _ in range(20)}
    assert len(chosen) > 1
    assert max(chosen) < 32768


def test_a_folder_that_is_a_file_is_refused_in_words(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        with (
            pytest.raises(CommandFailed, match="cannot use folder"),
            LocalFleet(folder, port=0),
        ):
            pass


def test_two_fleets_do_not_share_a_folder(tmp_path):
    of_another = storage_files.hold(tmp_path)
    with (
        pytest.raises(CommandFailed, match="another process is at work"),
        LocalFleet(tmp_path, port=0),
    ):
        pass
    of_another.close()


def test_a_missing_extra_is_named_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr("modomodo.extras.find_spec", lambda name: None)
    with pytest.raises(CommandFailed, match=r"pip install 'modomodo\[service,trainer\]'"):
        need("service", "trainer")


@pytest.mark.parametrize("keeps_runs", [False, True])
def test_workers_have_a_store_where_runs_are_to_be_kept(tmp_path, monkeypatch, keeps_runs):
    started = {}
    monkeypatch.setattr(LocalFleet, "_start", lambda _, name, said: started.update({name: said}))
    LocalFleet(tmp_path, port=0, keeps_runs=keeps_runs).start_workers(2, "toys")
    stores = [said[said.index("--store") + 1] for said in started.values() if "--store" in said]
    assert stores == ([str(tmp_path / "store")] * 2 if keeps_runs else [])
