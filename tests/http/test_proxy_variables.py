"""Which proxy the environment names for a URL, and which hosts it excludes."""

from __future__ import annotations

import pytest

from relay.http.proxy_variables import (
    InvalidProxy,
    agree_on_proxies,
    go_direct,
    invalid_proxies,
    proxy_for,
    proxy_passwords,
)

PROXY = {"https_proxy": "proxy.corp:3128"}


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"HTTPS_PROXY": "a:1"}, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "a:1", "https_proxy": "b:2"}, "https_proxy"),
        ({"ALL_PROXY": "a:1"}, "ALL_PROXY"),
        ({"ALL_PROXY": "a:1", "https_proxy": "b:2"}, "https_proxy"),
        ({"HTTP_PROXY": "a:1"}, None),
        ({"HTTPS_PROXY": "a:1", "https_proxy": ""}, None),
        ({"HTTPS_PROXY": " "}, None),
    ],
)
def test_the_variable_that_counts(environ: dict[str, str], variable: str | None) -> None:
    found = proxy_for("https://api.example.com", environ)
    assert (found and found.variable) == variable


@pytest.mark.parametrize(
    ("value", "place", "login"),
    [
        ("proxy", ("http", "proxy", 80), ("", "")),
        ("HTTP://proxy:3128/", ("http", "proxy", 3128), ("", "")),
        ("https://proxy", ("https", "proxy", 443), ("", "")),
        ("[fd00::1]:3128", ("http", "fd00::1", 3128), ("", "")),
        ("http://me:p%40ss@proxy:1", ("http", "proxy", 1), ("me", "p@ss")),
        ("me:a@b/c#d?e@proxy:1", ("http", "proxy", 1), ("me", "a@b/c#d?e")),
        ("token@proxy:1", ("http", "proxy", 1), ("token", "")),
    ],
)
def test_a_value_is_read_as_curl_reads_it(
    value: str, place: tuple[str, str, int], login: tuple[str, str]
) -> None:
    found = proxy_for("https://api.example.com", {"https_proxy": value})
    assert found is not None
    assert (found.scheme, found.host, found.port) == place
    assert (found.user, found.password) == login
    assert proxy_for("https://api.example.com", {"https_proxy": found.url}) == found


@pytest.mark.parametrize("value", ["socks5://a:1", "ftp://a", "a:99999", "a:b:c", "http://", "a b"])
def test_what_is_no_proxy_is_named_without_its_value(value: str) -> None:
    environ = {"ALL_PROXY": value.replace("//", "//user:hidden@")}
    with pytest.raises(InvalidProxy, match=r"^ALL_PROXY .*RELAY_PROXY=off") as caught:
        proxy_for("https://api.example.com", environ)
    assert caught.value.variable == "ALL_PROXY"
    assert "hidden" not in str(caught.value)
    assert [error.variable for error in invalid_proxies(environ)] == ["ALL_PROXY"]
    agree_on_proxies(environ)
    assert [error.variable for error in invalid_proxies(environ)] == ["ALL_PROXY"]


@pytest.mark.parametrize(
    ("excluded", "host", "direct"),
    [
        ("example.com", "example.com", True),
        ("example.com", "API.example.com.", True),
        ("example.com", "notexample.com", False),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("other, example.com other", "example.com", True),
        ("example.com:443", "example.com", True),
        ("example.com:8443", "example.com", False),
        ("10.0.0.0/8,fd00::/8", "10.1.2.3", True),
        ("10.0.0.0/8,fd00::/8", "[fd12::1]", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("[fd12::1]:443", "[fd12::1]", True),
        ("10.0.0.0/8", "ten.example.com", False),
        ("*", "example.com", True),
        ("10.0.0.0/99,:,[", "example.com", False),
    ],
)
def test_what_no_proxy_excludes(excluded: str, host: str, *, direct: bool) -> None:
    found = proxy_for(f"https://{host}/a", PROXY | {"NO_PROXY": excluded})
    assert (found is None) == direct


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "127.0.0.5", "[::1]", "169.254.169.254", "169.254.170.23",
     "[fd00:ec2::254]"],
)  # fmt: skip
def test_this_machine_and_its_metadata_are_reached_directly(host: str) -> None:
    assert proxy_for(f"http://{host}/", {"ALL_PROXY": "a:1"}) is None


def test_libraries_get_the_same_proxies() -> None:
    environ = {"ALL_PROXY": "me:p/ss@a:1", "NO_PROXY": "b.example.com"}
    agree_on_proxies(environ)
    assert environ["https_proxy"] == environ["http_proxy"] == "http://me:p%2Fss@a:1"
    assert environ["no_proxy"].startswith("b.example.com,localhost,")
    assert "169.254.169.254" in environ["no_proxy"]
    before = dict(environ)
    agree_on_proxies(environ)
    assert environ == before
    found = proxy_for("https://api.example.com", environ)
    assert found is not None
    assert found.variable == "ALL_PROXY"


def test_an_environment_without_proxies_is_left_alone() -> None:
    environ = {"NO_PROXY": "b.example.com"}
    agree_on_proxies(environ)
    assert environ == {"NO_PROXY": "b.example.com"}


def test_going_direct_excludes_everything() -> None:
    environ = {"HTTPS_PROXY": "a:1", "no_proxy": "b"}
    go_direct(environ)
    assert proxy_for("https://api.example.com", environ) is None


def test_the_passwords_of_a_value_are_known() -> None:
    assert {"p%40ss", "p@ss"} <= set(proxy_passwords("me:p%40ss@proxy:1"))
    assert "s3cret" in set(proxy_passwords("http://s3cret@proxy:1"))
    assert list(proxy_passwords("proxy:1")) == []


def test_a_password_is_not_printed() -> None:
    found = proxy_for("https://api.example.com", {"https_proxy": "me:hidden@a:1"})
    assert "hidden" not in repr(found)
