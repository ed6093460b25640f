#!/usr/bin/env bash
# librosa 0.11.0: the probability that pyin() gives a frame of being voiced falls with the pitch, for tones that are all
# equally steady: its difference function compares a frame with itself shifted inside the same frame, but does not count
# what the shift pushes out at the end, so that a period of T samples in a frame of N leaves an error of about T / N.
# A threshold on voiced_prob is therefore a high-pass: with 2048 samples at 22050 Hz a perfect 55 Hz sine stays under 0.5.
# Seen (frame_length=2048, sr=22050, fmin=50, fmax=1760; mean of voiced_prob of sines of 2 s, without the ends):
#    440 Hz 0.98   220 Hz 0.95   110 Hz 0.79   82.4 Hz 0.69   65.4 Hz 0.55   55 Hz 0.43
# and with frame_length=8192 the 55 Hz sine has 0.95. Around it: frames of at least six periods of the lowest pitch.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check librosa==0.11.0 numpy==2.2.6 numba==0.61.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import librosa
import numpy as np

RATE = 22050
time = np.arange(2 * RATE) / RATE


def voiced(hertz: float, frame: int) -> float:
    wave = (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    _, _, probability = librosa.pyin(wave, fmin=50, fmax=1760, sr=RATE, frame_length=frame)
    return float(probability[8:-8].mean())


print("librosa", librosa.__version__)
found = {hertz: voiced(hertz, 2048) for hertz in (440, 220, 110, 82.4, 65.4, 55)}
long = voiced(55, 8192)
for hertz, probability in found.items():
    print(f"{hertz:6.1f} Hz, frame 2048: voiced_prob {probability:.2f}")
print(f"  55.0 Hz, frame 8192: voiced_prob {long:.2f}")
values = list(found.values())
as_described = all(a > b for a, b in zip(values, values[1:])) and values[0] > 0.9 and values[-1] < 0.5 and long > 0.85
sys.exit(0 if as_described else 1)
PYTHON
