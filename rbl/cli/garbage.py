"""When Python looks for garbage: rarely while the program starts, and not at its end.

A start makes some hundred thousand objects, and nearly all of them stay. Python would look through them
for garbage many hundred times meanwhile, and once more before it ends: together a quarter of what a start
costs, or a short command.
"""

import atexit
import gc

# Objects more than at the last look, of those that can refer to others: a few megabytes.
_RARELY = 50_000
_AS_EVER = gc.get_threshold()


def look_rarely() -> None:
    """Look for garbage rarely from now on, and no more when the program ends, which frees everything."""
    gc.set_threshold(_RARELY)
    atexit.register(gc.freeze)


def look_as_ever() -> None:
    """Look for garbage as Python does by itself, and pass over what is there now: it stays."""
    if gc.get_threshold() != _AS_EVER:
        gc.set_threshold(*_AS_EVER)
        gc.freeze()
