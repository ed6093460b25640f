"""Pieces side by side: the samples of one after another, in order, and nothing left behind."""

import os
import threading
import time

import pytest
import torch

from distillgan.audio.mel import MelSpec
from distillgan.compute import computing, counted, in_order, limited
from distillgan.models.vocoders.harmonic import HarmonicGenerator, HarmonicVocoder


@pytest.fixture(params=[1, 2, 3])
def torch_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def vocoder() -> HarmonicVocoder:
    torch.manual_seed(4)
    generator = HarmonicGenerator(channels=48, layers=2)
    torch.nn.init.trunc_normal_(generator.head.weight, std=0.3)
    return HarmonicVocoder(generator, MelSpec())


def mel_of(frames: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(frames)
    return (2 * torch.randn(1, 128, frames, generator=random) - 4).cumsum(-1).clamp(-11, 2)


def one_after_another(vocoder, mel, frames) -> torch.Tensor:
    """Each block in this thread, with all of torch's threads, as older builds rendered."""
    return torch.cat([vocoder._rendered(piece) for piece in vocoder._pieces(mel.split(frames, -1))], -1)


@pytest.mark.parametrize("frames", [64, 101])
def test_the_same_samples_however_many_blocks_are_computed_at_once(vocoder, torch_threads, frames):
    mel = mel_of(431)
    with torch.inference_mode():
        expected = one_after_another(vocoder, mel, frames)
        for count in (1, 2, 3, None):
            with limited(count):
                assert torch.equal(vocoder.render(mel, frames), expected), f"{count} at once"
    assert expected.abs().max() > 1e-3 and torch.get_num_threads() == torch_threads


def test_a_rendering_inside_a_piece_gives_the_same_samples(vocoder, torch_threads):
    mels = [mel_of(frames) for frames in (40, 90, 131)]
    expected = [one_after_another(vocoder, mel, 64) for mel in mels]
    with limited(2):
        found = list(in_order(lambda mel: vocoder.render(mel, 64), mels))
    assert all(map(torch.equal, found, expected))


def test_results_come_in_order_whichever_is_ready_first():
    with limited(3):
        assert list(in_order(lambda n: time.sleep(0.01 * (5 - n)) or n, range(5))) == list(range(5))


def test_items_are_taken_a_few_ahead_and_each_piece_has_one_thread(torch_threads):
    taken = []
    with limited(2):
        results = in_order(lambda n: torch.get_num_threads(), (taken.append(n) or n for n in range(1000)))
        first = next(results)
        results.close()
    assert first == 1 and len(taken) < 20


def test_counted_work_has_as_many_threads_as_before(torch_threads):
    with limited(2):
        assert list(in_order(lambda n: counted(torch.get_num_threads), range(3))) == [torch_threads] * 3
    assert counted(torch.get_num_threads) == torch_threads
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [torch_threads], "a thread that comes afterwards has torch's number, too"


def test_what_a_piece_raises_ends_it_all_and_leaves_no_thread():
    before, begun = threading.active_count(), []

    def work(number):
        begun.append(number)
        if number == 2:
            raise ValueError("the third")
        time.sleep(0.01)
        return number

    with limited(2), pytest.raises(ValueError, match="the third"):
        list(in_order(work, range(1000)))
    assert threading.active_count() == before and len(begun) < 20


def test_what_an_item_raises_and_giving_up_leave_no_thread():
    before = threading.active_count()

    def items():
        yield 1
        raise KeyboardInterrupt

    with limited(2):
        with pytest.raises(KeyboardInterrupt):
            list(in_order(lambda n: n, items()))
        results = in_order(lambda n: time.sleep(0.01), range(1000))
        next(results)
        assert threading.active_count() > before
        results.close()
    assert threading.active_count() == before


def test_a_piece_has_no_gradients_and_the_mode_of_its_caller():
    weight = torch.nn.Parameter(torch.ones(2))
    for mode in (False, True):
        with limited(2), torch.inference_mode(mode):
            made = list(in_order(lambda n: weight * n, range(2)))
        assert [(x.requires_grad, x.is_inference()) for x in made] == [(False, mode)] * 2


def test_a_training_may_have_fewer_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = torch.get_num_threads()
    with computing(3):
        assert torch.get_num_threads() == 3 and os.environ["OMP_NUM_THREADS"] == "3"
        with computing(None):
            assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before and os.environ["OMP_NUM_THREADS"] == "7"
