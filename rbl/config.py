"""The settings: rbl.toml and RBL_* environment variables, read once, frozen, passed down.

Environment variables win over the file; a section and its field are joined by two underscores
(``RBL_PROBE__ENABLED=yes``), several values by commas. ``RBL_CONFIG`` names the file. Nothing else
in the program reads the environment. Every field has a working default, except the prober's
identity, without which nothing is probed.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from rbl import configsource
from rbl.configcollector import CollectorDomains, CollectorStore
from rbl.configdatabase import Database
from rbl.configlists import Lists
from rbl.configprobe import NamesOfTests
from rbl.configquotas import KeyQuotas
from rbl.configretention import Retention
from rbl.configsource import PREFIX
from rbl.configvalues import Address, Duration, HexSecret, Network, Section, Several, quoted
from rbl.configweb import WebLimits
from rbl.errors import ConfigError

DEFAULT_FILE = Path("rbl.toml")
# What any path takes in one packet (IPv6: 1280 octets with the headers).
UNFRAGMENTED_OCTETS = 1232
_FILE_VARIABLE = "RBL_CONFIG"


class Listen(NamedTuple):
    """A local address and port to listen on; port 0 lets the system choose (tests)."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the form it is written in: 127.0.0.1:5300 or [::1]:5300."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(value: object) -> Listen:
    """Return the address and port that *value* writes; ValueError says what is wrong with it."""
    if isinstance(value, Listen):
        return value
    host, _, port = quoted(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        msg = f"{value!r} is no address and port: write 127.0.0.1:5300 or [::1]:5300"
        raise ValueError(msg)
    try:
        ip_address(host)
    except ValueError:
        msg = f"{value!r}: {host!r} is no IP address; a name would leave open which one is meant"
        raise ValueError(msg) from None
    return Listen(host, int(port))


def _listed(value: object) -> object:
    """Return one address and port as a list of it: it is a tuple itself."""
    return (value,) if isinstance(value, Listen) else value


ListenAt = Annotated[Listen, BeforeValidator(parse_listen)]
ListensAt = Annotated[Several[ListenAt], BeforeValidator(_listed)]


class Access(Section):
    """Who may ask the DNS server at all; each zone file may have rules of its own, asked after these."""

    default: Literal["allow", "refuse", "ignore", "empty"] = "allow"
    """What becomes of clients for whom there is no network below; the most specific network counts."""
    allow: Several[Network] = ()
    """Clients that are answered, as far as the zone's own rules go."""
    refuse: Several[Network] = ()
    """Clients that are told REFUSED, with the extended error 18 (RFC 8914)."""
    ignore: Several[Network] = ()
    """Clients that get no answer."""
    empty: Several[Network] = ()
    """Clients for whom every list is empty."""

    @model_validator(mode="after")
    def _one_rule_each(self) -> Self:
        networks = (*self.allow, *self.refuse, *self.ignore, *self.empty)
        twice = sorted({str(network) for network in networks if networks.count(network) > 1})
        if twice:
            msg = f"has more than one rule for {', '.join(twice)}"
            raise ValueError(msg)
        return self


class RateLimit(Section):
    """How many answers the DNS server sends over UDP to a network that proves its address by no cookie."""

    responses_per_second: int = Field(default=1000, ge=0, le=1_000_000)
    """For each client network and kind of outcome; 0: no limit."""
    window: Duration = timedelta(seconds=5)
    """A quiet client may have the answers of so long a time at once."""
    slip: int = Field(default=2, ge=0, le=100)
    """Over the limit one answer in so many says "ask again over TCP", the rest are dropped; 0: all are."""
    ipv4_prefix: int = Field(default=24, ge=8, le=32)
    """How large a network of IPv4 clients is."""
    ipv6_prefix: int = Field(default=56, ge=16, le=128)
    """How large a network of IPv6 clients is."""
    exempt: Several[Network] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Clients without a limit."""


class Dns(Section):
    """The DNS server."""

    listen: Several[ListenAt] = (Listen("127.0.0.1", 5300),)
    """Addresses and ports for UDP and TCP. The world asks port 53."""
    version: str = "rbl"
    """What version.bind says in class CHAOS; empty: refused."""
    server_id: str = ""
    """What id.server and NSID say: which of several servers this is; empty: refused."""
    max_change_share: float = Field(default=0.3, gt=0, le=1)
    """A change of more than this share of a list at once is held back until it is forced."""
    max_lag: Duration = timedelta(seconds=60)
    """When the journal was not read for so long `/readyz` fails; DNS answers on from the last list."""
    max_udp_octets: int = Field(default=UNFRAGMENTED_OCTETS, ge=512, le=4096)
    """The largest answer sent over UDP. Up to 1232 octets (DNS Flag Day 2020) it is never fragmented."""
    cookie_secrets: Several[HexSecret] = Field(default=(), repr=False)
    """For cookies (RFC 9018), 32 hexadecimal digits each; the first makes them, all are accepted. Name
    servers that share an address share them too. None: one of its own, made at each start."""
    path: Literal["auto", "compiled", "reference"] = "auto"
    """What answers UDP: the compiled hot path where it was built, or one of the two in any case."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of the compiled path for each address; 0: one a core."""
    access: Access = Access()
    rate_limit: RateLimit = RateLimit()


class Web(Section):
    """The public pages and the API."""

    listen: ListenAt = Listen("127.0.0.1", 8080)
    """Address and port for HTTP; a proxy in front of it does TLS."""
    public_url: str = "http://127.0.0.1:8080"
    """What people and bounce messages are told; no slash at the end."""
    trusted_proxies: Several[Network] = ()
    """Proxies whose X-Forwarded-For header is believed."""
    watchers: Several[Network] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Who may read `/metrics` and `/readyz`: your monitoring. Nobody else is told how the program does."""
    contact: str = "postmaster@localhost"
    """How to reach a person; must work for senders who are listed (RFC 6471 §2.2.2)."""
    limits: WebLimits = WebLimits()


class Collector(CollectorDomains):
    """The SMTP server that our test messages come back to."""

    listen: ListensAt = Field(default=(Listen("127.0.0.1", 2525),), min_length=1)
    """Addresses and ports for SMTP, of every family in which the domain's MX has addresses. The world sends
    to port 25."""
    max_message_octets: int = Field(default=256 * 1024, ge=16 * 1024)
    """The largest message taken: far above any bounce of a 4 KiB test message."""
    heartbeat: Duration = Field(
        default=timedelta(seconds=5), ge=timedelta(seconds=0.1), le=timedelta(minutes=1)
    )
    """How often it says in the database that it listens; no test is closed for what nobody could hear."""
    store: CollectorStore = CollectorStore()


class Probe(NamesOfTests):
    """The relay tester. Off until it has an identity and is told that testing is wanted."""

    enabled: bool = False
    """Whether tests go out at all."""
    acknowledge: bool = False
    """Say true once you have read docs/probing.md: you answer for the tests this machine makes."""
    contact: str | None = None
    """A mail address read by people; it stands in every test message."""
    source_addresses: Several[Address] = ()
    """The addresses of this machine that tests come from, of both families. With those of workers on other
    machines they are the vantages of the list; two tell a host that blocks our tester from a closed one."""
    source_address: Address | None = None
    """One more of source_addresses: the name from when there was one."""
    second_source_address: Address | None = None
    """One more of source_addresses: the name from when there were two."""
    page_listen: ListensAt = ()
    """Addresses and ports where the worker serves, over HTTP, a page that says what a test is. Visitors of
    the ehlo_name come to port 80. None: there is no page."""
    port: int = Field(default=25, ge=1, le=65535)
    """The port that is tested; any but 25 is for test networks."""
    allow_reserved: Several[Network] = ()
    """Reserved space that may be tested all the same: for test networks only."""
    concurrency: int = Field(default=16, ge=1, le=1000)
    """Hosts tested at once by one worker."""
    connect_timeout: Duration = timedelta(seconds=30)
    """For the TCP connection."""
    banner_timeout: Duration = timedelta(seconds=60)
    """For the greeting; servers that delay it against spammers take up to 30 seconds."""
    command_timeout: Duration = timedelta(seconds=60)
    """For the reply to one command."""
    data_timeout: Duration = timedelta(seconds=120)
    """For the reply to a message."""
    run_timeout: Duration = timedelta(minutes=10)
    """For one step of a test with all its sessions."""
    command_delay: Duration = timedelta(seconds=0.5)
    """The pause between two commands."""
    envelopes_per_session: int = Field(default=18, ge=1, le=25)
    """Envelopes in one session: Postfix ends a session after 20 that it refused."""
    messages_per_step: int = Field(default=1, ge=1, le=25)
    """Messages sent before waiting for returns; never more than one in the first step."""
    connections_per_day: int = Field(default=250, ge=10, le=10_000)
    """Connections to one host within a day, whatever for: the policy page names it."""
    lease: Duration = timedelta(minutes=2)
    """How long a worker may be silent before another takes over its run."""
    heartbeat: Duration = Field(
        default=timedelta(seconds=5), ge=timedelta(seconds=0.1), le=timedelta(minutes=1)
    )
    """How often a worker says in the database which source addresses it has; one that is silent for three
    times as long is gone, and others take its tests over."""

    @property
    def sources(self) -> tuple[Address, ...]:
        """Every address that tests of this machine may come from, each once."""
        named = (self.source_address, self.second_source_address, *self.source_addresses)
        return tuple(dict.fromkeys(address for address in named if address is not None))

    def source_for(self, target: Address, but: Address | None = None) -> Address | None:
        """Return the first source address of *target*'s family that is not *but*, or None."""
        fit = (each for each in self.sources if each.version == target.version and each != but)
        return next(fit, None)

    @model_validator(mode="after")
    def _page_says_who(self) -> Self:
        named = {"ehlo_name": self.tester_names, "contact": self.contact}
        missing = [name for name, value in named.items() if not value]
        if self.page_listen and missing:
            msg = f"the page at page_listen says who tests: set {', '.join(missing)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _identified(self) -> Self:
        if not self.enabled:
            return self
        missing = [name for name in ("ehlo_name", "contact") if getattr(self, name) is None]
        missing += [] if self.sources else ["source_addresses"]
        if missing:
            msg = f"probing needs an identity: set {', '.join(missing)}"
            raise ValueError(msg)
        if not self.acknowledge:
            msg = "set acknowledge = true once you have read docs/probing.md: you answer for every test"
            raise ValueError(msg)
        return self


class Metrics(Section):
    """`/metrics`, `/healthz` and `/readyz` at an address of their own, whatever parts run."""

    listen: ListenAt | None = None
    """Address and port, in a network of your own: it tells everybody. None: only the web part has them."""


class Log(Section):
    """Log lines, one for each event."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written; queries only at debug."""


class Client(Section):
    """What `rbl nominate` talks to."""

    server: str = "http://127.0.0.1:8080"
    """The list's URL."""
    api_key: str = Field(default="", repr=False)
    """A nominator's key."""


class Settings(Section):
    """All settings of one process."""

    zones: Several[Path] = (Path("zones/relays.example.toml"),)
    """Zone files: what is a list, its apex, codes and texts."""
    data_dir: Path = Path("var")
    """For the index on disk, and what else is not in the database."""
    database: Database = Database()
    dns: Dns = Dns()
    web: Web = Web()
    collector: Collector = Collector()
    probe: Probe = Probe()
    lists: Lists = Lists()
    quotas: KeyQuotas = KeyQuotas()
    metrics: Metrics = Metrics()
    retention: Retention = Retention()
    log: Log = Log()
    client: Client = Client()


def read(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from *file* and *environment*.

    Without *file*: the file that RBL_CONFIG names, or rbl.toml where it exists, or none.

    Raises:
        ConfigError: names every fault with its place: file or variable, section and field.
    """
    named = file or (Path(environment[_FILE_VARIABLE]) if environment.get(_FILE_VARIABLE) else None)
    values = configsource.from_file(named or DEFAULT_FILE, must_exist=named is not None)
    variables = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    variables.pop(_FILE_VARIABLE, None)
    for name, value in variables.items():
        configsource.overlay(values, name.removeprefix(PREFIX).lower().split("__"), value)
    try:
        return Settings.model_validate(values)
    except ValidationError as fault:
        source = str(named or DEFAULT_FILE)
        lines = [
            configsource.fault_line(source, variables, error["loc"], error["msg"])
            for error in fault.errors()
        ]
        raise ConfigError(lines) from None
