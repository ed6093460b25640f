"""The alias-free activation: its filter, what it does to sound, and its two forms against each other."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from distillgan.vendor.bigvgan import activation
from distillgan.vendor.bigvgan.activation import AliasFree, Snake, SnakeBeta
from distillgan.vendor.bigvgan.filters import Downsample, Upsample, kaiser_sinc


def drawn(channels: int, kind=SnakeBeta, log_scale: bool = True) -> AliasFree:
    """An activation for inference with a curve a channel."""
    module = AliasFree(kind(channels, log_scale)).requires_grad_(False)
    for parameter in module.parameters():
        parameter += 0.5 * torch.randn(channels)
    return module


def both(module: AliasFree, x: torch.Tensor, monkeypatch) -> tuple[torch.Tensor, torch.Tensor]:
    """What the fused and the plain form make of x."""
    assert activation.alias_free_snake is not None
    calls, fused = [], activation.alias_free_snake
    with monkeypatch.context() as patch:
        patch.setattr(activation, "alias_free_snake", lambda *args: calls.append(1) or fused(*args))
        fast = module(x)
        assert calls, "the fused form was not used"
        patch.setattr(activation, "alias_free_snake", None)
        return fast, module(x)


def test_the_filter_passes_the_band_and_stops_what_is_above():
    response = torch.fft.rfft(torch.from_numpy(kaiser_sinc()), 1200).abs()
    frequency = torch.arange(601) / 1200  # cycles a sample at the double rate
    assert (response[frequency < 0.12] - 1).abs().max() < 0.02
    assert response[frequency > 0.38].max() < 0.02
    assert response[300] == pytest.approx(0.5, abs=0.01)


def test_up_and_down_again_keeps_a_tone_in_its_place():
    time = torch.arange(400) / 400
    tone = torch.sin(2 * torch.pi * 20 * time).view(1, 1, -1)
    up = Upsample()(tone)
    assert up.shape == (1, 1, 800)
    again = Downsample()(up)
    assert (again - tone)[..., 20:-20].abs().max() < 1e-2


def test_harmonics_above_the_band_fold_back_less():
    # sin² of a tone of 0.35 cycles a sample has a harmonic at 0.7, which is heard at 0.3 unless filtered out.
    x = 0.1 * torch.sin(2 * torch.pi * 0.35 * torch.arange(1000)).view(1, 1, -1)
    snake = Snake(1, log_scale=False).requires_grad_(False)
    bare, filtered = (
        torch.fft.rfft(y.flatten() * torch.hann_window(1000)).abs()[300] for y in (snake(x), AliasFree(snake)(x))
    )
    assert filtered < 0.3 * bare


@pytest.mark.parametrize(("kind", "log_scale"), [(Snake, True), (Snake, False), (SnakeBeta, True), (SnakeBeta, False)])
def test_snake_is_the_papers_formula(kind, log_scale):
    torch.manual_seed(0)
    act = drawn(3, kind, log_scale).act
    x = torch.randn(2, 3, 11)
    alpha, beta = act.alpha, act.beta if kind is SnakeBeta else act.alpha
    if log_scale:
        alpha, beta = alpha.exp(), beta.exp()
    expected = x + torch.sin(x * alpha[:, None]) ** 2 / beta[:, None]
    assert torch.allclose(act(x), expected, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "shape", [(1, 3, n) for n in (1, 2, 3, 4, 5, 7, 1022, 1023, 1024, 1025, 1026, 2047, 2049)] + [(3, 20, 4403)]
)
def test_fused_equals_plain(shape, threads, monkeypatch):
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fast, plain = both(drawn(shape[1]), 2 * torch.randn(shape), monkeypatch)
    finally:
        torch.set_num_threads(before)
    assert fast.shape == plain.shape
    assert (fast - plain).abs().max() < 1e-5


@pytest.mark.parametrize(("kind", "log_scale"), [(Snake, True), (Snake, False), (SnakeBeta, False)])
def test_fused_equals_plain_for_every_kind(kind, log_scale, monkeypatch):
    torch.manual_seed(0)
    module = AliasFree(kind(4, log_scale)).requires_grad_(False)
    for parameter in module.parameters():
        parameter += 0.3 * torch.rand(4)
    fast, plain = both(module, torch.randn(2, 4, 333), monkeypatch)
    assert (fast - plain).abs().max() < 1e-5


def test_the_filters_that_were_loaded_are_used(monkeypatch):
    torch.manual_seed(0)
    module = drawn(2)
    x = torch.randn(1, 2, 50)
    before = module(x)
    module.upsample.filter += 0.02 * torch.randn(12)
    module.downsample.lowpass.filter += 0.02 * torch.randn(12)
    fast, plain = both(module, x, monkeypatch)
    assert (fast - plain).abs().max() < 1e-5
    assert (fast - before).abs().max() > 1e-3


def test_fused_equals_plain_for_views(monkeypatch):
    torch.manual_seed(0)
    wide = torch.randn(2, 90, 12)
    for x in (wide.transpose(1, 2), wide[:, ::3, 1:], wide[:1].expand(3, -1, -1)):
        assert not x.is_contiguous()
        fast, plain = both(drawn(x.shape[1]), x, monkeypatch)
        assert (fast - plain).abs().max() < 1e-5


def test_the_sine_is_as_exact_as_torchs_over_many_periods(monkeypatch):
    module = AliasFree(Snake(1, log_scale=False)).requires_grad_(False)
    x = torch.linspace(-100, 100, 200_001).view(1, 1, -1)
    fast, plain = both(module, x, monkeypatch)
    exact = module.double()(x.double())
    errors = [(form - exact).abs().max() for form in (fast, plain)]
    assert errors[0] < 1.5 * errors[1] < 1e-4


def test_nan_stays_nan_and_near(monkeypatch):
    x = torch.zeros(1, 2, 40)
    x[0, 1, 20] = torch.nan
    fast, plain = both(drawn(2), x, monkeypatch)
    assert torch.equal(fast.isnan(), plain.isnan())
    touched = fast[0, 1].isnan().nonzero().flatten()
    assert (touched.min(), touched.max()) == (20 - AliasFree.reach, 20 + AliasFree.reach)


def test_many_threads_may_call_at_once(monkeypatch):
    torch.manual_seed(0)
    module, inputs = drawn(16), torch.randn(8, 1, 16, 5000)
    expected = [both(module, x, monkeypatch)[1] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for fast, plain in zip(pool.map(module, inputs), expected, strict=True):
            assert (fast - plain).abs().max() < 1e-5


def test_gradients_and_other_precisions_take_the_plain_form(monkeypatch):
    monkeypatch.setattr(activation, "alias_free_snake", lambda *_: pytest.fail("the fused form has no gradients"))
    module = drawn(2)
    x = torch.randn(1, 2, 9, requires_grad=True)
    module(x).sum().backward()
    assert x.grad is not None
    assert module.double()(x.detach().double()).dtype == torch.float64


@pytest.mark.parametrize("prelude", ["sys.modules['numba'] = None", "os.environ['NUMBA_CACHE_LOCATOR_CLASSES'] = 'No'"])
def test_without_a_working_numba_the_plain_form_serves(prelude):
    code = f"""
import os, sys
{prelude}
import torch
from distillgan.vendor.bigvgan import activation
assert activation.alias_free_snake is None
module = activation.AliasFree(activation.Snake(2, True)).requires_grad_(False)
assert module(torch.ones(1, 2, 9)).shape == (1, 2, 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
