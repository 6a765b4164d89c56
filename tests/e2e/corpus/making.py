"""The server that a configuration asks for, with the names and addresses of its place filled in."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from tests.e2e import world
from tests.e2e.corpus.network import COLLECTOR_DOMAINS, TESTER_NETWORKS, VANTAGES, Place
from tests.e2e.courier import Courier
from tests.e2e.exim import Exim
from tests.e2e.haraka import Haraka
from tests.e2e.hosts import Host
from tests.e2e.opensmtpd import OpenSmtpd
from tests.e2e.postfix import Postfix, mailboxes
from tests.e2e.sendmail import Sendmail
from tests.e2e.servers import Server

_CONTINUED = re.compile(r"\n[ \t]+")


def server(
    place: Place, host: Host, settings: Mapping[str, str], testers: Sequence[str] = VANTAGES[:1]
) -> Server:
    """Return the server of *place* on *host*, not started, with *settings*.

    *testers* are the tester's addresses that its administrator has seen.
    """
    filled = {name: _filled(text, place, testers) for name, text in settings.items()}
    return _MAKERS[place.configuration.server](place, host, filled)


def _filled(text: str, place: Place, testers: Sequence[str]) -> str:
    """Return *text* with what stands between at signs replaced; capitals are nobody's address."""
    values = {
        "NAME": place.name,
        "DOMAIN": place.domain,
        "ADDRESS": place.address,
        "TESTER": testers[0],
        "TESTER_NAME": world.HOSTNAMES[VANTAGES[0]],
        "TESTER_NETWORK": TESTER_NETWORKS[0],
        "COLLECTOR": COLLECTOR_DOMAINS[0],
        "SMART_HOST": world.ADDRESSES["smarthost"][0],
        "NAME_PATTERN": place.name.replace(".", r"\."),
    }
    if "@CERTIFICATE@" in text:
        values["CERTIFICATE"] = _certificate()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    assert not (left := re.search(r"@[A-Z_]+@", text)), f"nothing is called {left and left[0]}"
    return text


@cache
def _certificate() -> str:
    """Return a private key and a certificate that nobody believes, as relays have them."""
    subject = ("-subj", "/CN=mail.example", "-days", "2", "-keyout", "-", "-out", "-")
    make = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    return subprocess.run([*make, *subject], capture_output=True, text=True, check=True).stdout


def _postfix(place: Place, host: Host, settings: Mapping[str, str]) -> Server:
    main_cf = {
        **mailboxes(place.domain, ["user", "postmaster"]),
        "mynetworks": "127.0.0.0/8",
        "inet_protocols": "all" if len(place.addresses) > 1 or ":" in place.address else "ipv4",
        "smtp_bind_address": next((each for each in place.addresses if ":" not in each), ""),
        "smtp_bind_address6": next((each for each in place.addresses if ":" in each), ""),
        "mydestination": "$myhostname",
        "local_recipient_maps": "",
        # It is not looked at how many a client does in a minute, but where a configuration says so.
        **_parameters(settings.get("main_cf", "")),
    }
    files = {name: text for name, text in settings.items() if name not in {"main_cf", "master_cf"}}
    return Postfix(host, place.name, main_cf, settings.get("master_cf", ""), files)


def _parameters(text: str) -> dict[str, str]:
    lines = [line for line in _CONTINUED.sub(" ", text).splitlines() if line and not line.startswith("#")]
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _sendmail(place: Place, host: Host, settings: Mapping[str, str]) -> Server:
    tables = {name: text for name, text in settings.items() if name not in {"mc", "rules"}}
    return Sendmail(host, place.name, settings.get("mc", ""), settings.get("rules", ""), tables)


_MAKERS: Mapping[str, Callable[[Place, Host, Mapping[str, str]], Server]] = {
    "courier": lambda place, host, settings: Courier(host, place.name, settings),
    "exim": lambda place, host, settings: Exim(host, place.name, settings),
    "haraka": lambda place, host, settings: Haraka(host, place.name, settings),
    "opensmtpd": lambda place, host, settings: OpenSmtpd(host, place.name, settings),
    "postfix": _postfix,
    "sendmail": _sendmail,
}
# What is unpacked of each.
PACKAGE_OF: Mapping[str, str] = {
    "courier": Courier.package,
    "exim": Exim.package,
    "haraka": Haraka.package,
    "opensmtpd": OpenSmtpd.package,
    "postfix": Postfix.package,
    "sendmail": Sendmail.package,
}
