"""Addresses at random in all the ways that they can be written: what is refused plainly is refused in disguise."""

import ipaddress
import random
from collections.abc import Callable

import pytest

from agents.egress.addresses import REFUSED_NETWORKS, refusal
from agents.egress.guard import Guard
from agents.egress.outgoing import parse_url
from agents.egress.policy import EgressPolicy
from agents.errors import EgressRefused

pytestmark = pytest.mark.case(15)

V4 = ipaddress.IPv4Address
SEED = 20_261_121
INNER_V4 = [
    network for text, _ in REFUSED_NETWORKS if isinstance(network := ipaddress.ip_network(text), ipaddress.IPv4Network)
]
INNER_V6 = [
    network for text, _ in REFUSED_NETWORKS if isinstance(network := ipaddress.ip_network(text), ipaddress.IPv6Network)
]


def two_parts(address: V4) -> str:
    return f"{int(address) >> 24}.{int(address) & 0xFFFFFF}"


def three_parts(address: V4) -> str:
    return f"{int(address) >> 24}.{int(address) >> 16 & 0xFF}.{int(address) & 0xFFFF}"


SPELLED: dict[str, Callable[[V4], str]] = {
    "plain": str,
    "decimal": lambda address: str(int(address)),
    "hexadecimal": lambda address: hex(int(address)),
    "octal": lambda address: f"0{int(address):o}",
    "hexadecimal parts": lambda address: ".".join(map(hex, address.packed)),
    "padded": lambda address: ".".join(f"0x{part:08X}" for part in address.packed),
    "two parts": two_parts,
    "three parts": three_parts,
    "final dot": lambda address: f"{address}.",
    "fullwidth": lambda address: str(address).translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)}),
    "mapped": lambda address: f"[::ffff:{address}]",
    "mapped, in hexadecimal": lambda address: f"[::ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}]",
    "compatible": lambda address: f"[::{address}]",
    "translated": lambda address: f"[::ffff:0:{address}]",
    "NAT64": lambda address: f"[64:ff9b::{address}]",
    "local NAT64": lambda address: f"[64:ff9b:1::{address}]",
    "6to4": lambda address: f"[{ipaddress.IPv6Address(0x2002 << 112 | int(address) << 80 | 1)}]",
    "Teredo": lambda address: f"[{ipaddress.IPv6Address(0x20010000 << 96 | (int(address) ^ 0xFFFFFFFF))}]",
    "zone": lambda address: f"[::ffff:{address}%25lo]",
}


async def never(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


def some_of(chance: random.Random, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> list[int]:
    first, last = int(network.network_address), int(network.broadcast_address)
    return [first, last, *(chance.randint(first, last) for _ in range(5))]


@pytest.mark.parametrize("notation", SPELLED)
async def test_an_inner_address_is_refused_however_it_is_written(notation: str) -> None:
    chance = random.Random(SEED)
    guard = Guard(EgressPolicy(), never)
    for network in INNER_V4:
        for number in some_of(chance, network):
            host = SPELLED[notation](V4(number))
            with pytest.raises(EgressRefused):
                guard.check_url(parse_url(f"http://{host}/"))


@pytest.mark.parametrize(
    "notation", [name for name in SPELLED if "NAT64" in name or name in ("mapped", "6to4", "Teredo")]
)
async def test_a_name_server_cannot_answer_with_it_in_disguise(notation: str) -> None:
    chance = random.Random(SEED)
    for network in INNER_V4:
        answers = [SPELLED[notation](V4(number)).strip("[]") for number in some_of(chance, network)]

        async def answering(host: str, port: int, answers: list[str] = answers) -> list[str]:
            return answers

        with pytest.raises(EgressRefused):
            await Guard(EgressPolicy(), answering).addresses("disguised.example", 80)


def test_all_of_each_refused_network_is_refused() -> None:
    chance = random.Random(SEED)
    for network in (*INNER_V4, *INNER_V6):
        assert all(refusal(ipaddress.ip_address(each)) for each in map(network[0].__class__, some_of(chance, network)))
