"""The whole API against its own description: every check of schemathesis, as nobody and with each role."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rbl.terms import Role
from tests.web.conftest import Served
from tests.web.world import World

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
# What covers every parameter's every fault takes a thousand requests: once, with the key that may do all.
# For the others there is the table in test_roles, of every operation.
PHASES = {Role.ADMIN: "examples,coverage,fuzzing,stateful"}
OTHER_PHASES = "examples,fuzzing,stateful"


@pytest.mark.unmeasured
@pytest.mark.timeout(900)  # a thousand requests, on a machine that may be busy
@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role.value if role else "nobody")
def test_the_api_does_as_it_says(
    server: Served, world: World, key: Callable[..., dict[str, str]], tmp_path: Path, role: Role | None
) -> None:
    """No status, field or form that its description does not have, and nothing refused that it allows."""
    world.list_it()
    headers = [] if role is None else ["--header", f"Authorization:{key(role)['Authorization']}"]

    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(FOLDER / "schemathesis.toml")),
            *("run", f"{server.url}/v1/openapi.json", "--url", server.url),
            *("--checks", "all", "--phases", PHASES.get(role or Role.NOMINATOR, OTHER_PHASES)),
            *("--generation-deterministic", "--max-examples", "5", "--continue-on-failure"),
            *("--request-timeout", "60", "--output-sanitize", "true", "--no-color"),
            *headers,
        ],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.web.openapi_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == ran.returncode, ran.stdout + ran.stderr
