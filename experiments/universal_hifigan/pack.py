"""The corpus in tar files below a limit of size, for a machine without a network."""

import io
import json
import tarfile
from collections import defaultdict
from pathlib import Path

_RESERVE = 2e6  # of a pack's size: the manifest, the tar's own end


def pack(corpus: Path, target: Path, limit: float, parts: int) -> None:
    """Writes `target`, name.2.tar … up to `parts`, each of at most `limit` bytes; what is held out is in the first."""
    manifest = json.loads((corpus / "manifest.json").read_text())
    size = {entry["file"]: _size(corpus / entry["file"]) for entry in manifest["pieces"]}
    held_out = [entry for entry in manifest["pieces"] if entry["file"].startswith("held_out/")]
    queue = evenly([entry for entry in manifest["pieces"] if entry["file"].startswith("train/")], size)
    room = limit - _RESERVE - sum(size[entry["file"]] for entry in held_out)
    if room < 0:
        raise SystemExit(f"what is held out takes more than {limit / 1e6:.0f} MB: raise --limit-mb")
    for part in range(1, parts + 1):
        chosen = held_out if part == 1 else []
        while queue and size[queue[0]["file"]] <= room:
            room -= size[queue[0]["file"]]
            chosen = [*chosen, queue.pop(0)]
        path = target if part == 1 else target.with_suffix(f".{part}{target.suffix}")
        _write(path, corpus, manifest["sources"], chosen, part)
        minutes = sum(entry["seconds"] for entry in chosen if entry not in held_out) / 60
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(chosen)} pieces, {minutes:.1f} min to train on")
        room = limit - _RESERVE
    print(f"On the other machine: mkdir -p corpus && tar -xf {target.name} -C corpus   (each part, in any order)")
    print("then: python experiments/universal_hifigan/train.py vocoder=harmonic data.dir=corpus name=harmonic")


def evenly(entries: list[dict], size: dict[str, int]) -> list[dict]:
    """The entries in an order in which, wherever it is cut, every source has about as many bytes as any other."""
    waiting = defaultdict(list)
    for entry in reversed(entries):
        waiting[entry["source"]].append(entry)
    taken, order = dict.fromkeys(waiting, 0), []
    while waiting:
        source = min(waiting, key=taken.__getitem__)
        order.append(waiting[source].pop())
        taken[source] += size[order[-1]["file"]]
        if not waiting[source]:
            del waiting[source]
    return order


def _size(path: Path) -> int:
    """Bytes in a tar: a header of 512, and the content in blocks of 512."""
    return 512 + -(-path.stat().st_size // 512) * 512


def _write(path: Path, corpus: Path, sources: dict, entries: list[dict], part: int) -> None:
    listing = json.dumps({"sources": sources, "pieces": entries}, indent=1).encode()
    name = "manifest.json" if part == 1 else f"manifest.{part}.json"
    with tarfile.open(path, "w") as archive:
        header = tarfile.TarInfo(name)
        header.size = len(listing)
        archive.addfile(header, io.BytesIO(listing))
        for entry in entries:
            archive.add(corpus / entry["file"], entry["file"])
