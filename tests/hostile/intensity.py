"""Cases of value: rescale, padding, bits, inverted display, and pictures without anatomy."""

import numpy as np

from tests.hostile.bench import Bench
from tests.hostile.corpus import case
from tests.hostile.scan import ellipse, store, stored


@case()
def int_no_rescale(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        del one.header.RescaleSlope, one.header.RescaleIntercept, one.header.RescaleType
    bench.save(scan)


@case()
def int_slope_zero(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.RescaleSlope = 0
    bench.save(scan)


@case()
def int_padding(bench: Bench) -> None:
    y, x = np.mgrid[-1 : 1 : bench.size * 1j, -1 : 1 : bench.size * 1j]
    outside = ~ellipse(x, y, 0, 0, 1, 1)
    padding = bench.random.choice((-2000, -3024, -1500, -2048))
    scan = bench.scan()
    for one in scan:
        store(one, np.where(outside, padding, stored(one)))
        one.header.PixelPaddingValue = padding
        one.hu = np.where(outside, -1024, one.hu)
    bench.deliver(scan)


@case()
def int_monochrome1(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.PhotometricInterpretation = "MONOCHROME1"
    bench.deliver(scan)
    bench.facts["may_be_refused"] = "yes"


@case()
def int_high_bits_garbage(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        garbage = bench.array_random.integers(1, 16, one.hu.shape, dtype=np.uint16) << 12
        store(one, stored(one).astype(np.uint16) & 0xFFF | garbage, is_signed=False)
        one.header.BitsStored, one.header.HighBit = 12, 11
    bench.deliver(scan)


@case()
def int_8bit_secondary(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        store(one, np.clip((one.hu + 1000.0) / 8, 0, 255), bits=8, is_signed=False)
    bench.save(scan)


@case()
def int_all_air(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        store(one, np.full(one.hu.shape, 24))
    bench.save(scan)


@case()
def int_noise_volume(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        store(one, bench.array_random.integers(0, 4096, one.hu.shape))
    bench.save(scan)
