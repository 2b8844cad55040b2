"""Which addresses a webhook may have: none that leads inside, in no form and by no translation."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.destinations.public_addresses import PublicAddressResolver, is_public
from relay.model.destination import Unavailable
from tests.http.names import at

URL = "RELAY_WEBHOOK_URL"

PRIVATE_V4 = (
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
)
PRIVATE_V6 = (
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:ffff::1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::5efe:a00:1",
    "2606:4700::200:5efe:169.254.169.254",
)


@pytest.mark.parametrize("address", [*PRIVATE_V4, *PRIVATE_V6, "", "host", "1.2.3", "0x7f.1"])
def test_addresses_that_lead_inside_are_recognised(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PRIVATE_V4)
@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}", "::ffff:0:{}", "::{}"])
def test_a_translated_or_mapped_address_is_what_it_leads_to(address: str, form: str) -> None:
    assert not is_public(form.format(address))
    assert not is_public(str(IPv6Address(form.format(address))))


@pytest.mark.parametrize("address", PRIVATE_V4)
def test_the_gateway_of_a_6to4_address_counts(address: str) -> None:
    first, second, third, fourth = map(int, address.split("."))
    assert not is_public(f"2002:{first:02x}{second:02x}:{third:02x}{fourth:02x}::1")


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2a00:1450::1"],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=6).filter(lambda address: not 0x2000 <= int(address) >> 112 < 0x4000))
def test_no_ipv6_address_outside_the_global_unicast_space_is_public(address: IPv6Address) -> None:
    embeds = str(address).startswith(("64:ff9b::", "::ffff:"))
    assert embeds or not is_public(str(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "::1",
        "::ffff:127.0.0.1",
        "localhost",
        "localhost.",
    ],
)
async def test_no_spelling_of_this_machine_is_allowed(host: str) -> None:
    with pytest.raises(Unavailable):
        await PublicAddressResolver(URL)(host, 80)


async def test_a_name_with_a_private_address_among_others_is_refused() -> None:
    both = at("93.184.216.34", "169.254.169.254")
    with pytest.raises(Unavailable, match="private address") as caught:
        await PublicAddressResolver(URL, resolve=both)("rebinding.example.com", 443)
    assert caught.value.proven
    assert caught.value.not_accepted
    assert caught.value.setting == URL


@pytest.mark.parametrize("host", ["x" * 64 + ".example.com", "a..example.com", "\u00e9" * 70])
async def test_a_name_that_cannot_exist_names_the_setting(host: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await PublicAddressResolver(URL)(host, 443)
    assert caught.value.setting == URL
