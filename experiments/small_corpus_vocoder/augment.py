"""What each augmentation before the discriminators is worth on a small corpus.

    python experiments/small_corpus_vocoder/augment.py MODEL RECORDINGS [steps] [overrides …]

Trains the vocoder of MODEL (a .distillgan file) on RECORDINGS, against discriminators from the first step, once with
all of vocoder.discriminator_augment, once without each of them, and once with none; same seed, same number of steps.
The table has the held-out error, and the discriminators' accuracy in the last tenth of the training and on the held-out
clips: where the first is far above the second they have learnt the corpus by heart.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PREFIX = "vocoder.discriminator_augment"
OFF = {"gain": f"{PREFIX}.gain_db=0", "phase": f"{PREFIX}.phase_degrees=0", "noise": f"{PREFIX}.noise_probability=0"}
VARIANTS = {"all": [], **{f"no {name}": [word] for name, word in OFF.items()}, "none": list(OFF.values())}
KINDS = ("real", "fake")


def train(model: Path, recordings: str, home: Path, steps: int, overrides: list[str]) -> EventAccumulator:
    (home / "models").mkdir(parents=True)
    shutil.copy(model, home / "models" / "study.distillgan")
    words = [f"data.dir={recordings}", f"paths.home={home}", "name=study", "stages=[vocoder]", "vocoder=harmonic"]
    words += [f"vocoder.max_steps={steps}", "vocoder.adversarial_from_step=0", "trainer.log_every=1"]
    words += ["vocoder.replace=true", f"trainer.validate_every={steps}", *overrides]
    subprocess.run([sys.executable, "-m", "distillgan.train", *words], check=True, stdout=subprocess.DEVNULL)
    return EventAccumulator(str(home / "runs" / "study" / "harmonic")).Reload()


def main() -> None:
    model, recordings, *rest = sys.argv[1:]
    if not Path(recordings).is_dir():
        sys.exit(f"{recordings}: there is no such folder. python experiments/corpora.py all makes those of the studies")
    steps = int(rest.pop(0)) if rest and rest[0].isdigit() else 200
    print("| augmentation | held-out mel error | real: trained on / held out | fake: trained on / held out |")
    print("|---|---|---|---|")
    for name, words in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            seen = train(Path(model), recordings, Path(folder), steps, [*words, *rest])

        def values(key: str, seen: EventAccumulator = seen) -> list[float]:
            return [event.value for event in seen.Scalars(key)]

        cells = [f"{values('val/mel_error')[-1]:.3f}"]
        for kind in KINDS:
            trained = fmean(values(f"train/disc_{kind}_accuracy")[-max(1, steps // 10) :])
            cells.append(f"{trained:.2f} / {values(f'val/disc_{kind}_accuracy')[-1]:.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
