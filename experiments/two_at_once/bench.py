"""One thing at a time, and two at once: the speed of trainings, of rendering a minute, and of the slider analysis.

    python experiments/two_at_once/bench.py WHAT … [--old CHECKOUT] [--rounds 3] [--seconds 12] [--with "NAME=VALUE …"]

WHAT are any of those below. With CHECKOUT, that of an older build, with its own .venv or run by this Python, each round
measures both builds, one after the other; the last lines give medians, and the median of the rounds' ratios new : old.
--with sets environment variables of the new build, and may be repeated: each is a way of its own; "" is as it comes.

    training         steps a second of the VAE's training, alone
    trainings        the same, the mean of two at once
    rendering        a minute through the universal vocoder, times real time
    beside           the same while a training runs
    renderings       the same, the mean of two at once
    analysis         seconds of a slider analysis (one seed, three seconds a position, the built-in corpus)
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
_PATIENCE = 120.0  # seconds for a training to begin
_LONG = ["model.max_steps=1000000", "trainer.validate_every=100000"]
_LONG += ["callbacks.preview.every=100000", "callbacks.checkpoint.every=100000"]
_ANALYSIS = """
import time, torch
from pathlib import Path
from omegaconf import OmegaConf
from rich.console import Console
from distillgan.synthesis.renderer import Model
from distillgan.training.stages import analyse
model = Model.load(Path({path!r}), torch.device("cpu"))
settings = OmegaConf.create({{"seconds": 3.0, "seeds": 1, "probes": 16}})
begun = time.perf_counter()
analyse(model.network, model.spec, model.corpus, None, settings, Console(quiet=True))
print("took", time.perf_counter() - begun)
"""


class Build:
    """A checkout, run with some environment variables."""

    def __init__(self, name: str, checkout: Path, variables: dict[str, str], home: Path):
        own = checkout / ".venv" / "bin" / "python"
        self.name, self.home, self._checkout = name, home, checkout
        self._python = str(own) if own.exists() else sys.executable
        self._environment = {**os.environ, "PYTHONPATH": str(checkout), **variables}

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self._python, *arguments],
            cwd=self._checkout,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def said(self, *processes: subprocess.Popen, words: str) -> list[float]:
        """The last number after `words` in the output of each, once all have ended."""
        texts = [process.communicate()[0] for process in processes]
        return [float(re.findall(words + r" ([\d.]+)", text)[-1]) for text in texts]

    @contextmanager
    def trainings(self, count: int):
        """That many, under way; yields their names."""
        names = [f"run{number}_{time.monotonic_ns()}" for number in range(count)]
        place = f"paths.home={self.home}"
        started = [self.start("-m", "distillgan.train", f"name={name}", place, *_LONG) for name in names]
        try:
            limit = time.monotonic() + _PATIENCE
            while any(self._state(name)[0] < 5 for name in names):
                if time.monotonic() > limit or any(process.poll() is not None for process in started):
                    raise SystemExit("a training did not begin")
                time.sleep(0.2)
            yield names
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def steps(self, count: int, seconds: float) -> float:
        with self.trainings(count) as names:
            before = [self._state(name) for name in names]
            time.sleep(seconds)
            after = [self._state(name) for name in names]
        return statistics.mean((b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(before, after, strict=True))

    def _state(self, name: str) -> tuple[int, float]:
        """Steps done, and the seconds that they took."""
        try:
            values = json.loads((self.home / "runs" / name / "vae" / "status.json").read_text())
        except (OSError, ValueError):
            return 0, 0.0
        return values["step"], values["seconds"]

    def rendering(self, count: int = 1) -> float:
        told = ["model=bench", f"paths.home={self.home}", "duration=60", "count=2", "vocoder=universal"]
        made = [self.start("-m", "distillgan.generate", *told) for _ in range(count)]
        return statistics.mean(self.said(*made, words="rendered at"))

    def analysis(self) -> float:
        path = str(self.home / "models" / "bench.distillgan")
        return self.said(self.start("-c", _ANALYSIS.format(path=path)), words="took")[0]

    def measured(self, what: str, seconds: float) -> float:
        match what:
            case "training" | "trainings":
                return self.steps(1 + (what == "trainings"), seconds)
            case "rendering" | "renderings":
                return self.rendering(1 + (what == "renderings"))
            case "beside":
                with self.trainings(1):
                    return self.rendering()
            case "analysis":
                return self.analysis()
        raise SystemExit(f"{what} is nothing that is measured here: see --help")


def prepared(home: Path) -> None:
    """A model of the built-in corpus, hardly trained, with the size of a real one; the corpus decoded."""
    few = ["model.max_steps=20", "analysis.seconds=0.5", "analysis.seeds=1", "analysis.probes=1"]
    told = ["name=bench", f"paths.home={home}", "trainer.validate_every=20", "callbacks.preview.every=100", *few]
    subprocess.run([sys.executable, "-m", "distillgan.train", *told], check=True, cwd=HERE, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+")
    parser.add_argument("--old", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--with", action="append", dest="ways")
    parser.add_argument("--home", type=Path, help="is kept, and taken up again")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = (told.home or Path(temporary)).resolve()
        if not (home / "models" / "bench.distillgan").exists():
            prepared(home)
        builds = [] if told.old is None else [Build("old", told.old.resolve(), {}, home)]
        for number, way in enumerate(told.ways or [""]):
            variables = dict(pair.split("=", 1) for pair in way.split())
            builds.append(Build(f"new {way}".strip() if number or way else "new", HERE, variables, home))
        for what in told.what:
            values: dict[str, list[float]] = {build.name: [] for build in builds}
            for _ in range(told.rounds):
                for build in builds:
                    values[build.name].append(build.measured(what, told.seconds))
                    print(f"{what:<11} {build.name:<40} {values[build.name][-1]:8.2f}", flush=True)
            for name, found in values.items():
                line = (
                    f"{what:<11} {name:<40} median {statistics.median(found):8.2f} ({min(found):.2f}-{max(found):.2f})"
                )
                if name != "old" and told.old is not None:
                    ratios = [new / old for new, old in zip(found, values["old"], strict=True)]
                    line += f"  new : old {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
                print(line, flush=True)


if __name__ == "__main__":
    main()
