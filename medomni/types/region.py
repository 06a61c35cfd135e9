"""Regions: what was measured on each segmented structure."""

from pydantic import Field

from medomni.types.codes import Value
from medomni.types.finding import BoxMm, Measurement


class Region(Value):
    """One structure of a segmentation with its measurements. Touching the edge makes its volume a lower bound."""

    structure: str
    voxels: int = Field(ge=0)
    measurements: tuple[Measurement, ...] = ()
    box_mm: BoxMm | None = None
    first_slice: int | None = None
    last_slice: int | None = None
    touches_edge: bool = False

    @property
    def is_found(self) -> bool:
        """Whether any voxel of the structure was found."""
        return self.voxels > 0

    def value(self, name: str) -> float | None:
        """The value of the named measurement, or None."""
        return next((m.value for m in self.measurements if m.name == name), None)


class Coverage(Value):
    """Which parts of the body the volume shows: the scope of every statement.

    ``region`` is chest, abdomen, chest_abdomen, head, other or none. ``evaluated`` lists the organs (keys of
    ``medomni/data/anatomy.toml``) that were assessed, ``not_evaluated`` the others with the reason code of each.
    """

    region: str
    evaluated: tuple[str, ...] = ()
    not_evaluated: dict[str, str] = Field(default_factory=dict)
    is_partial: bool = False
    z_range_mm: tuple[float, float] | None = None
