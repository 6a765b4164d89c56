"""Builds the compiled hot path into the package where that is possible (hatchling's build hook).

Without Cython, a compiler or Python's headers, and whatever else may fail, the package is built without
it, for every machine alike, and answers DNS from the reference path. BUILD_HOT_PATH=no leaves it out on
purpose; BUILD_HOT_PATH=yes fails where it cannot be built.
"""

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MODULE = "rbl.responder._hotpath"
_SOURCE = "rbl/responder/_hotpath.pyx"
# Nothing of this machine alone (-march): a wheel goes to others. The two warnings are about Cython's C.
_OPTIONS = ["-O3", "-g0", "-Wno-sign-compare", "-Wno-discarded-qualifiers"]


class HotPathHook(BuildHookInterface[Any]):
    """Compiles ``_hotpath.pyx``: into the checkout for an editable install, else into the wheel."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the extension, and have the wheel say for which Python and machine it is."""
        wish = os.environ.get("BUILD_HOT_PATH", "")
        if self.target_name != "wheel" or wish == "no":
            return
        root = Path(self.root)
        name = "_hotpath" + sysconfig.get_config_var("EXT_SUFFIX")
        in_checkout = root / "rbl" / "responder" / name
        self._folder = tempfile.TemporaryDirectory(prefix="rbl-build-")
        try:
            built = compile_extension(root, Path(self._folder.name), _OPTIONS)
        except (Exception, SystemExit) as fault:
            if wish == "yes":
                raise
            if version == "editable":
                in_checkout.unlink(missing_ok=True)  # it would be of older sources
            self.app.display_warning(f"rbl is built without its compiled DNS path: {fault}")
            return
        if version == "editable":
            in_checkout.unlink(missing_ok=True)  # a program that runs keeps the old one
            shutil.copy2(built, in_checkout)
        else:
            build_data["force_include"][str(built)] = f"rbl/responder/{name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was built, which the wheel has now."""
        if self._folder is not None:
            self._folder.cleanup()


def compile_extension(root: Path, folder: Path, options: list[str], links: tuple[str, ...] = ()) -> Path:
    """Return the extension that was built in *folder* from the sources under *root*."""
    from Cython.Build import cythonize  # noqa: PLC0415  # may not be there
    from setuptools import Distribution, Extension  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    before = Path.cwd()
    os.chdir(root)  # so that the sources are named alike wherever the checkout is
    try:
        extension = Extension(_MODULE, [_SOURCE], extra_compile_args=options, extra_link_args=list(links))
        extensions = cythonize([extension], build_dir=str(folder / "c"), force=True, quiet=True)
        command = build_ext(Distribution({"name": "rbl", "ext_modules": extensions}))
        command.build_lib = str(folder / "lib")
        command.build_temp = str(folder / "objects")
        command.ensure_finalized()
        command.run()
        return Path(command.get_ext_fullpath(_MODULE))
    finally:
        os.chdir(before)
