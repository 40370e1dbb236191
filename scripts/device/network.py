"""Write NetworkManager's keyfile of one connection, wired or wireless, by DHCP or with a fixed address.

Used by scripts/provision on the workstation. The images of JetPack use NetworkManager; the file must be root's, 0600.
Its keys: https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html. Python 3.8, standard library only.
"""

import argparse
import ipaddress
import sys
import uuid

#: Wins over a profile that the image or its wizard may have made: NetworkManager's own have 0 or less.
PRIORITY = 10


class NetworkError(Exception):
    """One sentence."""


class Fixed:
    """A fixed address: interface (address with prefix), gateway and dns (lists, may be empty)."""

    def __init__(self, interface, gateway, dns):
        self.interface, self.gateway, self.dns = interface, gateway, dns


def parse_fixed(text, flag):
    """``ADDRESS/PREFIX,GATEWAY[,DNS...]`` as :class:`Fixed`. Raises NetworkError."""
    words = [word.strip() for word in text.split(",")]
    if len(words) < 2:
        raise NetworkError(f"{flag} wants ADDRESS/PREFIX,GATEWAY[,DNS], for instance 192.168.1.20/24,192.168.1.1; "
                           f"it is '{text}'")
    if "/" not in words[0]:
        raise NetworkError(f"{flag}: '{words[0]}' wants the network's length behind it, mostly /24: {words[0]}/24")
    try:
        interface = ipaddress.ip_interface(words[0])
        gateway, *dns = [ipaddress.ip_address(word) for word in words[1:]]
    except ValueError as error:
        raise NetworkError(f"{flag}: {error}") from error
    check_fixed(interface, gateway, dns, flag)
    return Fixed(interface, gateway, dns)


def check_fixed(interface, gateway, dns, flag):
    """Raises NetworkError if a board could not have this address, or not reach its gateway by it."""
    address, network = interface.ip, interface.network
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise NetworkError(f"{flag}: no board can have the address {address}")
    if network.num_addresses > 2 and address in (network.network_address, network.broadcast_address):
        raise NetworkError(f"{flag}: {address} is the first or last address of {network}, which no board can have")
    if gateway == address:
        raise NetworkError(f"{flag}: the gateway is the router's address, and not {address} again")
    if gateway.version != address.version or gateway not in network:
        raise NetworkError(f"{flag}: the gateway {gateway} is not in {network}, so the board could not reach it")
    for server in dns:
        if server.version != address.version:
            raise NetworkError(f"{flag}: the DNS server {server} and the address {address} are of different kinds")


def escaped(text):
    """A value of a keyfile: backslashes, and a space at its start, which would be lost."""
    text = text.replace("\\", "\\\\")
    return "\\s" + text[1:] if text.startswith(" ") else text


def ssid_value(name):
    """A network's name, which is 1 to 32 bytes: as it is where that is safe, and as a list of bytes anywhere else."""
    data = name.encode("utf-8")
    if not 1 <= len(data) <= 32:
        raise NetworkError(f"--wifi: the name of a network has 1 to 32 bytes; '{name}' has {len(data)}")
    safe = all(32 <= byte < 127 for byte in data) and not set(name) & set("\\;") and name == name.strip()
    return name if safe and not name.isdigit() else "".join(f"{byte};" for byte in data)


def check_psk(password):
    """Raises NetworkError if WPA does not take it: 8 to 63 printable ASCII characters, or 64 hexadecimal digits."""
    if len(password) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in password):
        return
    if not 8 <= len(password) <= 63:
        raise NetworkError(f"the Wi-Fi password has {len(password)} characters; WPA wants 8 to 63")
    if not all(32 <= ord(letter) < 127 for letter in password):
        raise NetworkError("the Wi-Fi password has a letter or sign that WPA does not take: printable ASCII only")


def addresses(fixed):
    """The sections [ipv4] and [ipv6]: what is not fixed is automatic."""
    lines = []
    for version in (4, 6):
        lines += ["", f"[ipv{version}]"]
        if fixed is None or fixed.interface.version != version:
            lines.append("method=auto")
            continue
        lines.append(f"address1={fixed.interface.with_prefixlen},{fixed.gateway}")
        if fixed.dns:
            lines.append("dns=" + "".join(f"{server};" for server in fixed.dns))
        lines.append("method=manual")
    return lines


def keyfile(kind, fixed=None, ssid="", password=""):
    """The file's text. kind: "ethernet" or "wifi". The same words always give the same bytes. Raises NetworkError."""
    name = "carcloud-" + kind
    lines = ["[connection]", "id=" + name, f"uuid={uuid.uuid5(uuid.NAMESPACE_DNS, name)}", "type=" + kind,
             f"autoconnect-priority={PRIORITY}", "", f"[{kind}]"]
    if kind == "wifi":
        lines += ["mode=infrastructure", "ssid=" + ssid_value(ssid)]
        if password:
            check_psk(password)
            lines += ["", "[wifi-security]", "key-mgmt=wpa-psk", "psk=" + escaped(password)]
    return "\n".join(lines + addresses(fixed)) + "\n"


def main():
    """Print a keyfile; the password is the first line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("ethernet", "wifi"))
    parser.add_argument("--ssid", default="")
    parser.add_argument("--fixed", default="")
    options = parser.parse_args()
    flag = "--ethernet" if options.kind == "ethernet" else "--wifi-address"
    try:
        fixed = parse_fixed(options.fixed, flag) if options.fixed else None
        password = sys.stdin.readline().rstrip("\r\n") if options.kind == "wifi" else ""
        sys.stdout.write(keyfile(options.kind, fixed, options.ssid, password))
    except NetworkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
