"""Listening sockets."""

import socket
from contextlib import closing

import pytest

from deployments.local.errors import StackError
from deployments.local.ports import listen, port_of


def test_zero_takes_a_free_port_on_loopback_only() -> None:
    with closing(listen(0, option="--api-port")) as listener:
        assert port_of(listener) > 0
        assert listener.getsockname()[0] == "127.0.0.1"
        with socket.create_connection(("127.0.0.1", port_of(listener)), timeout=2) as client:
            assert client.getpeername()[1] == port_of(listener)


def test_a_taken_port_names_the_port_and_the_option() -> None:
    with closing(listen(0, option="--api-port")) as listener:
        port = port_of(listener)
        with pytest.raises(StackError, match=f"port {port} is taken") as caught:
            listen(port, option="--prefect-port")
    assert "--prefect-port" in caught.value.hint


def test_a_port_can_be_taken_again_at_once() -> None:
    with closing(listen(0, option="--api-port")) as listener:
        port = port_of(listener)
    with closing(listen(port, option="--api-port")) as again:
        assert port_of(again) == port
