"""Which ways of answering a test can be told for: the compiled one is there where it could be built.

That it is built wherever there is a compiler is what tests/responder/test_compiled.py holds.
"""

from rbl.responder import compiled

DNS_PATHS = ("compiled", "reference") if compiled.is_built() else ("reference",)
