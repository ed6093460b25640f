#!/usr/bin/env bash
# soundfile 0.14.0 with libsndfile 1.2.2: an MP3 that is read block by block is other sound at the start of each block.
#
# SoundFile.read() seeks to where it is after every read, if the file is seekable. After a seek the MP3 decoder has lost
# the bit reservoir (what earlier frames left over for the next ones), and its first frames come out wrong: thousands of
# samples of every block, without an error. So do SoundFile.blocks(), soundfile.blocks() and read() in a loop; one read()
# of the whole file is right. A subclass whose seekable() returns False reads on without seeks and gets the same samples
# in any blocks.
#
# Seen, for a rising tone of 10 s, mono, written by soundfile itself, in blocks of 65536 samples (worst difference from the
# file read in one go, where full scale is 1, and how many samples differ by more than 0.001):
#   read() in a loop: 0.35 in 15062 samples of 441000
#   blocks(): 0.35 in 15062 samples of 441000
#   seekable() = False: 0 in 0 samples of 441000
#
# Exits 0 if that is what happens, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install soundfile==0.14.0 numpy==2.3.5
"$folder/venv/bin/python" - "$folder/tone.mp3" <<'PYTHON'
import sys

import numpy as np
import soundfile as sf


class Onward(sf.SoundFile):
    def seekable(self):
        return False


def in_blocks(kind):
    parts = []
    with kind(path) as file:
        while len(part := file.read(65536)):
            parts.append(part)
    return np.concatenate(parts)


path, rate = sys.argv[1], 44100
time = np.arange(10 * rate) / rate
sf.write(path, 0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time), rate, format="MP3")
whole = sf.read(path)[0]
found = {
    "read() in a loop": in_blocks(sf.SoundFile),
    "blocks()": np.concatenate(list(sf.blocks(path, 65536))),
    "seekable() = False": in_blocks(Onward),
}
print("soundfile", sf.__version__, sf.__libsndfile_version__)
wrong = {}
for name, wave in found.items():
    error = np.abs(wave - whole)
    wrong[name] = int((error > 0.001).sum())
    print(f"{name}: {error.max():.2g} in {wrong[name]} samples of {len(whole)}")
as_described = wrong["read() in a loop"] > 1000 and wrong["blocks()"] > 1000 and wrong["seekable() = False"] == 0
sys.exit(0 if as_described else 1)
PYTHON
