"""Requests to an address that a user chose leave only to public addresses.

The check sits where the socket is made, on the very address that is about to be connected to. So it holds for addresses in every spelling
(`127.1`, `0x7f000001`, `[::ffff:127.0.0.1]`), for names that lead inside, for names whose answer changes between two look-ups, and for
redirects; nothing has to be recognised in a URL. Networks that an operator allows are open.

The tables are written out rather than taken from `ipaddress.is_global`: that one differs between Python's patch releases, and is true for
multicast and for the ranges that carry an IPv4 address inside (NAT64, 6to4). Source: IANA's special-purpose address registries.
"""

import errno
import os
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from common.settings import Network

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
"""One entry of what `getaddrinfo` returns."""

SocketFactory = Callable[[AddressInfo], socket.socket]


class AddressRefused(PermissionError):
    """The address is not public, and no allowed network holds it.

    An `OSError`, because connecting then goes on with a name's other addresses; and with the same words for every address, because
    `aiohappyeyeballs` keeps the type only of failures that read alike.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, f"{os.strerror(errno.EACCES)}: the address is not public, and not in an allowed network")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is a unicast address of the public internet that stands for itself alone."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GLOBAL_UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def may_connect(host: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection to `host`, an address as `getaddrinfo` writes it, may be made."""
    address = ip_address(host)
    return is_public(address) or any(address in network for network in allowed)


def socket_factory(allowed: Sequence[Network]) -> SocketFactory:
    """For `aiohttp.TCPConnector(socket_factory=…)`: sockets for addresses that may be connected to. They raise `AddressRefused`."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if family not in _FAMILIES or not may_connect(address[0], allowed):
            raise AddressRefused
        return socket.socket(family=family, type=kind, proto=protocol)

    return make


_FAMILIES = (socket.AF_INET, socket.AF_INET6)

_NOT_PUBLIC_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and with it the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112: answered by whoever is nearest
        "192.52.193.0/24",  # automatic multicast tunnelling
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

_GLOBAL_UNICAST_6 = IPv6Network("2000::/3")
"""All that is assigned. Outside lie loopback, unspecified, IPv4-mapped and -compatible (`::/96`), NAT64 (`64:ff9b::/96` and
`64:ff9b:1::/48`), unique local, link-local, site-local and multicast addresses."""

_NOT_PUBLIC_6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, returned
        "3fff::/20",  # documentation
    )
)
