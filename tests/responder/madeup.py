"""Made-up data files of rbldnsd, with what stands in real ones and what does not belong there."""

import random
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, ip_address
from typing import Any

_ASKED = 60  # questions for each set of files
_HEADER = (
    "$SOA 300 ns1.bl.test hostmaster.bl.test 2024010101 1h 15m 1w 5m",
    "$NS 1d ns1.bl.test ns2.bl.test",
    "$TTL 600",
)
_VALUES = (
    *("", "", "", "", " :2", " :2:", " :3:t $", " :127.0.1.9:x", " text $", " :1.2:n", " :0:z", " :x:y"),
    *(" :256:b", " :2 tr", " # c", " ;c", " =own $ $=", " a$1b$$c $9", " :4: =lead", " \t tab", "#near"),
    *(" t # not a comment", " :5;c", " :6 ; c", ":7:tight"),
)
_SPECIALS = (
    *("$TTL 100", "$TTL 5m", "$TTL 0", "$1 one", "$1 two", "$= base $= ($) $1", "$9  nine $ ", "#$TTL 77"),
    *(";$2 x", ":$3 y", "# $TTL 3", "$BOGUS", "$TTL", "$TTL 1x", "$MAXRANGE4 /16", "$MAXRANGE4 256"),
    *("$MAXRANGE4 /33", "$NS 1h a.t b.t -c.t", "$ns 0 x.bl.test", "$SOA 0 a.t h.t 0 1h 1m 1w 30"),
    *("$SOA 5m a.t h.t 7 1h 1m 1w 30", "$SOA 5m a.t h.t 7 1h 1m 1w", "$TIMESTAMP 2010:01:01"),
    *("$TIMESTAMP 2010:1:1 2036-01-01", "$TIMESTAMP 20100101 +9999w", "$nameserver 1d q.t"),
)
_ODD_IPV4 = (
    *("010.1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2", "10.", "a.b", "10/", "10/8x", "10/8:2:x", "0/0"),
    *("10.1.2.3#c", "127-130", "10-12/8", "1.2.3.4 /24", "127-127.0.0", "0/1"),
)
_ODD_IPV6 = (
    *("::", "::1", "1::", "1::2:", "2001:db8:", "::ffff:1.2.3.4", "::ffff:7f00:2", "2002:7f00:2::", "g::1"),
    *("12345::", "1:2:3:4:5:6:7:8:9", "::1::2", "2002:a00:1::/48", "::ffff:0:0/96"),
)
_LABELS = ("a", "b", "c", "com", "test", "*", "x1", "UP", "a-b", "_d", r"e\.f", r"g\065")
_ASKED_LABELS = ("a", "b", "c", "com", "test", "x1", "up", "a-b", "_d", r"e\.f", "gA", "zz", "*")
_RECORDS = (
    *("A 127.0.0.1", "A 10.1", "A x", 'TXT "q"', "TXT plain text", 'TXT "half', 'TXT ""', "MX 10 mx.t"),
    *("MX 10 m.bl.test.", "MX x y", "AAAA ::1", "A", "a 1.2.3.4 tail", "TXT", "MX 70000 x"),
)
_KINDS = ("ip4set", "ip4set", "ip4trie", "ip4tset", "ip6trie", "ip6tset", "dnset", "generic", "combined")
_OPTIONS: tuple[list[str], ...] = ([], [], [], ["-e"], ["-a"], ["-t", "30m:5m:1h"], ["-t", ":5m:1h"])


class MadeUp:
    """Data files, arguments and questions, always the same for one *seed*."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.files: dict[str, str] = {}
        zones = [self._zone(number) for number in range(self._random.randint(1, 3))]
        self.arguments = [*self._pick(_OPTIONS), *zones]

    def questions(self) -> Iterator[dict[str, str]]:
        """Yield questions of which about half find something."""
        for _ in range(_ASKED):
            apex = self._pick(
                ("bl.test", "bl.test", "sub.bl.test", "a.bl.test", "other.test", "x.sub.bl.test")
            )
            name = f"{self._asked()}.{apex}".removeprefix(".")
            rtype = self._pick(("A", "A", "TXT", "TXT", "ANY", "MX", "NS", "SOA", "AAAA"))
            yield {"name": name, "type": rtype}

    def _pick(self, among: Sequence[Any]) -> Any:  # noqa: ANN401 — of whatever there is to pick from
        return self._random.choice(among)

    def _zone(self, number: int) -> str:
        kind = self._pick(_KINDS)
        names = []
        for which in range(self._pick((1, 1, 1, 2))):
            lines = list(_HEADER) if self._random.random() < 0.7 else []
            if kind == "combined":
                for _ in range(self._random.randint(1, 4)):
                    inner = self._pick(("ip4set", "ip4trie", "ip4tset", "ip6trie", "dnset", "generic"))
                    apexes = self._random.sample(
                        ["@", "sub", "a", "x.sub", "com"], self._random.randint(1, 3)
                    )
                    lines.append(f"$DATASET {inner}{self._pick(('', ':nick'))} {' '.join(apexes)}")
                    lines += self._lines(inner, 8)
            else:
                lines += self._lines(kind, 25)
            name = f"file{number}{which}"
            names.append(name)
            self.files[name] = "\n".join(lines) + self._pick(("\n", "\n", "\n", ""))
        return f"{self._pick(('bl.test', 'bl.test', 'sub.bl.test', 'other.test'))}:{kind}:{','.join(names)}"

    def _lines(self, kind: str, most: int) -> Iterator[str]:
        for _ in range(self._random.randint(0, most)):
            chance = self._random.random()
            if chance < 0.08 and kind != "generic":
                yield self._pick((":2:default $", ":3", ":4:", ":bad", ":9:x :"))
            elif chance < 0.13:
                yield self._pick(("", "# c", ";c"))
            elif chance < 0.2:
                yield self._pick(_SPECIALS)
            else:
                yield self._pick(("", "", "", "  ")) + self._entry(kind)

    def _entry(self, kind: str) -> str:
        if kind == "generic":
            owner = self._pick(("@", "www", self._name()))
            return f"{owner} {self._pick(('', '', '100 ', '5m ', 'IN ', '100 IN '))}{self._pick(_RECORDS)}"
        makers: dict[str, Callable[[], str]] = {
            "ip4set": self._range,
            "ip4trie": self._range,
            "ip4tset": lambda: str(self._pick((self._ipv4(), self._ipv4(), self._prefix()))),
            "ip6trie": lambda: (
                self._ipv6() + self._pick(("", "/0", "/1", "/16", "/47", "/64", "/128", "/129"))
            ),
            "ip6tset": lambda: str(self._pick((self._ipv6(), ":".join(self._group() for _ in range(4))))),
            "dnset": lambda: str(self._pick(("", "", "*.", ".", "!.", "!*."))) + self._name(),
        }
        return str(self._pick(("", "", "", "", "!", "! ")) + makers[kind]() + self._pick(_VALUES))

    def _ipv4(self) -> str:
        rest = (str(self._pick((0, 1, 2, 3, 127, 128, 254, 255))) for _ in range(3))
        return ".".join([self._pick(("10", "10", "10", "127", "0", "255")), *rest])

    def _prefix(self) -> str:
        return ".".join(self._ipv4().split(".")[: self._random.randint(1, 4)])

    def _range(self) -> str:
        lengths = (0, 1, 4, 7, 8, 9, 12, 15, 16, 17, 20, 23, 24, 25, 30, 31, 32, 33)
        return str(
            self._pick(
                (
                    self._ipv4(),
                    self._prefix(),
                    f"{self._prefix()}/{self._pick(lengths)}",
                    f"{self._prefix()}-{self._prefix()}",
                    f"{self._prefix()}-{self._pick((0, 1, 3, 127, 255))}",
                    self._pick(_ODD_IPV4),
                )
            )
        )

    def _group(self) -> str:
        return str(self._pick(("0", "1", "ffff", "dead", "2001", "db8", "a", "00b")))

    def _ipv6(self) -> str:
        before = [self._group() for _ in range(self._random.randint(0, 4))]
        after = [self._group() for _ in range(self._random.randint(0, 3))]
        return str(
            self._pick(
                (":".join([*before, "1"]), ":".join(before) + "::" + ":".join(after), *_ODD_IPV6[:2])
            )
        )

    def _name(self) -> str:
        made = ".".join(self._pick(_LABELS) for _ in range(self._random.randint(1, 4)))
        return str(self._pick((made, made, made, made, made + ".", "a..b", "x" * 64 + ".a")))

    def _asked(self) -> str:
        chance = self._random.random()
        if chance < 0.5:
            return ".".join(reversed(self._ipv4().split(".")))
        if chance < 0.7:
            mapped = f"::ffff:{IPv4Address(self._ipv4())}"
            address = ip_address(
                self._pick(("::1", "2002:a00:1::1", "2001:db8::1", "1::2", "dead::a", mapped))
            )
            return ".".join(reversed(address.exploded.replace(":", "")))
        return ".".join(self._pick(_ASKED_LABELS) for _ in range(self._random.randint(0, 4)))
