"""What ends a command: Ctrl-C, SIGTERM, SIGHUP, and a terminal that is closed."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
import soundfile
from crafted import RATE, write_crafted

from distillgan import process as signals
from distillgan.cli import hydra_app
from distillgan.synthesis.blend import Rendering
from distillgan.synthesis.generation import generate
from distillgan.synthesis.request import RenderRequest, VocoderRequest


@pytest.fixture
def handlers(monkeypatch):
    """The signals' handlers, and the streams that an entry wraps, are afterwards what they were."""
    before = {signum: signal.getsignal(signum) for signum in signals.ENDING}
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "argv", ["generate"])
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def told(home):
    """Two sounds of ten minutes."""
    vocoder = VocoderRequest("hifigan")
    return RenderRequest(duration=600, count=2, vocoder=vocoder, device="cpu", home=home)


SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
SIGNALS += [(signal.SIGHUP, 129, "ended by SIGHUP")]


@pytest.mark.parametrize(("signum", "code", "words"), SIGNALS)
def test_a_rendering_ends_as_a_whole_shorter_file(tmp_path, handlers, capsys, signum, code, words):
    write_crafted(tmp_path / "models", "rain")

    def end(done: int, samples: int) -> None:
        if done >= 4 * RATE:
            os.kill(os.getpid(), signum)

    with pytest.raises(SystemExit) as left:
        hydra_app.run(lambda config: generate(told(tmp_path), progress=end), "generate", [])
    out, err = capsys.readouterr()
    assert (left.value.code, err) == (code, f"{words}\n")
    assert "stopped: the file holds what was rendered until then" in out
    wave, _ = soundfile.read(tmp_path / "audio" / "rain_seed1.wav")
    assert 4 * RATE <= len(wave) < 600 * RATE and len(list((tmp_path / "audio").iterdir())) == 3
    assert json.loads((tmp_path / "audio" / "rain_seed1.json").read_text())["interrupted"]


def test_one_that_ends_too_early_leaves_none_and_says_so(tmp_path, handlers, capsys, monkeypatch):
    write_crafted(tmp_path / "models", "rain")

    def blocks(rendering):
        os.kill(os.getpid(), signal.SIGTERM)
        yield from ()

    monkeypatch.setattr(Rendering, "blocks", blocks)
    with pytest.raises(SystemExit) as left:
        hydra_app.run(lambda config: generate(told(tmp_path)), "generate", [])
    out, err = capsys.readouterr()
    assert (left.value.code, err) == (143, "ended by SIGTERM\n")
    assert "stopped before there was anything to keep: no file is written" in out
    assert not list(tmp_path.glob("audio/*"))


def test_nohup_is_respected(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.raise_when_told()
    os.kill(os.getpid(), signal.SIGHUP)
    from distillgan.training.callbacks import InterruptGuard

    with InterruptGuard() as guard:
        os.kill(os.getpid(), signal.SIGHUP)
    assert guard.signum is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.slow
def test_a_closed_terminal_ends_a_training_with_a_model_that_plays(tmp_path, recordings):
    """The kernel sends SIGHUP, and every word to that terminal is an error from then on."""
    from distillgan.models.header import read_header

    first, second = pty.openpty()
    command = [sys.executable, "-m", "distillgan.train", "experiment=tiny", "device=cpu", "model.max_steps=100000"]
    command += ["name=雨", f"data.dir={recordings}", f"paths.home={tmp_path}", "trainer.validate_every=1000"]

    def to_terminal() -> None:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": second, "stdout": second, "stderr": second}
    process = subprocess.Popen(command, **streams, start_new_session=True, preexec_fn=to_terminal)
    os.close(second)
    limit, last = time.monotonic() + 120, tmp_path / "runs" / "雨" / "vae" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None and time.monotonic() < limit
        if select.select([first], [], [], 0.05)[0]:
            os.read(first, 65536)
    os.close(first)
    assert process.wait(60) == 129
    header = read_header(tmp_path / "models" / "雨.distillgan")
    assert header.name == "雨" and header.sliders_pending and header.training["vae"]["steps"] >= 2


@pytest.mark.parametrize(
    "command", [["-m", "distillgan.train"], ["-c", "from distillgan.cli.main import main; main()"]]
)
def test_ctrl_c_while_importing_is_a_word(tmp_path, command):
    """The import of torch is a folder of our own here, in which it never ends."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = [sys.executable, *command, *(["train"] if command[0] == "-c" else [])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    process = subprocess.Popen(arguments, **pipes)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "interrupted\n" and process.returncode == 130


def test_importing_the_package_leaves_signals_as_they_are():
    code = "import signal, distillgan; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"
