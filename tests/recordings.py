"""Recordings as people have them, as bytes: what recorders, streams and joins leave, and what only FFmpeg writes."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import soundfile as sf

RATE = 44100


def sweep(seconds=2.0, rate=RATE, channels=1, start=200.0):
    """Rising tones, a different one on each channel, so that every moment and channel is known: float64 [N, C]."""
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.3 * np.sin(2 * np.pi * (start * (c + 1) + 300 * time) * time) for c in range(channels)], axis=1)


def written(samples, rate=RATE, **options):
    """Samples [N, C] as a file of libsndfile's: bytes."""
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, **options)
    return buffer.getvalue()


def mp3(samples, rate=RATE, index=True, vbr=True):
    """An MP3, without its index (the first frame) if it is to have none."""
    mode = "VARIABLE" if vbr else "CONSTANT"
    data = written(samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    start = data.index(b"Xing" if vbr else b"Info") - (36 if samples.shape[1] == 2 else 21)
    assert data[start] == 0xFF
    if index:
        return data[start:]
    bitrate = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[data[start + 2] >> 4]
    size = 144 * bitrate * 1000 // rate + (data[start + 2] >> 1 & 1)
    return data[start + size :]


def decoded(data):
    """What libsndfile makes of bytes in one go: float32 [N, C]."""
    return sf.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def wav(samples, riff=None, data=None, before=b"", after=b""):
    """A 16-bit WAV of [N, C] with these sizes in its header, and chunks before and after its sound."""
    sound = (samples * 32767).round().astype("<i2").tobytes()
    channels = samples.shape[1]
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, channels, RATE, RATE * 2 * channels, 2 * channels, 16)
    body = b"WAVE" + form + before
    riff = len(body) + 8 + len(sound) + len(after) if riff is None else riff
    data = len(sound) if data is None else data
    return b"RIFF" + struct.pack("<I", riff) + body + b"data" + struct.pack("<I", data) + sound + after


def coded(samples, codec, container, rate=RATE, layout=None, tracks=1, default=0, bit_rate=None, options=None):
    """Samples [N, C], by FFmpeg: bytes. Of several tracks each is a fifth part quieter than the one before."""
    buffer = io.BytesIO()
    channels = samples.shape[1]
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]
    with av.open(buffer, "w", format=container, options=options) as out:
        streams = []
        for number in range(tracks):
            stream = out.add_stream(codec, rate=rate)
            stream.layout = layout
            stream.time_base = Fraction(1, rate)
            known = [form.name for form in stream.codec_context.codec.audio_formats]
            stream.codec_context.format = next(form for form in ("fltp", "s32p", "s16p", "s16") if form in known)
            if bit_rate:
                stream.bit_rate = bit_rate
            if tracks > 1:
                stream.disposition = av.stream.Disposition.default if number == default else 0
            streams.append(stream)
        for number, stream in enumerate(streams):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray((samples * 0.8**number).reshape(1, -1), np.float32), "flt", layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, stream.time_base
            resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
            fifo = av.AudioFifo()
            for part in resampler.resample(frame):
                fifo.write(part)
            size = stream.codec_context.frame_size or 1024
            while (piece := fifo.read(size, partial=True)) is not None:
                out.mux(stream.encode(piece))
            out.mux(stream.encode(None))
    return buffer.getvalue()
