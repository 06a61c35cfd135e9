"""Provenance: which software, rules and weights made a result, from which input, at what cost."""

from pydantic import Field

from medomni.types.codes import Value


class Part(Value):
    """One program part that took part: the software itself, a segmenter, a drafter, an adapter."""

    role: str
    name: str
    version: str
    digest: str = ""


class StageRecord(Value):
    """What one stage cost. ``peak_mib`` is the peak resident memory of the process up to the end of the stage."""

    stage: str
    cpu_seconds: float = Field(ge=0)
    wall_seconds: float = Field(ge=0)
    peak_mib: float = Field(ge=0)


class Provenance(Value):
    """Digests of input and parts: ``input_sha256`` covers voxels and geometry, ``study_key`` is a one-way key of the UID."""

    study_key: str
    input_sha256: str
    parts: tuple[Part, ...] = ()
