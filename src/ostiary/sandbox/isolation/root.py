"""The file system that walled-off programs see: built from copies, never the host's own folders.

`build_root` plans which files belong in it, names the plan by what the files are, and copies them
once. A root that stands is never changed: another Python, another library, another root.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation.cache import blocked, make_folder
from ostiary.sandbox.isolation.interpreter import Interpreter, inspect, library_files
from ostiary.sandbox.isolation.libraries import closure, loader

_FORM: Final = 1
"""Goes up when a root is laid out in another way."""

_PYTHON: Final = "/python"
_USUAL_LOADER_FOLDERS: Final = ("/lib", "/lib64")
_EXPECTED_BY_WHEELS: Final = (
    "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1", "libresolv.so.2",
    "libgcc_s.so.1", "libstdc++.so.6", "libatomic.so.1", "libz.so.1", "libexpat.so.1",
)  # fmt: skip
"""What binary wheels for Linux may take for granted, as far as programs without a screen go."""
_CERTIFICATES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
_FOLDERS: Final = ("dev", "etc", "proc", "tmp", "work")
_ETC: Final = {
    "etc/passwd": "sandbox:x:65534:65534:sandbox:/tmp:/nonexistent\n",
    "etc/group": "sandbox:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


class Root(msgspec.Struct, frozen=True):
    """A built file system: `path` on the host, `python` inside, `key` for what it was built from.

    `programs` are the paths inside of the further programs, in the order they were given.
    `certificates` is the bundle inside, or empty where the host has none.
    """

    path: str
    python: str
    key: str
    version: str
    programs: tuple[str, ...] = ()
    certificates: str = ""


class _Source(msgspec.Struct, frozen=True, array_like=True):
    """A file of the plan: its path inside without the first slash, where it lies, and as of when."""

    target: str
    path: str
    size: int
    modified: int


class _Plan(msgspec.Struct, frozen=True):
    version: str
    name: str
    programs: tuple[str, ...]
    sources: tuple[_Source, ...]

    def key(self) -> str:
        return hashlib.sha256(msgspec.msgpack.encode((_FORM, self))).hexdigest()[:32]

    def fresh(self) -> bool:
        """Whether every file is still the one that was planned for."""
        return all(_source(one.target, Path(one.path)) == one for one in self.sources)


def build_root(cache: Path, python: Path, extra_programs: tuple[Path, ...] = ()) -> Root:
    """The root for this interpreter and these programs, below `cache`; built when it is not there.

    Takes some seconds the first time and milliseconds afterwards. Two processes may build the same
    one at once. Raises CallerFault for an interpreter that cannot be used or, started as root, a
    cache folder that other users cannot reach, and GatewayFault when it cannot be written.
    """
    try:
        base = cache / "roots"
        make_folder(base)
        plan = _planned(base, python, extra_programs)
        folder = base / plan.key()
        if not folder.is_dir():
            _build(folder, plan)
        if os.geteuid() == 0 and (closed := blocked(folder)) is not None:
            raise CallerFault(
                f"the workers' users cannot reach {folder}: {closed} is closed to them",
                hint="set OSTIARY_CACHE_DIR to a folder that every user can pass through",
            )
    except OSError as error:
        raise GatewayFault(f"cannot build the file system of the workers: {error}") from error
    certificates = _BUNDLE if (folder / _BUNDLE[1:]).is_file() else ""
    inside = f"{_PYTHON}/bin/{plan.name}"
    return Root(str(folder), inside, plan.key(), plan.version, plan.programs, certificates)


def _planned(base: Path, python: Path, extra: tuple[Path, ...]) -> _Plan:
    """The plan kept from last time if its files are unchanged, else a new one."""
    asked = repr((_FORM, str(python.resolve()), [str(path.resolve()) for path in extra]))
    kept = base / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.plan"
    try:
        plan = msgspec.json.decode(kept.read_bytes(), type=_Plan)
        if plan.fresh():
            return plan
    except (OSError, msgspec.DecodeError):
        pass  # none, or of another version
    plan = _plan(inspect(python), extra)
    draft = base / f"{kept.name}.{secrets.token_hex(8)}"
    draft.write_bytes(msgspec.json.encode(plan))
    draft.replace(kept)
    return plan


def _plan(found: Interpreter, extra: tuple[Path, ...]) -> _Plan:
    program = Path(found.program)
    library = list(library_files(found))
    modules = [path for name, path in library if name.endswith(".so")]
    files = {f"python/bin/{found.name}": program}
    files |= {f"python/lib/{found.name}/{name}": path for name, path in library}
    files |= dict(_with_libraries(program, modules))
    programs: list[str] = []
    for path in extra:
        files[f"bin/{path.name}"] = path.resolve()
        files |= dict(_with_libraries(path.resolve(), ()))
        programs.append(f"/bin/{path.name}")
    bundle = next((Path(name) for name in _bundles() if Path(name).is_file()), None)
    if bundle is not None:
        files[_BUNDLE[1:]] = bundle
    sources = tuple(_source(target, path) for target, path in sorted(files.items()))
    return _Plan(found.version, found.name, tuple(programs), sources)


def _with_libraries(program: Path, modules: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The loader of `program`, the libraries of it and its modules, and what wheels expect."""
    asked = loader(program)
    if asked is None:
        return
    where = Path(asked)
    usual = str(where.parent) in _USUAL_LOADER_FOLDERS
    yield (f"lib/{where.name}" if usual else asked[1:]), where
    needed = closure(asked, [program, *modules])
    beside = {path.parent for path in needed.values()} | {where.resolve().parent}
    for name in _EXPECTED_BY_WHEELS:
        there = next((folder / name for folder in sorted(beside) if (folder / name).is_file()), None)
        if there is not None:
            needed |= {name: there} | closure(asked, [there])
    for name, path in needed.items():
        yield f"lib/{name}", path


def _bundles() -> tuple[str, ...]:
    return (*_CERTIFICATES, ssl.get_default_verify_paths().cafile or "")


def _source(target: str, path: Path) -> _Source:
    try:
        state = path.stat()
    except OSError:
        return _Source(target, str(path), -1, 0)
    return _Source(target, str(path), state.st_size, state.st_mtime_ns)


def _build(folder: Path, plan: _Plan) -> None:
    """Copy everything into a draft and put that in place in one step."""
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.{secrets.token_hex(8)}")
    try:
        _fill(draft, plan)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody else was faster: theirs is the same
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, plan: _Plan) -> None:
    for name in _FOLDERS:
        make_folder(draft / name)
    for one in plan.sources:
        target = draft / one.target
        make_folder(target.parent)
        shutil.copyfile(one.path, target)
        os.utime(target, ns=(one.modified, one.modified))  # compiled files name the time of their source
        runs = one.target.startswith(("bin/", "python/bin/")) or ".so" in target.name
        target.chmod(0o555 if runs else 0o444)
    for name, text in _ETC.items():
        (draft / name).write_text(text)
        (draft / name).chmod(0o444)
    make_folder(draft / "bin")
    (draft / "bin" / "python3").symlink_to(f"..{_PYTHON}/bin/{plan.name}")
    for name in ("python", "python3"):
        (draft / "python/bin" / name).symlink_to(plan.name)
    make_folder(draft / "lib")
    (draft / "lib64").symlink_to("lib")
