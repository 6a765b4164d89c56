"""Garbage is looked for rarely at a start, and as ever once the program serves."""

import subprocess
import sys

SCRIPT = """
import gc
from rbl.cli import garbage
usual = gc.get_threshold()
garbage.look_as_ever()
print(gc.get_freeze_count() == 0)
garbage.look_rarely()
print(gc.get_threshold()[0] > 10 * usual[0])
garbage.look_as_ever()
print(gc.get_threshold() == usual, gc.get_freeze_count() > 10_000)
"""


def test_garbage_is_looked_for_rarely_at_a_start() -> None:
    """What was there when it began to serve is passed over from then on, if that was changed before."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert ["True", "True", "True True"] == ran.stdout.splitlines()
