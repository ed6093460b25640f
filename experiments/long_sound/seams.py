"""Whether the edges of the blocks that a long sound was rendered in are louder than what lies between them.

    python experiments/long_sound/seams.py SOUND.wav

Spectral flux (the mean rise of 64 mel bands in dB, every 256 samples) within two hops of the edges of the decoder's
blocks (every 2048 mel frames) and of the vocoder's (every 256), against the flux everywhere; means, and the share above
the 95th percentile of everything, which is 5 % where there is no seam. Draws the spectrograms of four edges, too.
"""

import sys
from pathlib import Path

import librosa
import numpy as np
import torch

from distillgan.audio.io import open_audio
from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.audio.picture import draw_mels, save_picture

HOP, N_FFT, BANDS = 256, 1024, 64
EDGES = {"decoder": 2048 * 512, "vocoder": 256 * 512}  # samples
NEAR = 2
PIECE = 2**22  # samples at once, a multiple of HOP


def flux(path: Path) -> np.ndarray:
    """Spectral flux of the whole file, [T], piece by piece."""
    parts, before = [], np.zeros(N_FFT, np.float32)
    with open_audio(path) as file:
        while len(wave := file.read(PIECE).mean(1)):
            joined = np.concatenate([before, wave])
            bands = librosa.feature.melspectrogram(
                y=joined, sr=file.samplerate, n_fft=N_FFT, hop_length=HOP, n_mels=BANDS, center=False
            )
            levels = librosa.power_to_db(bands, amin=1e-9, top_db=None)
            parts.append(np.maximum(np.diff(levels), 0).mean(0))
            before = joined[len(joined) - N_FFT :]
    return np.concatenate(parts)


def main() -> None:
    path = Path(sys.argv[1])
    values = flux(path)
    high = np.percentile(values, 95)
    print(f"everywhere: mean {values.mean():.3f} dB, 95th percentile {high:.3f} dB, {len(values)} frames")
    for name, samples in EDGES.items():
        middles = np.arange(samples, len(values) * HOP - samples, samples) // HOP
        # A frame that begins here ends N_FFT later: the edge is in those before it.
        near = middles[:, None] - N_FFT // HOP // 2 + np.arange(-NEAR, NEAR + 1)
        at = values[near]
        print(f"{name} edges: {len(at)}, mean {at.mean():.3f} dB, above that percentile {np.mean(at > high):.1%}")
    spec, length = MelSpec(), 4 * 44100
    mels = MelSpectrogram(spec)
    pictures = []
    with open_audio(path) as file:  # from its beginning: lossy sound is other sound after a seek
        beginning = file.read(4 * EDGES["decoder"] + length)
    for edge in (1, 2, 3, 4):
        first = edge * EDGES["decoder"] - length // 2
        wave = beginning[first : first + length]
        if len(wave) == length:
            pictures.append(
                {f"edge {edge}, in the middle": to_log1p(mels(torch.from_numpy(wave.mean(1))[None])[0], spec)}
            )
    if pictures:
        save_picture(draw_mels(pictures, path.stem, spec), path.with_name(f"{path.stem}_edges.png"))


if __name__ == "__main__":
    main()
