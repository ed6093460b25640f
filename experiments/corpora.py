"""The two small corpora that the studies train on.

    python experiments/corpora.py ambient|drums|all

Recordings of Sonic Pi, each placed in the public domain (CC0) by its author on freesound: twenty drones, glasses,
guitars, bells and a choir (`ambient`, 94 s), and twenty single strokes (`drums`). They come out of Debian's package
sonic-pi-samples, which apt-get downloads (22 MB; no root, nothing is installed), into outputs/corpora/ambient and
outputs/corpora/drums, which git ignores. What the files are is in corpora.sha256; others are refused.

Ends with 2, in words, where apt-get or dpkg-deb is not there, or the package cannot be had.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from universal_hifigan.fetch import Missing, download, unpack

HERE = Path(__file__).resolve().parent
PACKAGE, VERSION = "sonic-pi-samples", "3.2.2"
NAMES = ("ambient", "drums")


def wanted(name: str) -> dict[str, str]:
    """File name → SHA-256 of each recording of the corpus."""
    lines = [line.split() for line in (HERE / "corpora.sha256").read_text().splitlines()]
    return {path.removeprefix(f"{name}/"): digest for digest, path in lines if path.startswith(f"{name}/")}


def whole(folder: Path, files: dict[str, str]) -> bool:
    """Whether the folder holds these files, and no others."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(files):
        return False
    return all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in files.items())


def build(name: str, content: Path, target: Path) -> None:
    """Put the corpus's recordings out of the unpacked package into the folder `target`, all or nothing.

    Raises:
        Missing: the package has not all of them, or they are others; or there is a `target` that is something else.
    """
    files = wanted(name)
    if target.exists():
        raise Missing(f"{target} is there, and is not this corpus: move it away, and try again")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for path in content.rglob("*.flac"):
        if path.name in files:
            shutil.copyfile(path, partial / path.name)
    if not whole(partial, files):
        shutil.rmtree(partial)
        raise Missing(f"{content.name} holds other recordings than those of {name} that the studies were made with")
    partial.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=(*NAMES, "all"))
    corpora = HERE.parent / "outputs" / "corpora"
    parser.add_argument("--out", type=Path, default=corpora, help="where the corpora's folders are made")
    options = parser.parse_args()
    chosen = NAMES if options.corpus == "all" else (options.corpus,)
    missing = [name for name in chosen if not whole(options.out / name, wanted(name))]
    try:
        if missing:
            with tempfile.TemporaryDirectory() as folder:
                content = unpack(download("debian", PACKAGE, VERSION, Path(folder)), Path(folder) / "unpacked")
                for name in missing:
                    build(name, content, options.out / name)
    except (Missing, OSError) as error:
        print(
            f"error: {error}\n{PACKAGE} is a package of Debian and of what is made of it; where apt-get knows no "
            "packages yet, `apt-get update` fetches their list.\nElsewhere put Sonic Pi's own samples, where "
            f"{HERE / 'corpora.sha256'} says, into {options.out}, and run this again: it checks them.",
            file=sys.stderr,
        )
        sys.exit(2)
    for name in chosen:
        print(f"{options.out / name}: {len(wanted(name))} recordings, {'made' if name in missing else 'there already'}")


if __name__ == "__main__":
    main()
