"""Packets that are no queries: DNS, web and mail go on, and nothing grows."""

import random
import socket

from tests.attacks.target import Target

_PACKETS = 20_000


def test_packets_that_are_no_queries(target: Target) -> None:
    """Twenty thousand packets of chance cost neither memory nor disk nor a line of log each."""
    chance = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.connect(target.dns)
        for _ in range(_PACKETS):
            attacker.send(chance.randbytes(chance.randrange(1, 600)))

    target.is_well()
    target.used(memory_mib=32, disk_mib=1, log_lines=10)
