#!/usr/bin/env bash
# libsndfile 1.2.2 (soundfile 0.14.0): the Ogg Vorbis that write() makes depends on how the samples are handed over. The
# same sound written in blocks of 65536, 4096 and 1000 samples decodes to three different waves, of as many samples each,
# though nothing but the size of the calls differs; FLAC and MP3 do not depend on it. So "same input, same file" holds for
# Vorbis only if the sizes of the blocks are part of the input.
# Seen (noise of up to 0.2 RMS in two channels, 6.8 s): .ogg 3 different decodings of 3, at most 0.052 apart; .flac and
# .mp3 1 of 3.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.2.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import soundfile as sf

print("soundfile", sf.__version__, sf.__libsndfile_version__)
random = np.random.default_rng(0)
# Noise that is louder and quieter by turns: the encoder has transients to decide about.
loudness = np.repeat(random.random(301), 1000)[:300_001, None]
wave = (0.2 * random.standard_normal((300_001, 2)) * loudness).astype(np.float32)


def decoded(suffix: str, block: int, **kind) -> np.ndarray:
    with sf.SoundFile(f"a{suffix}", "w", 44100, 2, **kind) as file:
        for first in range(0, len(wave), block):
            file.write(wave[first : first + block])
    return sf.read(f"a{suffix}")[0]


def different(suffix: str, **kind) -> int:
    found = [decoded(suffix, block, **kind) for block in (65536, 4096, 1000)]
    apart = max(float(np.abs(found[0] - other).max()) for other in found[1:]) if len({len(f) for f in found}) == 1 else -1
    count = len({one.tobytes() for one in found})
    print(f"{suffix}: {count} different decodings of 3, lengths {[len(one) for one in found]}, at most {apart:.3g} apart")
    return count


counts = [
    different(".ogg", format="OGG", subtype="VORBIS"),
    different(".flac", format="FLAC", subtype="PCM_24"),
    different(".mp3", format="MP3", subtype="MPEG_LAYER_III"),
]
sys.exit(0 if counts == [3, 1, 1] else 1)
PYTHON
