"""Recordings in several folders as one corpus."""

import os
from dataclasses import replace
from pathlib import Path

from omegaconf import ListConfig

from distillgan.data.manifest import Entry, Manifest
from distillgan.data.scan import mark_duplicates, split
from distillgan.errors import UserError


def folders(value: object) -> list[str] | None:
    """`data.dir` as a list: one path or several; None for None, the demo corpus. Raises UserError if it is neither."""
    if value is None:
        return None
    listed = list(value) if isinstance(value, list | tuple | ListConfig) else [value]
    if not listed or not all(isinstance(item, str | int | float) and str(item).strip() for item in listed):
        raise UserError(f"data.dir={value} must be the path of a folder, or a list of such")
    return [str(item) for item in listed]


def merged(manifests: list[Manifest]) -> Manifest:
    """One corpus of several folders: their common parent is its folder, what lies in two of them is there once."""
    if len(manifests) == 1:
        return manifests[0]
    root = os.path.commonpath([manifest.folder for manifest in manifests])
    entries: dict[tuple[str, int], Entry] = {}
    for manifest in manifests:
        for entry in manifest.entries:
            path = Path(os.path.relpath(os.path.join(manifest.folder, entry.path), root)).as_posix()
            kept = entries.get((path, entry.channel))
            if kept is None or kept.reason:
                entries[path, entry.channel] = replace(entry, path=path)
    listed = sorted(entries.values(), key=lambda entry: (entry.path.casefold(), entry.path, entry.channel))
    others, appledouble = (sum(getattr(m, name) for m in manifests) for name in ("other_files", "appledouble"))
    return Manifest(root, manifests[0].sample_rate, split(mark_duplicates(listed)), others, appledouble)
