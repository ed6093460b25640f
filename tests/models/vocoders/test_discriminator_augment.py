"""One change for real and fake, within its ranges."""

import pytest
import torch

from distillgan.errors import UserError
from distillgan.models.vocoders.module import DiscriminatorAugment


def test_the_change_is_the_same_for_real_and_fake():
    real = torch.randn(64, 1, 4096) * 0.1
    augment = DiscriminatorAugment(gain_db=6, phase_degrees=0, noise_probability=0.5, noise_snr_db=(20, 30))
    change = augment.draw(real, torch.Generator().manual_seed(3))
    assert torch.equal(change(real), change(real.clone()))
    # What differs between two waves after the change is their difference, louder or softer.
    fake = torch.randn_like(real)
    assert torch.allclose(change(real) - change(fake), (real - fake) * change.gain, atol=1e-6)
    again = augment.draw(real, torch.Generator().manual_seed(3))
    assert torch.equal(again(real), change(real))
    assert not torch.equal(augment.draw(real, torch.Generator().manual_seed(4))(real), change(real))


def test_a_change_keeps_its_ranges():
    real = torch.randn(400, 1, 2048) * 0.1
    augment = DiscriminatorAugment(gain_db=6, phase_degrees=0, noise_probability=0.5, noise_snr_db=(20, 30))
    change = augment.draw(real, torch.Generator().manual_seed(0))
    gain_db = 20 * change.gain.log10()
    assert -6 <= gain_db.min() < -5
    assert 5 < gain_db.max() <= 6
    noise, signal = change.noise.std(dim=-1).flatten(), (real * change.gain).std(dim=-1).flatten()
    noisy = noise > 0
    assert 0.4 < noisy.float().mean() < 0.6
    snr = 20 * (signal / noise)[noisy].log10()
    assert 19.5 < snr.min() < 21
    assert 29 < snr.max() < 30.5


def test_turned_phases_keep_every_magnitude_and_stay_small():
    torch.manual_seed(0)
    real = torch.randn(3, 1, 8192) * 0.1
    change = DiscriminatorAugment(0, 20, 0, (20, 30)).draw(real, torch.Generator().manual_seed(1))
    heard = change(real)
    assert torch.equal(heard, change(real.clone())) and (heard - real).std() > 0.05 * real.std()
    before, after = torch.fft.rfft(real), torch.fft.rfft(heard)
    inner = slice(1, -1)  # a real wave's first and last bins have no phase
    torch.testing.assert_close(after.abs()[..., inner], before.abs()[..., inner], rtol=1e-3, atol=1e-3)
    angle = torch.rad2deg((after / before).angle())[..., inner]
    assert 15 < angle.abs().max() < 20.1
    assert angle.diff(dim=-1).abs().max() < 1


@pytest.mark.parametrize("values", [(-1, 0, 0, (1, 2)), (0, 181, 0, (1, 2)), (0, 0, 1.5, (1, 2)), (0, 0, 0, (3, 2))])
def test_values_out_of_range(values):
    with pytest.raises(UserError, match=r"vocoder\.discriminator_augment"):
        DiscriminatorAugment(*values)
