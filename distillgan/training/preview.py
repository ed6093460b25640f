"""Pictures and sound of a few fixed clips while a model learns: TensorBoard, and the latest as files in the run."""

from pathlib import Path

import lightning as L
import numpy as np
import soundfile as sf
from PIL import Image

from distillgan.atomic import replace_file
from distillgan.audio.mel import log1p_to_log_clamp
from distillgan.audio.picture import draw_mels, save_picture
from distillgan.checks import whole


class Preview(L.Callback):
    """Every `every` steps, and at the end, runs `module.preview` on the first `clips` judged clips.

    `module.preview(wave [1, 1, N])` returns named log1p mels [n_mels, T], drawn side by side, and waves [1, 1, N],
    heard: `preview.png` and `preview_<clip>_<name>.wav` in `folder` are the latest.
    `folder` is set by the stage, and `vocoder` where the model has one already: then mels can be heard, too.
    """

    def __init__(self, every: int, clips: int):
        self.every = whole("callbacks.preview.every", every, 1)
        self.clips = whole("callbacks.preview.clips", clips, 1)
        self.folder: Path
        self.title = ""
        self.vocoder = None
        self._shown_at = -1

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if module.steps_done % self.every == 0:
            self._show(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if module.steps_done != self._shown_at:
            self._show(trainer, module)

    def _show(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._shown_at = module.steps_done
        judged = trainer.datamodule.judged
        rows = []
        for number in range(min(self.clips, len(judged))):
            shown = module.preview(judged[number]["wave"][None].to(module.device))
            if self.vocoder is not None:
                mel = log1p_to_log_clamp(shown["reconstruction"], module.spec)
                shown["reconstruction_heard"] = self.vocoder.render(mel[None].cpu())
            rows.append({name: value.float().cpu() for name, value in shown.items()})
        mels = [{name: v for name, v in row.items() if v.dim() == 2} for row in rows]
        picture = draw_mels(mels, f"{self.title}, step {module.steps_done}", module.spec)
        save_picture(picture, self.folder / "preview.png")
        for number, row in enumerate(rows):
            for name, value in row.items():
                if value.dim() == 3:
                    with replace_file(self.folder / f"preview_{number}_{name}.wav") as temporary:
                        sf.write(temporary, value[0, 0].clamp(-1, 1).numpy(), module.spec.sample_rate, format="WAV")
        if trainer.logger is not None:
            board = trainer.logger.experiment
            ground = Image.new(
                "RGBA", picture.size, "white"
            )  # TensorBoard drops how transparent the letters' edges are
            seen = np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))
            board.add_image("preview/mels", seen, module.steps_done, dataformats="HWC")
            for number, row in enumerate(rows):
                for name, value in row.items():
                    if value.dim() == 3:
                        tag = f"preview/{number}_{name}"
                        board.add_audio(tag, value[0].clamp(-1, 1), module.steps_done, module.spec.sample_rate)
