"""Without the compiled path its tests are not collected; test_compiled.py says when that is a fault."""

from rbl.responder import compiled

_COMPILED = ["test_handedup.py", "test_hotfiles.py", "test_hotpath.py"]
collect_ignore = [] if compiled.is_built() else _COMPILED
