"""Which addresses of the network are open to everybody, so that a request to one reveals nothing of our own network."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_CLOSED = [
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # a cloud's own service for its virtual machines, at an address that looks public
        "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20", "5f00::/16",
        "fec0::/10",
    )
]  # fmt: skip
"""What Python's own lists, which change from version to version, do not all know of."""


def read_address(text: str) -> Address | None:
    """Return the address that `text` spells, brackets and zone left off, or None when it is a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Say whether `address` is one of the open network: not private, loopback, link-local, multicast or reserved.

    An IPv6 address that only wraps an IPv4 one (mapped, 6to4, NAT64) is as open as that.
    """
    inner = _wrapped(address) if isinstance(address, IPv6Address) else None
    return _is_open(address if inner is None else inner)


def _is_open(address: Address) -> bool:
    is_special = address.is_multicast or address.is_reserved or any(address in network for network in _CLOSED)
    return address.is_global and not is_special


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside, if that is all there is to it."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
