"""Which addresses a request that a user caused may go to."""

import random
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from common.public_address import AddressInfo, AddressRefused, is_public, may_connect, socket_factory

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2003::1",
]

REFUSED = {
    "unspecified": ["0.0.0.0", "::"],
    "this network": ["0.0.0.1", "0.255.255.255"],
    "private": ["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"],
    "unique local": ["fc00::1", "fd12:3456:789a::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    "site-local": ["fec0::1"],
    "loopback": ["127.0.0.1", "127.0.0.53", "127.255.255.255", "::1"],
    "link-local": ["169.254.0.1", "169.254.255.255", "fe80::1", "fe80::1%1", "febf::1"],
    "cloud metadata": ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"],
    "carrier-grade NAT": ["100.64.0.0", "100.127.255.255"],
    "protocol assignments": ["192.0.0.1", "192.0.0.170", "192.0.0.255", "2001::ffff:1", "2001:1::1"],
    "documentation": ["192.0.2.1", "198.51.100.7", "203.0.113.255", "2001:db8::1", "3fff::1", "3fff:fff::1"],
    "benchmarking": ["198.18.0.0", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1", "ff05::1:3"],
    "reserved": ["240.0.0.1", "254.1.2.3", "4000::1", "e000::1"],
    "broadcast": ["255.255.255.255"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"],
    "IPv4-translated": ["::ffff:0:127.0.0.1"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8", "::7f00:1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "64:ff9b:1:ffff::1"],
    "6to4": ["2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1"],
    "6to4 relay": ["192.88.99.1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1"],
    "ORCHID": ["2001:10::1", "2001:20::1"],
    "discard-only": ["100::1", "100:0:0:1::1"],
    "segment routing": ["5f00::1"],
    "6bone": ["3ffe::1"],
    "anycast of no one in particular": ["192.31.196.1", "192.175.48.1", "192.52.193.1", "2620:4f:8000::1"],
}


def info(address: str, family: socket.AddressFamily) -> AddressInfo:
    rest = (0, 0) if family is socket.AF_INET6 else ()
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443, *rest)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Addresses of the public internet are open, up to the very edge of what is not."""
    assert is_public(ip_address(address))
    assert may_connect(address, ())


@pytest.mark.parametrize(("kind", "address"), [(kind, address) for kind, addresses in REFUSED.items() for address in addresses])
def test_not_public(kind: str, address: str) -> None:
    """What is not public, or stands for another address, is refused."""
    assert not is_public(ip_address(address)), kind
    assert not may_connect(address, ())


def test_stricter_than_the_standard_library() -> None:
    """Whatever Python's own tables know to be private or otherwise special is refused too."""
    chance = random.Random(7)  # noqa: S311 - samples that are the same every time
    samples: list[IPv4Address | IPv6Address] = [IPv4Address(chance.getrandbits(32)) for _ in range(20_000)]
    samples += [IPv6Address(chance.getrandbits(125) | 1 << 125) for _ in range(20_000)]
    samples += [IPv6Address(chance.getrandbits(128)) for _ in range(20_000)]
    wrongly_open = [
        address
        for address in samples
        if is_public(address)
        and (address.is_private or address.is_loopback or address.is_link_local or address.is_multicast or address.is_reserved)
    ]
    assert wrongly_open == []


def test_allowed_networks_are_open() -> None:
    """An operator's networks are open, and nothing else becomes so."""
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert may_connect("10.1.2.3", allowed)
    assert may_connect("fd00::1", allowed)
    assert not may_connect("10.2.0.1", allowed)
    assert not may_connect("::ffff:10.1.2.3", allowed)


def test_a_socket_for_a_public_address() -> None:
    """The factory makes the socket that was asked for."""
    with socket_factory(())(info("1.1.1.1", socket.AF_INET)) as made:
        assert (made.family, made.type, made.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


@pytest.mark.parametrize(
    "asked",
    [
        info("127.0.0.1", socket.AF_INET),
        info("::1", socket.AF_INET6),
        info("fe80::1%lo", socket.AF_INET6),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/docker.sock",)),
    ],
)
def test_no_socket_for_another(asked: AddressInfo) -> None:
    """The factory makes none for an address that is not public, nor for anything but IP."""
    with pytest.raises(AddressRefused):
        socket_factory(())(asked)


def test_refusals_read_alike() -> None:
    """No refusal names its address: connecting to a name with several addresses keeps the error's type only when all read the same."""
    assert str(AddressRefused()) == str(AddressRefused())
    assert "not public" in str(AddressRefused())
