"""Addresses: what a webhook may reach, and what only looks as if it might."""

import ipaddress

import pytest

from sessions.models.addresses import is_public, read_address

PRIVATE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "fec0::1", "2001::1", "64:ff9b:1::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:1::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"]


@pytest.mark.parametrize("text", PRIVATE)
def test_what_belongs_to_a_network_of_ones_own_is_not_public(text):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_what_belongs_to_the_open_network_is(text):
    assert is_public(ipaddress.ip_address(text))


def test_an_address_is_read_with_brackets_and_zone_and_a_name_is_none():
    assert read_address("[::1]") == read_address("::1%lo") == ipaddress.ip_address("::1")
    assert read_address("127.0.0.1") == ipaddress.ip_address("127.0.0.1")
    assert read_address("localhost") is None
    assert read_address("2130706433") is None  # only a resolver knows that this is one
