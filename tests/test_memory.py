"""Memory that runs out is told in words, with what to lower, and is there again for whoever goes on."""

import weakref

import numpy as np
import pytest
import torch
from support import tiny

from distillgan.audio.mel import MelSpec
from distillgan.compute import memory_in_words, ran_out
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.models.vae.module import VAEModule
from distillgan.synthesis.renderer import play
from distillgan.training.pipeline import train

TOO_MUCH = 1 << 50  # floats that no computer has: PyTorch's own allocator refuses
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.72 GiB of which 5.62 MiB is "
    "free. Process 1 has 139.70 GiB memory in use. Of the allocated memory 138.00 GiB is allocated by PyTorch"
)
MPS = "MPS backend out of memory (MPS allocated: 17.90 GB, max allowed: 18.13 GB). Tried to allocate 1.00 GB"


class Hungry(Vocoder):
    """Plays silence, and in its `feast`th block wants more memory than there is."""

    def __init__(self, feast: int):
        super().__init__(MelSpec(), 0)
        self.register_buffer("here", torch.zeros(1))
        self.left = feast

    def forward(self, mel):
        self.left -= 1
        return mel.new_zeros(1, 1, 512 * mel.shape[-1] if self.left else TOO_MUCH)


class HungryVAE(VAEModule):
    def training_step(self, batch, batch_idx):
        if self.steps_done == 2:
            torch.empty(TOO_MUCH, device=self.device)
        return super().training_step(batch, batch_idx)


def test_rendering_tells_what_to_take_instead():
    mels = torch.zeros(1, 128, 600)
    found = play(Hungry(2), [mels], 600 * 512)
    assert next(found).shape == (1, 256 * 512)
    with pytest.raises(
        UserError, match=r"^rendering: this computer's memory ran out \([\de.+]+ GiB more were wanted\)"
    ) as told:
        next(found)
    assert "vocoder=universal" in str(told.value)
    assert sum(block.shape[1] for block in play(Hungry(9), [mels], 600 * 512)) == 600 * 512


def test_a_training_tells_what_to_lower_and_goes_on(tmp_path, recordings):
    short = ("model.max_steps=4", "analysis.seconds=0.2", "analysis.seeds=1", "analysis.probes=1")
    config = tiny(tmp_path, recordings, *short)
    config.model.module._target_ = f"{__name__}.HungryVAE"
    with pytest.raises(UserError, match=r"^VAE: this computer's memory ran out") as told:
        train(config)
    size, frames = config.data.batch_size, config.data.segment_frames
    assert f"Lower data.batch_size, now {size}; data.segment_frames, now {frames}; or" in str(told.value)
    config = tiny(tmp_path, recordings, "data.batch_size=1", *short)
    assert np.isfinite(train(config)) and (tmp_path / "models" / "tiny.distillgan").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError(CUDA), "the GPU's memory ran out (20.00 GiB more were wanted)"),
        (RuntimeError(MPS), "the GPU's memory ran out (1.00 GB more were wanted)"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "the GPU's memory",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "the GPU's memory ran out. "),
        (MemoryError("Unable to allocate 8.00 PiB for an array"), "this computer's memory ran out. "),
        (RuntimeError("std::bad_alloc"), "this computer's memory ran out. "),
    ],
    ids=["cuda", "mps", "cublas", "cudnn", "numpy", "c++"],
)
def test_each_librarys_words_for_it_are_known(error, words):
    with pytest.raises(UserError) as told, memory_in_words("playing", "Play less"):
        raise error
    assert str(told.value).startswith(f"playing: {words}") and str(told.value).endswith(". Play less")


@pytest.mark.parametrize("error", [RuntimeError("the size of tensor a (3) must match"), UserError("no"), KeyError("x")])
def test_what_is_something_else_stays_what_it_is(error):
    assert not ran_out(error)
    with pytest.raises(type(error)) as kept, memory_in_words("playing", "Play less"):
        raise error
    assert kept.value is error


def test_what_was_held_is_given_back():
    class Held:
        pass

    seen = []

    @memory_in_words("playing", "Play less")
    def playing():
        held = Held()
        seen.append(weakref.ref(held))
        torch.empty(TOO_MUCH)

    with pytest.raises(UserError) as told:
        playing()
    assert seen[0]() is None, told.value
