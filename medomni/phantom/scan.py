"""What the scanner makes of a body: table, energy, blur of kernel and slice, quantum noise, streaks; whole HU come out.

    noise-free HU, Technique -> int16 HU

Knows nothing about anatomy or disease.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16
from scipy import fft, ndimage

from medomni.phantom.canvas import Canvas, Field
from medomni.types.volume import Mask

METAL_HU = 2200.0
"""Only metal is denser: enamel and cortical bone stay below 2000 HU at 120 kV."""
_AIR_HU, _FOAM_HU, _SHELL_HU = -1000.0, -955.0, -260.0
_REFERENCE_WIDTH_MM = 300.0
"""Water-equivalent diameter at which ``Technique.noise_hu`` holds."""
_NOISE_PER_MM = 0.0045
"""Growth of log noise with the water-equivalent diameter under tube-current modulation, which makes up for the rest of
the attenuation (half of 0.019/mm, the attenuation of water at 120 kV, acts on the noise; AAPM reports 204 and 220)."""
_HIGHEST_HU, _LOWEST_HU = 3071, -1024


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel: in-plane resolution and the frequency where its noise is strongest.

    Attributes:
        name: what the header says.
        sigma_mm: blur of the point spread; the voxel adds its own width.
        edge: share of the difference to the surroundings that is added again (edge enhancement).
        peak_per_mm: peak of the noise power spectrum in line pairs per mm.
        noise: deviation of the noise relative to the standard kernel at the same dose.
    """

    name: str
    sigma_mm: float
    edge: float
    peak_per_mm: float
    noise: float


KERNELS = {
    "SOFT": Kernel("SOFT", 0.85, 0.0, 0.14, 0.8),
    "STANDARD": Kernel("STANDARD", 0.7, 0.0, 0.19, 1.0),
    "LUNG": Kernel("LUNG", 0.55, 0.35, 0.3, 1.5),
}
"""Typical smooth, medium and sharp kernels of the body: the grain gets finer and the noise stronger from one to the next."""

_KERNEL_SHARES = {"SOFT": 0.3, "STANDARD": 0.5, "LUNG": 0.2}

_ENERGY = {100: 1.17, 120: 1.0, 140: 0.88}
"""Excess HU of iodine and calcium relative to 120 kV: about a fifth more at 100 kV and a tenth less at 140 kV."""


@dataclass(frozen=True)
class Technique:
    """How one series was acquired and reconstructed.

    Attributes:
        kernel: a name of ``KERNELS``.
        slice_thickness_mm: width of the slice profile; slices overlap when it exceeds the spacing.
        noise_hu: deviation of the noise in the middle of a body of 300 mm water-equivalent diameter, standard kernel.
        kvp: 100, 120 or 140.
        is_low_dose: a screening protocol.
    """

    kernel: str = "STANDARD"
    slice_thickness_mm: float = 2.5
    noise_hu: float = 13.0
    kvp: int = 120
    is_low_dose: bool = False

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS or self.kvp not in _ENERGY or self.slice_thickness_mm <= 0 or self.noise_hu < 0:
            raise ValueError(f"no scanner works like {self}")

    @property
    def exposure_mas(self) -> int:
        """Tube current-time product: noise falls with its root (13 HU at 120 mAs, 120 kV and 2.5 mm)."""
        energy: float = (self.kvp / 120) ** 2.5
        mas: float = 120 * (13.0 / max(self.noise_hu, 1.0)) ** 2 * 2.5 / self.slice_thickness_mm / energy
        return max(8, round(mas))


def draw_technique(
    rng: np.random.Generator, spacing_mm: float, kernels: tuple[str, ...] = tuple(KERNELS), *, has_contrast: bool
) -> Technique:
    """Return a technique as a department would choose it among its kernels; low-dose scans are never enhanced."""
    is_low_dose = bool(rng.random() < 0.18) and not has_contrast
    noise = rng.uniform(16, 21) if is_low_dose else rng.uniform(8, 15)
    shares = np.array([_KERNEL_SHARES[name] for name in kernels])
    kernel = str(rng.choice(kernels, p=shares / shares.sum()))
    thickness = spacing_mm * float(rng.choice((1.0, 1.2, 1.5), p=(0.6, 0.2, 0.2)))
    kvp = int(rng.choice((100, 120, 140), p=(0.2, 0.7, 0.1)))
    return Technique(kernel, round(thickness, 2), round(float(noise), 1), kvp, is_low_dose)


def scan(canvas: Canvas, hu: Field, body: Mask, technique: Technique, rng: np.random.Generator) -> Int16[np.ndarray, "z y x"]:
    """Return the HU that the scanner shows; ``hu`` is used up.

    Args:
        canvas: where the body lies.
        hu: HU of the body without noise.
        body: everything inside the skin.
        technique: kernel, slice, dose and energy.
        rng: noise.
    """
    kernel = KERNELS[technique.kernel]
    _draw_table(canvas, hu, body)
    _change_energy(hu, technique.kvp)
    metal = _metal_slices(hu)
    hu = _blur(canvas, hu, kernel, technique.slice_thickness_mm)
    width_mm = _water_equivalent_mm(canvas, hu)
    hu += _noise(canvas, kernel, technique, width_mm, rng)
    _add_shoulder_streaks(canvas, hu, technique, width_mm, rng)
    for index, middle in metal:
        _add_metal_streaks(canvas, hu[index], middle, rng)
    np.rint(hu, out=hu)
    np.clip(hu, _LOWEST_HU, _HIGHEST_HU, out=hu)
    return hu.astype(np.int16)


def _draw_table(canvas: Canvas, hu: Field, body: Mask) -> None:
    """A curved carbon-fibre shell filled with foam, 10 mm behind the back."""
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    if not len(rows):
        return
    back = float(canvas.y.flat[rows[-1]])
    top = canvas.y - (back + 10 - 0.0005 * canvas.x**2)
    half = max(1.3, 0.6 * canvas.spacing_mm[1])
    shell = (np.abs(top) < half) | (np.abs(top - 24) < half)
    core = (top > 0) & (top < 24)
    first = max(0, int(np.searchsorted(canvas.y.ravel(), back - 15)))
    free = ~body[:, first:] & (np.abs(canvas.x) < 172)
    for part, value in ((core, _FOAM_HU), (shell, _SHELL_HU)):
        np.copyto(hu[:, first:], np.float32(value), where=part[:, first:] & free)


def _change_energy(hu: Field, kvp: int) -> None:
    factor = _ENERGY[kvp]
    if factor != 1:
        hu += np.float32(factor - 1) * np.maximum(hu - 100, 0)


def _metal_slices(hu: Field) -> list[tuple[int, tuple[float, float]]]:
    """Slices that hold metal and the middle (row, column) of it."""
    found = []
    for index in np.flatnonzero(hu.max(axis=(1, 2)) > METAL_HU):
        row, column = np.argwhere(hu[index] > METAL_HU).mean(axis=0)
        found.append((int(index), (float(row), float(column))))
    return found


def _blur(canvas: Canvas, hu: Field, kernel: Kernel, thickness_mm: float) -> Field:
    """Point spread in the plane, slice profile (box of the slice beyond the spacing) across it."""
    for axis in (1, 2):
        hu = ndimage.correlate1d(hu, _spread(kernel, canvas.spacing_mm[axis]), axis=axis, mode="nearest")
    share = max(0.12, (thickness_mm / canvas.spacing_mm[0]) ** 2 - 1) / 24
    return _mix_slices(hu, min(share + 0.02, 0.25))


def _spread(kernel: Kernel, spacing_mm: float) -> Float32[np.ndarray, "5"]:
    """Five taps: a Gaussian, and edge enhancement when the kernel is sharp."""
    steps = np.arange(-2, 3)
    taps = np.exp(-0.5 * (steps * spacing_mm / kernel.sigma_mm) ** 2)
    taps /= taps.sum()
    rise = np.array([-0.25, -0.25, 1, -0.25, -0.25])
    return np.asarray(taps + kernel.edge * 0.4 * rise, dtype=np.float32)


def _mix_slices(field: Field, share: float) -> Field:
    """Each slice takes ``share`` of both of its neighbours."""
    mixed = field * np.float32(1 - 2 * share)
    edge = np.float32(share)
    mixed[1:] += edge * field[:-1]
    mixed[:-1] += edge * field[1:]
    mixed[0] += edge * field[0]
    mixed[-1] += edge * field[-1]
    return mixed


def _water_equivalent_mm(canvas: Canvas, hu: Field) -> Float32[np.ndarray, "z"]:
    """Diameter of the water cylinder that attenuates like each slice (AAPM report 220, equation 3), from every third voxel."""
    attenuation = np.maximum(hu[:, ::3, ::3] + 1000, 0).sum(axis=(1, 2), dtype=np.float64) / 1000
    area = attenuation * 9 * canvas.spacing_mm[1] * canvas.spacing_mm[2]
    return np.asarray(2 * np.sqrt(area / np.pi), dtype=np.float32)


def _noise(
    canvas: Canvas, kernel: Kernel, technique: Technique, width_mm: Float32[np.ndarray, "z"], rng: np.random.Generator
) -> Field:
    """Noise with the power spectrum f * exp(-(f / peak)^2 / 2) of filtered backprojection, stronger in wide slices and inside."""
    slices, rows, columns = canvas.shape
    half = columns // 2 + 1
    spectrum = rng.standard_normal((slices, rows, half, 2), dtype=np.float32).view(np.complex64)[..., 0]
    high = np.fft.fftfreq(rows, canvas.spacing_mm[1])[:, None]
    wide = np.fft.rfftfreq(columns, canvas.spacing_mm[2])[None, :]
    f = np.hypot(high, wide)
    amplitude = np.sqrt(f * np.exp(-0.5 * (f / kernel.peak_per_mm) ** 2))
    power = float((amplitude**2).sum() * 2 - (amplitude[:, 0] ** 2).sum())
    scale = rows * columns / np.sqrt(power * 2)
    spectrum *= (amplitude * scale).astype(np.float32)
    noise: Field = fft.irfft2(spectrum, s=(rows, columns), overwrite_x=True)
    overlap = min(0.25, 0.12 * (technique.slice_thickness_mm / canvas.spacing_mm[0]))
    noise = _mix_slices(noise, overlap) / np.float32(np.sqrt((1 - 2 * overlap) ** 2 + 2 * overlap**2))
    deviation = technique.noise_hu * kernel.noise * np.exp(_NOISE_PER_MM * (width_mm - _REFERENCE_WIDTH_MM))
    inside = 0.6 + 0.4 * np.exp(-((canvas.x / 190) ** 2) - (canvas.y / 150) ** 2)
    noise *= deviation[:, None, None].astype(np.float32) * inside
    return noise


def _add_shoulder_streaks(
    canvas: Canvas, hu: Field, technique: Technique, width_mm: Float32[np.ndarray, "z"], rng: np.random.Generator
) -> None:
    """Horizontal streaks where the body is wide beyond its median: few photons pass from side to side."""
    excess = np.clip((width_mm - np.median(width_mm)) / 60, 0, 1.5)
    coarse = rng.standard_normal((canvas.shape[0], canvas.shape[1], 6), dtype=np.float32)
    place = np.linspace(0, 4.999, canvas.shape[2], dtype=np.float32)
    low = place.astype(int)
    share = place - low
    for index in np.flatnonzero(excess > 0.1):
        rows = coarse[index]
        streak = rows[:, low] * (1 - share) + rows[:, low + 1] * share
        hu[index] += np.float32(0.55 * technique.noise_hu * excess[index]) * streak


def _add_metal_streaks(
    canvas: Canvas, image: Float32[np.ndarray, "y x"], middle: tuple[float, float], rng: np.random.Generator
) -> None:
    """Bright and dark rays around metal that fade over some centimetres."""
    reach = [max(4, round(70 / spacing)) for spacing in canvas.spacing_mm[1:]]
    low = [max(0, int(m) - r) for m, r in zip(middle, reach, strict=True)]
    window = image[low[0] : int(middle[0]) + reach[0], low[1] : int(middle[1]) + reach[1]]
    y = (np.arange(window.shape[0]) + low[0] - middle[0])[:, None] * canvas.spacing_mm[1]
    x = (np.arange(window.shape[1]) + low[1] - middle[1])[None, :] * canvas.spacing_mm[2]
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    first, second = rng.uniform(0, 2 * np.pi, 2)
    rays = np.cos(6 * angle + first) + 0.7 * np.cos(14 * angle + second)
    window += (90 * rays * np.exp(-distance / 18) * (distance > 2)).astype(np.float32)
