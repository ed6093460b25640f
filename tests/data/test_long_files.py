"""What only shows on long recordings: memory, and a process killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile as sf

from distillgan.data.scan import scan

MINUTES = 12

READ_AND_MEASURE = """
import json, random, sys
from distillgan.data.scan import scan

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

before = memory("VmHWM"), memory("RssFile")
manifest = scan(sys.argv[1], sys.argv[2])
after_scan = memory("VmHWM")
(clip,) = manifest.clips(sys.argv[2])
random.seed(0)
for _ in range(400):
    clip.read(random.randrange(clip.length), 65536)
print(json.dumps({
    "scan": after_scan - before[0], "read": memory("VmHWM") - before[0], "file": memory("RssFile") - before[1],
    "length": clip.length,
}))
"""


@pytest.fixture(scope="module")
def long_corpus(tmp_path_factory):
    """12 minutes, stereo, 48 kHz: 138 MB on disk and 127 MB decoded, from one minute of noise."""
    folder = tmp_path_factory.mktemp("long")
    minute = np.random.default_rng(0).integers(-9000, 9000, (60 * 48000, 2)).astype(np.int16)
    with sf.SoundFile(folder / "long.wav", "w", 48000, 2) as file:
        for _ in range(MINUTES):
            file.write(minute)
    yield folder
    (folder / "long.wav").unlink()


def python(script, *arguments):
    return [sys.executable, "-c", script, *map(str, arguments)]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="measures memory in /proc")
def test_memory_stays_bounded(long_corpus, tmp_path):
    done = subprocess.run(
        python(READ_AND_MEASURE, long_corpus, tmp_path), capture_output=True, text=True, check=True, timeout=120
    )
    growth = json.loads(done.stdout)
    decoded = growth["length"] * 4 / 2**20
    assert decoded > 120
    assert growth["scan"] < 60, growth
    assert growth["read"] < 60, growth
    assert growth["file"] < 20, growth


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_nothing_half(long_corpus, tmp_path):
    script = "import sys; from distillgan.data.scan import scan; scan(sys.argv[1], sys.argv[2])"
    process = subprocess.Popen(python(script, long_corpus, tmp_path))
    try:
        deadline = time.monotonic() + 60
        while not any(item.stat().st_size > 2**20 for item in os.scandir(tmp_path)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert all(name.startswith(".") for name in os.listdir(tmp_path))
    (clip,) = scan(long_corpus, tmp_path).clips(tmp_path)
    assert clip.length == MINUTES * 60 * 44100
    for name in os.listdir(tmp_path):
        os.unlink(tmp_path / name)
