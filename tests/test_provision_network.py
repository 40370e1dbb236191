"""scripts/device/network.py: NetworkManager's keyfiles, and what is refused as an address."""

from __future__ import annotations

import configparser
import importlib.util
from types import ModuleType

import pytest

from tests.repository import ROOT


@pytest.fixture(scope="module")
def network() -> ModuleType:
    """A module of scripts/device, which is no package."""
    spec = importlib.util.spec_from_file_location("device_network", ROOT / "scripts" / "device" / "network.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sections(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_a_fixed_address(network: ModuleType) -> None:
    fixed = network.parse_fixed("192.168.1.20/24, 192.168.1.1,192.168.1.1,9.9.9.9", "--ethernet")
    found = sections(network.keyfile("ethernet", fixed))
    assert found["connection"]["type"] == "ethernet" and int(found["connection"]["autoconnect-priority"]) > 0
    assert found["ipv4"] == {"method": "manual", "address1": "192.168.1.20/24,192.168.1.1",
                             "dns": "192.168.1.1;9.9.9.9;"}
    assert found["ipv6"] == {"method": "auto"}
    assert network.keyfile("ethernet", fixed) == network.keyfile("ethernet", fixed)


def test_a_fixed_address_of_ipv6(network: ModuleType) -> None:
    fixed = network.parse_fixed("2001:db8::5/64,2001:db8::1", "--ethernet")
    found = sections(network.keyfile("ethernet", fixed))
    assert found["ipv6"] == {"method": "manual", "address1": "2001:db8::5/64,2001:db8::1"}
    assert found["ipv4"] == {"method": "auto"}


def test_a_wireless_network(network: ModuleType) -> None:
    fixed = network.parse_fixed("10.0.0.5/8,10.1.2.3", "--wifi-address")
    found = sections(network.keyfile("wifi", fixed, "my net", "correct horse"))
    assert found["wifi"] == {"mode": "infrastructure", "ssid": "my net"}
    assert found["wifi-security"] == {"key-mgmt": "wpa-psk", "psk": "correct horse"}
    assert found["ipv4"]["address1"] == "10.0.0.5/8,10.1.2.3" and "dns" not in found["ipv4"]
    assert "wifi-security" not in sections(network.keyfile("wifi", None, "open"))
    assert found["connection"]["uuid"] != sections(network.keyfile("ethernet"))["connection"]["uuid"]


@pytest.mark.parametrize("name, value", [
    ("home", "home"), ("a b", "a b"), (" a", "32;97;"), ("a;b", "97;59;98;"), ("a\\b", "97;92;98;"),
    ("10", "49;48;"), ("é", "195;169;"),
])
def test_names_that_a_keyfile_would_read_as_something_else(network: ModuleType, name: str, value: str) -> None:
    """NetworkManager takes a name as a list of bytes, too; with that there is nothing to escape."""
    assert network.ssid_value(name) == value


def test_passwords_that_a_keyfile_would_read_as_something_else(network: ModuleType) -> None:
    assert "psk=\\spass\\\\word;#\n" in network.keyfile("wifi", None, "net", " pass\\word;#")
    digits = "0123456789abcdef" * 4  # the key itself
    assert f"psk={digits}\n" in network.keyfile("wifi", None, "net", digits)


@pytest.mark.parametrize("text, words", [
    ("192.168.1.20/24", "wants ADDRESS/PREFIX,GATEWAY[,DNS], for instance 192.168.1.20/24,192.168.1.1"),
    ("192.168.1.20,192.168.1.1", "wants the network's length behind it, mostly /24: 192.168.1.20/24"),
    ("192.168.1.300/24,192.168.1.1", "'192.168.1.300/24' does not appear to be an IPv4 or IPv6"),
    ("192.168.1.20/33,192.168.1.1", "'192.168.1.20/33' does not appear"),
    ("192.168.1.20/24,router", "'router' does not appear to be an IPv4 or IPv6 address"),
    ("192.168.1.20/24,", "'' does not appear"),
    ("127.0.0.1/8,127.0.0.2", "no board can have the address 127.0.0.1"),
    ("224.0.0.5/24,224.0.0.1", "no board can have the address 224.0.0.5"),
    ("192.168.1.0/24,192.168.1.1", "192.168.1.0 is the first or last address of 192.168.1.0/24"),
    ("192.168.1.255/24,192.168.1.1", "192.168.1.255 is the first or last address"),
    ("192.168.1.20/24,192.168.1.20", "the gateway is the router's address, and not 192.168.1.20 again"),
    ("192.168.1.20/24,192.168.2.1", "the gateway 192.168.2.1 is not in 192.168.1.0/24, so the board"),
    ("192.168.1.20/24,2001:db8::1", "the gateway 2001:db8::1 is not in 192.168.1.0/24"),
    ("192.168.1.20/24,192.168.1.1,2001:db8::1", "the DNS server 2001:db8::1 and the address 192.168.1.20 are"),
])
def test_wrong_addresses(network: ModuleType, text: str, words: str) -> None:
    with pytest.raises(network.NetworkError) as refused:
        network.parse_fixed(text, "--ethernet")
    assert words in str(refused.value) and "--ethernet" in str(refused.value)


@pytest.mark.parametrize("name, password, words", [
    ("", "", "the name of a network has 1 to 32 bytes"), ("é" * 17, "", "has 34"),
    ("net", "short", "has 5 characters; WPA wants 8 to 63"), ("net", "x" * 64, "has 64 characters"),
    ("net", "pässword1", "printable ASCII only"),
])
def test_wrong_wireless_networks(network: ModuleType, name: str, password: str, words: str) -> None:
    with pytest.raises(network.NetworkError) as refused:
        network.keyfile("wifi", None, name, password)
    assert words in str(refused.value) and (not password or password not in str(refused.value))
