"""Somebody tries keys by the thousand: none is taken, nobody else notices, and no log fills."""

import httpx2

from tests.attacks.target import Target

_TRIES = 2_000


def test_keys_are_tried(target: Target) -> None:
    """Two thousand keys of nobody's are refused and counted, and cost a few lines of log."""
    with httpx2.Client(base_url=target.web, timeout=30) as attacker:
        refused = {
            attacker.get("/v1/keys", headers={"Authorization": f"Bearer rbl_{number:043}"}).status_code
            for number in range(_TRIES)
        }

    assert {401} == refused
    target.is_well()
    target.used(memory_mib=32, disk_mib=1, log_lines=200)
    counted = target.admin("GET", "/metrics").text
    assert f'rbl_api_keys_refused_total{{why="unknown"}} {_TRIES}.0' in counted
