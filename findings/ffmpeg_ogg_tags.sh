#!/usr/bin/env bash
# FFmpeg (PyAV 18.1.0): the title of an Ogg file is not where that of any other format is.
#
# libsndfile (soundfile 0.14.0) writes a title and an artist into five formats. FFmpeg shows them as metadata of the
# container, in small letters, except for Ogg, Vorbis and Opus alike: there the container has none, and they are metadata
# of the stream, in the letters of the file. So code that asks the container alone (`ffprobe -show_format`, `format_tags`,
# PyAV's `container.metadata`) takes every Ogg for untitled. Ask both, whatever the letters' case.
#
# Seen:
#   wav     container {'title': 'T', 'artist': 'A'}   stream {}
#   flac    container {'title': 'T', 'artist': 'A'}   stream {}
#   mp3     container {'title': 'T', 'artist': 'A'}   stream {}
#   vorbis  container {}   stream {'TITLE': 'T', 'ARTIST': 'A'}
#   opus    container {}   stream {'TITLE': 'T', 'ARTIST': 'A'}
set -euo pipefail
head=$(realpath "${BASH_SOURCE[0]}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
{ python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check \
    av==18.1.0 soundfile==0.14.0 numpy==2.4.6; } || exit 2
seen=$(venv/bin/python - <<'PYTHON'
import av
import numpy
import soundfile

for name, container, codec in (
    ("wav", "WAV", "PCM_16"), ("flac", "FLAC", "PCM_16"), ("mp3", "MP3", "MPEG_LAYER_III"),
    ("vorbis", "OGG", "VORBIS"), ("opus", "OGG", "OPUS"),
):
    with soundfile.SoundFile(name, "w", 48000, 2, codec, format=container) as file:
        file.title, file.artist = "T", "A"
        file.write(numpy.zeros((48000, 2), "float32"))
    with av.open(name) as file:
        places = file.metadata, file.streams.audio[0].metadata
        shown = [{key: place[key] for key in place if key.lower() in ("title", "artist")} for place in places]
        print(f"{name:7} container {shown[0]}   stream {shown[1]}")
PYTHON
) || exit 2
echo "$seen"
[ "$seen" = "$(sed -n 's/^#   \([a-z0-9]* *container .*\)/\1/p' "$head")" ] || exit 1
