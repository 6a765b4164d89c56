"""Settings: read once from file and environment, strictly, with all faults told together."""

from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from rbl import config
from rbl.config import Listen, Probe, Settings
from rbl.configdatabase import Database
from rbl.errors import ConfigError

# One field or more of every section, each with another value than its default.
EVERYTHING = """
zones = ["zones/a.toml", "zones/b.toml"]
data_dir = "/srv/rbl"
[database]
url = "postgresql://rbl@db/rbl"
[dns]
listen = ["192.0.2.53:53", "[2001:db8::53]:53"]
max_change_share = 0.5
[web]
listen = "0.0.0.0:8080"
public_url = "https://rbl.example"
trusted_proxies = ["192.0.2.0/24", "2001:db8::/32"]
contact = "postmaster@rbl.example"
[web.limits]
connections = 100
[collector]
domain = "RelayTest.Example."
[probe]
enabled = true
acknowledge = true
ehlo_name = "tester.example"
contact = "postmaster@rbl.example"
source_address = "192.0.2.25"
second_source_address = "2001:db8::25"
source_addresses = ["192.0.2.26", "192.0.2.25"]
allow_reserved = ["10.0.0.0/8"]
command_delay = 1.5
lease = "PT5M"
[lists]
retries = [60, 120]
return_window = 86400
[retention]
evidence = "P30D"
[log]
level = "debug"
[client]
server = "https://rbl.example"
api_key = "rbl_key"
"""


def read(tmp_path: Path, text: str = "", **environment: str) -> Settings:
    """Return the settings of a file with *text* and of *environment*."""
    file = tmp_path / "rbl.toml"
    file.write_text(text)
    return config.read(file, environment)


def faults(tmp_path: Path, text: str = "", **environment: str) -> list[str]:
    """Return what is wrong with a file and an environment, the file's path left out."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **environment)
    return [fault.replace(str(tmp_path / "rbl.toml"), "rbl.toml") for fault in caught.value.faults]


def test_without_anything_every_field_has_a_default(tmp_path: Path) -> None:
    """An empty file is the settings of a list on one machine that probes nobody."""
    settings = read(tmp_path)

    assert (Settings(), False) == (settings, settings.probe.enabled)
    assert (Listen("127.0.0.1", 5300),) == settings.dns.listen


def test_every_section_is_read(tmp_path: Path) -> None:
    """Addresses, networks, durations and paths are what they say."""
    settings = read(tmp_path, EVERYTHING)

    assert (Path("zones/a.toml"), Path("zones/b.toml")) == settings.zones
    assert "postgresql://rbl@db/rbl" == settings.database.url
    assert (Listen("192.0.2.53", 53), Listen("2001:db8::53", 53)) == settings.dns.listen
    assert (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")) == settings.web.trusted_proxies
    assert "relaytest.example" == settings.collector.domain
    assert ip_address("192.0.2.25") == settings.probe.source_address
    assert ip_address("2001:db8::25") == settings.probe.second_source_address
    assert ("192.0.2.25", "2001:db8::25", "192.0.2.26") == tuple(map(str, settings.probe.sources))
    assert (timedelta(seconds=1.5), timedelta(minutes=5)) == (
        settings.probe.command_delay,
        settings.probe.lease,
    )
    assert (timedelta(minutes=1), timedelta(minutes=2)) == settings.lists.retries
    assert timedelta(days=1) == settings.lists.return_window
    assert ("debug", "rbl_key") == (settings.log.level, settings.client.api_key)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable replaces a field and leaves the rest of its section as the file has it."""
    settings = read(
        tmp_path,
        EVERYTHING,
        RBL_PROBE__CONTACT="other@rbl.example",
        RBL_ZONES="zones/c.toml",
        RBL_LISTS__RETRIES="30, PT1M",
        RBL_WEB__TRUSTED_PROXIES="",
        PATH="/bin",
        rbl_data_dir="/not/ours",
    )

    assert ("other@rbl.example", "tester.example") == (settings.probe.contact, settings.probe.ehlo_name)
    assert ((Path("zones/c.toml"),), ()) == (settings.zones, settings.web.trusted_proxies)
    assert (timedelta(seconds=30), timedelta(minutes=1)) == settings.lists.retries
    assert Path("/srv/rbl") == settings.data_dir


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    """RBL_CONFIG is the file; it must be there."""
    (tmp_path / "other.toml").write_text('data_dir = "/srv/rbl"')
    settings = config.read(None, {"RBL_CONFIG": str(tmp_path / "other.toml")})
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        config.read(None, {"RBL_CONFIG": str(tmp_path / "none.toml")})

    assert Path("/srv/rbl") == settings.data_dir


def test_without_a_named_file_rbl_toml_is_read_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of the working directory is read; none is no fault."""
    monkeypatch.chdir(tmp_path)
    without = config.read(None, {})
    Path("rbl.toml").write_text('data_dir = "/srv/rbl"')

    assert (Settings(), Path("/srv/rbl")) == (without, config.read(None, {}).data_dir)


def test_all_faults_are_told_together_with_their_places(tmp_path: Path) -> None:
    """Whoever starts the program sees everything that is wrong, and where it stands."""
    text = '[dns]\nmax_udp_octets = 100\ncolour = "red"\n[log]\nlevel = "loud"\n[probe]\nport = 0\n'

    assert [
        "rbl.toml: dns.max_udp_octets: Input should be greater than or equal to 512",
        "rbl.toml: dns.colour: Extra inputs are not permitted",
        "RBL_WEB__LISTEN: web.listen: 'here' is no address and port: write 127.0.0.1:5300 or [::1]:5300",
        "rbl.toml: probe.port: Input should be greater than or equal to 1",
        "RBL_LOG__LEVEL: log.level: Input should be 'debug', 'info', 'warning' or 'error'",
        "RBL_FOO: foo: Extra inputs are not permitted",
    ] == faults(tmp_path, text, RBL_WEB__LISTEN="here", RBL_LOG__LEVEL="louder", RBL_FOO="bar")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("zones = ", "rbl.toml: Invalid value (at end of document)"),
        ("data_dir = 1", "rbl.toml: data_dir: Input is not a valid path for <class 'pathlib.Path'>"),
        ("[probe]\nsource_address = true", "rbl.toml: probe.source_address: True is no IP address"),
        ("[probe]\nsource_address = 25", "rbl.toml: probe.source_address: 25 is no IP address"),
        (
            '[probe]\nsource_address = "tester.example"',
            "rbl.toml: probe.source_address: 'tester.example' is no IP address",
        ),
        (
            '[web]\ntrusted_proxies = ["10.0.0.1/8"]',
            "rbl.toml: web.trusted_proxies: 10.0.0.1/8 has host bits set",
        ),
        (
            "[web]\ntrusted_proxies = [10]",
            "rbl.toml: web.trusted_proxies: 10 does not stand in quotes",
        ),
        (
            '[dns]\nlisten = ["localhost:53"]',
            (
                "rbl.toml: dns.listen: 'localhost:53': 'localhost' is no IP address;"
                " a name would leave open which one is meant"
            ),
        ),
        (
            '[web]\nlisten = "127.0.0.1:99999"',
            (
                "rbl.toml: web.listen: '127.0.0.1:99999' is no address and port:"
                " write 127.0.0.1:5300 or [::1]:5300"
            ),
        ),
        ("[web]\nlisten = 80", "rbl.toml: web.listen: 80 does not stand in quotes"),
        ('[collector]\ndomain = "a..b"', "rbl.toml: collector.domain: 'a..b' is no host name"),
        ('[collector]\ndomain = "a.b.."', "rbl.toml: collector.domain: 'a.b..' is no host name"),
        ('[collector]\ndomain = "-a.b"', "rbl.toml: collector.domain: '-a.b' is no host name"),
        ('[collector]\ndomain = "a_b.é"', "rbl.toml: collector.domain: 'a_b.é' is no host name"),
        ("[lists]\nfollow_up = -1", "rbl.toml: lists.follow_up: must be between 0 and 3650 days"),
        ("[lists]\nfollow_up = 1e10", "rbl.toml: lists.follow_up: must be between 0 and 3650 days"),
        (
            "[lists]\nfollow_up = nan",
            "rbl.toml: lists.follow_up: Input should be a valid timedelta, NaN values not permitted",
        ),
        (
            '[lists]\nfollow_up = "soon"',
            "rbl.toml: lists.follow_up: Input should be a valid timedelta, invalid digit in duration",
        ),
        (
            '[dns.access]\nrefuse = ["10.0.0.0/8"]\nignore = ["10.0.0.0/8"]',
            "rbl.toml: dns.access: has more than one rule for 10.0.0.0/8",
        ),
        (
            '[dns]\ncookie_secrets = ["0123456789ABCDEF"]',
            "rbl.toml: dns.cookie_secrets: String should match pattern '^[0-9a-f]{32}$'",
        ),
        (
            "[probe]\nenabled = true",
            "rbl.toml: probe: probing needs an identity: set ehlo_name, contact, source_addresses",
        ),
        (
            '[probe]\nenabled = true\nehlo_name = "a.b"\ncontact = "c@d"\nsource_address = "192.0.2.1"',
            (
                "rbl.toml: probe: set acknowledge = true once you have read docs/probing.md:"
                " you answer for every test"
            ),
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_value(tmp_path: Path, text: str, fault: str) -> None:
    """A fault names its place, its value and what would be right; nothing is guessed."""
    found = faults(tmp_path, text)

    assert [fault] == found


def test_a_fault_of_a_section_names_the_file_and_the_variables(tmp_path: Path) -> None:
    """What is missing may be missing in either."""
    (fault,) = faults(tmp_path, RBL_PROBE__ENABLED="yes", RBL_PROBE__CONTACT="a@b")

    assert fault == (
        "rbl.toml, RBL_PROBE__CONTACT, RBL_PROBE__ENABLED: probe: probing needs an identity:"
        " set ehlo_name, source_addresses"
    )


def test_a_variable_for_a_section_is_no_section(tmp_path: Path) -> None:
    """A word where fields belong is told; fields below a word are, too."""
    assert [
        "RBL_PROBE: probe: Input should be a valid dictionary or instance of Probe",
    ] == faults(tmp_path, RBL_PROBE="on")
    assert ["rbl.toml, RBL_DATABASE__URL__X: database.url: Input should be a valid string"] == faults(
        tmp_path, '[database]\nurl = "sqlite:///a"', RBL_DATABASE__URL__X="y"
    )


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A folder, or text in another encoding, is no file of settings."""
    with pytest.raises(ConfigError, match="Is a directory"):
        config.read(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b'data_dir = "\xe9"')
    with pytest.raises(ConfigError, match=r"latin\.toml: .*can't decode"):
        config.read(tmp_path / "latin.toml", {})


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """The text of the settings, as a log or a traceback would show it, has neither passwords nor keys."""
    secret = "0123456789abcdef" * 2
    settings = read(
        tmp_path,
        RBL_DATABASE__URL="postgresql://rbl:hush@db/rbl",
        RBL_CLIENT__API_KEY="rbl_hush",
        RBL_DNS__COOKIE_SECRETS=secret,
    )
    shown = f"{settings!r} {settings} {settings.database} {settings.client!r} {settings.dns!r}"

    assert (secret,) == settings.dns.cookie_secrets
    assert [] == [word for word in ("hush", secret) if word in shown]


def test_settings_do_not_change(tmp_path: Path) -> None:
    """What was read at the start holds until the end."""
    settings = read(tmp_path)
    with pytest.raises(ValidationError):
        settings.data_dir = Path("/elsewhere")  # type: ignore[misc]  # that it is forbidden is the point


def test_settings_can_be_built_in_code() -> None:
    """Tests and tools give objects where a file gives text."""
    built = Settings(
        database=Database(url="sqlite:///a"),
        probe=Probe(source_address=ip_address("192.0.2.1"), allow_reserved=(ip_network("10.0.0.0/8"),)),
    )

    assert (ip_address("192.0.2.1"), (ip_network("10.0.0.0/8"),)) == (
        built.probe.source_address,
        built.probe.allow_reserved,
    )


@pytest.mark.parametrize(
    ("written", "listen"),
    [
        ("127.0.0.1:0", Listen("127.0.0.1", 0)),
        ("[::1]:53", Listen("::1", 53)),
        ("::1:53", Listen("::1", 53)),
    ],
)
def test_where_to_listen_is_read_and_written(tmp_path: Path, written: str, listen: Listen) -> None:
    """An IPv6 address is written in brackets, and read with or without."""
    settings = read(tmp_path, RBL_WEB__LISTEN=written)

    assert (listen, listen) == (
        settings.web.listen,
        read(tmp_path, RBL_WEB__LISTEN=str(listen)).web.listen,
    )
