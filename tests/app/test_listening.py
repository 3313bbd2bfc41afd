"""The sockets that are listened on: every address of a name, one port, small buffers, clear refusals."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app import listening
from app.listening import AddressRefused


@pytest.fixture
def taken() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    listening.release(sockets)


def test_a_name_is_all_its_addresses_on_one_port(taken: list[socket.socket]) -> None:
    taken += listening.take("localhost", 0)
    hosts = {each.getsockname()[0] for each in taken}
    assert "127.0.0.1" in hosts
    assert {each.getsockname()[1] for each in taken} == {listening.port_of(taken)}


def test_connections_inherit_a_small_send_buffer(taken: list[socket.socket]) -> None:
    taken += listening.take("127.0.0.1", 0)
    taken[0].listen()
    with socket.create_connection(taken[0].getsockname()):
        accepted, _ = taken[0].accept()
        with accepted:  # The kernel doubles what was asked for.
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * listening.SEND_BUFFER


def test_an_address_that_listens_is_not_taken_again(taken: list[socket.socket]) -> None:
    taken += listening.take("127.0.0.1", 0)
    taken[0].listen()
    with pytest.raises(AddressRefused, match="is in use"):
        listening.take("127.0.0.1", listening.port_of(taken))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused, match=f"cannot listen on {host}: .*MODELBOX_HOST"):
        listening.take(host, 0)
