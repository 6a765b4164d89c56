#!/bin/sh
# Writes requirements.lock (to run) and requirements-dev.lock (to test) from pyproject.toml.
# Names, versions and hashes only: no index address may be committed. Needs uv (`pip install uv`).
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        pyproject.toml "$@"
}
compile --group build -o requirements.lock
compile --group build --group dev -o requirements-dev.lock
