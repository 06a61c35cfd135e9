"""What became of the findings of an earlier report: each number then and now, and what follows from the two."""

from decimal import Decimal

from medomni.types.codes import Value
from medomni.types.finding import Finding


class Change(Value):
    """One measured number then and now, **as shown**: what is reckoned from them can be checked with a pocket calculator.

    ``percent`` is the whole percent by which it changed; None where it was zero.
    """

    name: str
    unit: str
    before: Decimal
    now: Decimal
    percent: int | None


class Followed(Value):
    """A finding and the one of the earlier report that it is taken for.

    ``doubling_days`` is the volume doubling time in days; None where the volume did not grow by more than repeated
    measurements differ, or where the time between the studies is not known.
    ``growth`` is the change of diameter that counts as growth.
    """

    finding: Finding
    earlier: Finding
    changes: tuple[Change, ...]
    doubling_days: int | None = None
    growth: Change | None = None

    def change(self, name: str) -> Change | None:
        """The change of the measurement of that name, or None."""
        return next((change for change in self.changes if change.name == name), None)


class DiameterSum(Value):
    """The sum of the diameters of target lesions (mm) then and now, and the findings that are in it."""

    finding_ids: tuple[str, ...]
    change: Change


class FollowUp(Value):
    """What follows from the findings of now and those of an earlier report.

    Attributes:
        followed: findings with a counterpart.
        new: findings without one.
        gone: earlier findings without one.
        unsure: findings that could be one of several earlier ones, or none for certain.
        total: the sum of diameters; None with fewer than one target lesion.
    """

    followed: tuple[Followed, ...] = ()
    new: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    unsure: tuple[Finding, ...] = ()
    total: DiameterSum | None = None
