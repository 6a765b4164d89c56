# ruff: noqa: INP001, T201  # a program, not a package
"""Holds the compiled path to the reference path over spoiled queries, watched by sanitizers.

Usage: python tools/fuzz.py [packets [seed]]        a million, and a new seed each time

Builds the hot path with AddressSanitizer and UndefinedBehaviorSanitizer into .make/fuzz, then asks both
paths the same: every packet in memory of its own, so that an octet read beside it is seen; and a part
of them over real sockets, with several threads, while generations are swapped. Ends with status 1 where
an answer differs or a sanitizer finds something; the seed printed at the start brings it back.
"""

import importlib.util
import logging
import os
import random
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_FOLDER = _ROOT / ".make" / "fuzz"
_MODULE = "rbl.responder._hotpath"
_SANITIZE = [
    "-O1",
    "-g",
    "-w",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]
_WATCHED = "FUZZ_IS_WATCHED"  # says to this program that it is the one that is watched
_SWAPS = 200
_MADE_UP = 100  # sets of data files


def main() -> None:
    """Build, then run this program again with the sanitizers; or, there, compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().getrandbits(32)
    if os.environ.pop(_WATCHED, ""):
        sys.exit(compare(count, seed))
    print(f"fuzz: {count:,} packets, seed {seed}", flush=True)
    build()
    environment = {
        **os.environ,
        _WATCHED: "yes",
        "LD_PRELOAD": library("libasan.so"),
        # Each bytes object in memory of its own; what Python keeps to its end is no leak.
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    command = [sys.executable, __file__, str(count), str(seed)]
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)  # noqa: S603


def build() -> None:
    """Build the extension with the sanitizers."""
    sys.path.insert(0, str(_ROOT))
    import hatch_build  # noqa: PLC0415  # needs what is only there to build

    with tempfile.TemporaryDirectory() as folder:
        built = hatch_build.compile_extension(
            _ROOT, Path(folder), _SANITIZE, ("-fsanitize=address,undefined",)
        )
        _FOLDER.mkdir(parents=True, exist_ok=True)
        built.replace(_FOLDER / built.name)


def library(name: str) -> str:
    """Return where the compiler has its library *name*."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    asked = [compiler, f"-print-file-name={name}"]
    return subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603


def load() -> None:
    """Have the watched extension stand for the built one."""
    sys.path.insert(0, str(_ROOT))
    file = _FOLDER / f"_hotpath{sysconfig.get_config_var('EXT_SUFFIX')}"
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)


def compare(count: int, seed: int) -> int:
    """Compare both paths, and return the exit status."""
    load()
    from tests.responder import differential  # noqa: PLC0415  # now with the watched extension

    world = differential.make_world()
    outcomes, differences = differential.compare_mutated(world, count, seed)
    limited = {"responses_per_second": 5, "slip": 2, "exempt": []}
    settings = {"rate_limit": limited, "server_id": "ns1", "cookie_secrets": differential.SECRETS}
    narrow = differential.make_world(differential.DNS.model_validate(settings))
    more, others = differential.compare_mutated(narrow, count // 10, seed + 1, differential.CLIENTS[:1])
    print(
        "fuzz:",
        ", ".join(f"{name or 'handed up'} {times:,}" for name, times in (outcomes + more).most_common()),
    )
    of_files = compare_files(count // 4, seed + 2)
    for difference in (*differences, *others, *of_files):
        print(difference)
    over_sockets(differential, world, min(count // 10, 20_000), seed)
    return 1 if differences or others or of_files else 0


def compare_files(count: int, seed: int) -> list[str]:
    """Compare both paths over rbldnsd's data files, and return the first few differences."""
    import structlog  # noqa: PLC0415

    from tests.responder import filedifferential  # noqa: PLC0415  # now with the watched extension
    from tests.responder.madeup import MadeUp  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        world = filedifferential.make_world(Path(folder))
        outcomes, differences = filedifferential.compare_mutated(world, count, seed)
    for made_up in range(seed, seed + _MADE_UP):
        with tempfile.TemporaryDirectory() as folder:
            made = MadeUp(made_up)
            world = filedifferential.make_world(Path(folder), made.arguments, made.files)
            packets = filedifferential.asked(made)
            differences += [
                told for each in packets if (told := filedifferential.differing(world, each)[1])
            ]
            more, others = filedifferential.compare_mutated(world, count // _MADE_UP, seed, packets)
        outcomes, differences = outcomes + more, differences + others
    told = ", ".join(f"{name or 'handed up'} {times:,}" for name, times in outcomes.most_common())
    print("fuzz: data files:", told)
    return differences


def over_sockets(differential, world, count: int, seed: int) -> None:  # noqa: ANN001  # loaded late
    """Send spoiled packets to several threads while generations are swapped."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from rbl.config import Listen  # noqa: PLC0415
    from rbl.responder.answer import answer  # noqa: PLC0415
    from rbl.responder.counters import Counters  # noqa: PLC0415
    from rbl.responder.server import Hot, Server  # noqa: PLC0415

    chance = random.Random(seed)  # noqa: S311
    packets = differential.seeds()
    server = Server(
        [Listen("0.0.0.0", 0), Listen("::1", 0)],  # noqa: S104
        lambda packet, client: answer(packet, client, world.catalogue, world.rules, differential.NOW),
        Counters(CollectorRegistry()),
        hot=Hot(world.hot_path, 2),
    )
    server.start()
    swapping = threading.Thread(target=lambda: [world.hot_path.publish() for _ in range(_SWAPS)])
    swapping.start()
    for listen in server.bound:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1" if family == socket.AF_INET else "::1", listen.port))
            for _ in range(count // 2):
                client.send(differential.mutated(chance.choice(packets), chance))
    swapping.join()
    server.stop()


if __name__ == "__main__":
    main()
