"""Whether the compiled hot path is there; it is built with the package where there is a compiler.

Light on purpose: ``rbl --version`` asks this too. Logs nothing.
"""

import importlib

from rbl.config import Dns
from rbl.errors import ConfigError

_MODULE = "rbl.responder._hotpath"


def is_built(module: str = _MODULE) -> bool:
    """Whether the compiled *module* is there and can be loaded."""
    return _fault(module) is None


def is_wanted(dns: Dns, module: str = _MODULE) -> bool:
    """Whether the hot path answers, as *dns* says and as it is there.

    Raises:
        ConfigError: the settings insist on it and it is not there.
    """
    fault = _fault(module)
    if dns.path == "compiled" and fault is not None:
        raise ConfigError([f"dns.path: the compiled path is wanted, and there is none: {_why(fault)}"])
    return dns.path != "reference" and fault is None


def describe(module: str = _MODULE, *, wanted: bool = True, unwanted: str = "dns.path says so") -> str:
    """Return in words which path answers, and why not the other; *unwanted* is why it is not *wanted*."""
    fault = _fault(module)
    if fault is not None:
        return f"reference path: {_why(fault)}"
    return "compiled path" if wanted else f"reference path: {unwanted}"


def _fault(module: str) -> ImportError | None:
    try:
        importlib.import_module(module)
    except ImportError as fault:
        return fault
    return None


def _why(fault: ImportError) -> str:
    """Return why there is no compiled path: not built is common, not loadable a fault to look into."""
    if isinstance(fault, ModuleNotFoundError):
        return "it was not built, for want of a C compiler or of Python's headers"
    return f"it cannot be loaded ({fault})"
