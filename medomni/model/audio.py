"""The audio encoder: a recording of 8 to 48 kHz as tokens of the shared space.

    samples, rate -> 16 kHz mono -> log-mel (10 ms) -> convolutions (80 ms) -> Transformer -> tokens, mask

What is said too softly is heard as well as what is said loudly: the sound is scaled by its own level, once the constant part that
some microphones add is gone. Silence has no tokens.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from medomni.model.config import OmniConfig

RATE_HZ = 16_000
"""Rate at which sound is heard; speech holds little above 8 kHz."""
WINDOW, HOP, BINS = 400, 160, 512
"""Samples of a window (25 ms), between windows (10 ms), and of the Fourier transform."""
FRAMES_OF_TOKEN = 8
"""Windows that one token stands for."""
SILENT = 1e-4
"""Level (root mean square, full scale 1) below which nothing was said."""


def heard(samples: Float32[np.ndarray, "channel time"], rate_hz: int, longest_s: int) -> torch.Tensor:
    """Mono sound at ``RATE_HZ`` with the level of a usual voice, at most ``longest_s`` seconds; empty when it is silent.

    Raises:
        ValueError: a sample is no finite number.
    """
    from scipy.signal import resample_poly

    mono = samples.mean(axis=0)[: longest_s * rate_hz]
    if not np.isfinite(mono).all():
        raise ValueError("sound must be finite numbers")
    mono = mono - (mono.mean(dtype=np.float64).astype(np.float32) if mono.size else 0.0)
    if rate_hz != RATE_HZ:
        common = math.gcd(rate_hz, RATE_HZ)
        mono = resample_poly(mono, RATE_HZ // common, rate_hz // common).astype(np.float32)
    level = float(np.sqrt(np.mean(np.square(mono, dtype=np.float64)))) if mono.size else 0.0
    if level < SILENT:
        return torch.zeros(0)
    return torch.from_numpy(np.clip(mono * (0.05 / level), -1.0, 1.0).astype(np.float32))


def log_mel(sound: torch.Tensor, mels: int) -> torch.Tensor:
    """Log-mel spectrum (mel, frame) of mono sound at ``RATE_HZ``, about 0 +- 1."""
    padded = nn.functional.pad(sound, (0, max(0, BINS - len(sound))))
    spectrum = torch.stft(padded, BINS, HOP, WINDOW, torch.hann_window(WINDOW), center=True, return_complex=True)
    power = mel_filters(mels) @ spectrum.abs().square()
    return (torch.log10(power.clamp(min=1e-8)) + 4.0) / 4.0


def mel_filters(mels: int) -> torch.Tensor:
    """Triangular filters (mel, frequency) at even steps of the mel scale (O'Shaughnessy 1987), 0 to 8 kHz."""
    top = 2595.0 * math.log10(1.0 + RATE_HZ / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (torch.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)
    frequency = torch.linspace(0.0, RATE_HZ / 2, BINS // 2 + 1)
    rise = (frequency - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    fall = (edges_hz[2:, None] - frequency) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0.0)


class AudioHybrid(nn.Module):
    """Log-mel spectra (batch, mel, frame) with their lengths to tokens (batch, token, width) and their mask."""

    place: torch.Tensor

    def __init__(self, config: OmniConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.longest = config.longest_audio_s * RATE_HZ // HOP // FRAMES_OF_TOKEN + 1
        steps = (config.mels, config.width, config.width, config.width)
        self.near = nn.ModuleList(nn.Conv1d(before, after, 5, 2, padding=2) for before, after in pairwise(steps))
        self.register_buffer("place", _sinusoids(self.longest, config.width), persistent=False)
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.far = nn.TransformerEncoder(layer, config.audio_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, spectra: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class; ``frames`` (batch,) counts the frames of each spectrum that are sound."""
        x = spectra
        for convolution in self.near:
            x = nn.functional.gelu(convolution(x))
        x = x.transpose(1, 2)[:, : self.longest]  # (batch, token, width)
        count = (frames + FRAMES_OF_TOKEN - 1) // FRAMES_OF_TOKEN
        mask = torch.arange(x.shape[1], device=x.device) < count[:, None]
        x = x + self.place[: x.shape[1]]
        safe = mask | ~mask.any(dim=1, keepdim=True)  # attention over nothing is not a number
        return self.norm(self.far(x, src_key_padding_mask=~safe)) * mask[..., None], mask


def _sinusoids(length: int, width: int) -> torch.Tensor:
    """Sines and cosines of the place, (place, width)."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(length)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)
