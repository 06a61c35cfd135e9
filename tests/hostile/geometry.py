"""Cases of place: gaps, doubles, tilt, sides, spacings, and images that do not belong together."""

import copy
import math

from tests.hostile.bench import Bench
from tests.hostile.corpus import case


@case()
def control_good_series(bench: Bench) -> None:
    bench.deliver(bench.scan())


@case()
def geo_missing_slice(bench: Bench) -> None:
    scan = bench.scan()
    gone = scan.pop(bench.spot)
    bench.facts["gap_mm"] = f"{float(gone.header.ImagePositionPatient[2]):g}"
    bench.deliver(scan)


@case()
def geo_missing_block(bench: Bench) -> None:
    scan = bench.scan()
    bench.save(scan[: bench.spot] + scan[bench.spot + 3 :])


@case()
def geo_duplicate_slice_newuid(bench: Bench) -> None:
    scan = bench.scan()
    twin = copy.deepcopy(scan[bench.spot])
    twin.header.SOPInstanceUID = twin.header.file_meta.MediaStorageSOPInstanceUID = bench.uid()
    bench.save([twin, *scan])
    bench.hold(scan)


@case()
def geo_duplicate_file_sameuid(bench: Bench) -> None:
    scan = bench.scan()
    bench.save([*scan, copy.deepcopy(scan[bench.spot])])
    bench.hold(scan)


@case()
def geo_nonuniform_spacing(bench: Bench) -> None:
    half = bench.slices // 2
    fine, coarse = bench.step_mm / 2, bench.step_mm * bench.random.choice((1.5, 2.0))
    positions = [fine * k if k < half else fine * (half - 1) + coarse * (k - half + 1) for k in range(bench.slices)]
    bench.deliver(bench.scan(positions))


@case()
def geo_gantry_tilt(bench: Bench) -> None:
    degrees = bench.random.choice((-20, -12, 12, 18, 24))
    angle = math.radians(degrees)
    scan = bench.scan(orientation=(1, 0, 0, 0, math.cos(angle), math.sin(angle)))
    for one in scan:
        one.header.GantryDetectorTilt = degrees
    bench.deliver(scan)


@case()
def geo_localizer_mixed(bench: Bench) -> None:
    scan = bench.scan()
    scout = bench.scan([0.0], orientation=(1, 0, 0, 0, 0, -1), beside=scan[0])[0]
    scout.header.SeriesInstanceUID = scan[0].header.SeriesInstanceUID
    scout.header.ImageType, scout.header.InstanceNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 77
    bench.save([scout, *scan])
    bench.hold(scan)


@case()
def geo_two_series_one_folder(bench: Bench) -> None:
    first = bench.scan()
    second = bench.scan([bench.step_mm * k for k in range(bench.slices // 2 + 1)], beside=first[0])
    for one in second:
        one.header.SeriesNumber, one.header.SeriesDescription = 5, "LUNG 1.0"
    mixed = [one for pair in zip(first, second, strict=False) for one in pair] + first[len(second) :]
    bench.save(mixed)
    bench.hold(first)
    bench.hold(second)


@case()
def geo_mixed_patients(bench: Bench) -> None:
    other = bench.invent_patient()
    bench.personal += [other.family, other.id, other.accession]
    bench.save(bench.scan() + bench.scan(patient=other))


@case()
def geo_instance_number_reversed(bench: Bench) -> None:
    scan = bench.scan()
    for k, one in enumerate(scan):
        one.header.InstanceNumber = len(scan) - k
    bench.save(scan, [f"{bench.random.getrandbits(40):010x}" for _ in scan])
    bench.hold(scan)


@case()
def geo_no_ipp(bench: Bench) -> None:
    _without(bench, "ImagePositionPatient")


@case()
def geo_all_same_ipp(bench: Bench) -> None:
    bench.save(bench.scan([5.0] * bench.slices))


@case()
def geo_no_iop(bench: Bench) -> None:
    _without(bench, "ImageOrientationPatient")


@case()
def geo_zero_iop(bench: Bench) -> None:
    bench.save(bench.scan(orientation=(0, 0, 0, 0, 0, 0)))


@case()
def geo_coronal_stack(bench: Bench) -> None:
    half = bench.field_mm / 2
    bench.deliver(bench.scan(orientation=(1, 0, 0, 0, 0, -1), origin=lambda y: (-half, y, half)))


@case()
def geo_prone_flipped(bench: Bench) -> None:
    far = bench.field_mm / 2 - bench.field_mm / bench.size
    hu = bench.hu[:, ::-1, ::-1]
    scan = bench.scan(orientation=(-1, 0, 0, 0, -1, 0), origin=lambda z: (far, far, z), hu=hu)
    for one in scan:
        one.header.PatientPosition = "HFP"
    bench.deliver(scan)


@case()
def geo_zero_spacing(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.PixelSpacing = [0, 0]
    bench.save(scan)


@case()
def geo_absurd_spacing(bench: Bench) -> None:
    scan = bench.scan()
    for one in scan:
        one.header.PixelSpacing = bench.random.choice(([1e-6, 1e6], [1e5, 1e5], ["nan", "nan"], ["1e400", "1"]))
    bench.save(scan)


@case()
def geo_no_spacing(bench: Bench) -> None:
    _without(bench, "PixelSpacing")


@case()
def geo_mixed_matrix(bench: Bench) -> None:
    scan = bench.scan()
    above = [bench.step_mm * (bench.slices + k) - 120 for k in range(2)]
    odd = bench.scan(above, beside=scan[0], hu=bench.hu[:, :40, :40])
    for one in odd:
        one.header.SeriesInstanceUID = scan[0].header.SeriesInstanceUID
    bench.save(scan + odd)


@case()
def geo_single_slice(bench: Bench) -> None:
    bench.save(bench.scan([0.0]))


def _without(bench: Bench, attribute: str) -> None:
    scan = bench.scan()
    for one in scan:
        delattr(one.header, attribute)
    bench.save(scan)
