"""Training commands as processes of their own, for what only signals and exit codes can tell."""

import os
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent
FOLDERS = {"vae": "vae", "vocoder": "hifigan"}  # of the stages


def start(home: Path, recordings: Path, stage: str, every: int, *overrides: str) -> tuple[subprocess.Popen, Path]:
    """A training process whose `stage` would go on for hours, and the file in which it notes its steps."""
    trace = home / "trace"
    home.mkdir(exist_ok=True)
    key = "model.max_steps" if stage == "vae" else "vocoder.max_steps"
    command = [
        *(sys.executable, "-m", "distillgan.train", "experiment=tiny", "vocoder=hifigan", "name=tiny", "device=cpu"),
        *(f"data.dir={recordings}", f"paths.home={home}", f"{key}=100000", f"callbacks.checkpoint.every={every}"),
        *("trainer.validate_every=4", "callbacks.preview.every=1000"),
        f"+callbacks.trace={{_target_: support.StepTrace, path: {trace}}}",
        *overrides,
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    log = (home / "log").open("w")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log), trace


def wait_for(process: subprocess.Popen, home: Path, trace: Path, stage: str, steps: int) -> None:
    """Until `trace` has `steps` lines and the stage its last checkpoint."""
    limit = time.monotonic() + 120
    marker = home / "runs" / "tiny" / FOLDERS[stage] / "last.ckpt"
    while time.monotonic() < limit:
        assert process.poll() is None, (home / "log").read_text()
        if marker.exists() and trace.exists() and len(trace.read_text().splitlines()) >= steps:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {steps} steps of the {stage} in 120 s:\n" + (home / "log").read_text())
