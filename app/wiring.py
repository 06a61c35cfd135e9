"""The only composition root: which part does which stage of a draft. Nothing else chooses an implementation.

Stages import their heavy libraries when they run, so importing this module stays cheap.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from adapters import tracking
from medomni import logs, plugins
from medomni.errors import BadInput, MissingPart
from medomni.settings import TEMPLATE, Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from medomni.pipeline import Drafter, Segmenter, Stages
    from medomni.types.region import Coverage
    from preprocessing.ears import Ears

OWN_SEGMENTER = "medomni-ct"
BUNDLE_SEGMENTER = "monai-bundle"
OWN_DRAFTER = "smollm2"
DEFAULT_ADAPTER, ADAPTERS = "chest_ct", {"abdomen": "abdomen_ct"}
"""The adapter of the embedded drafter, and that of a study which shows such a region alone."""


def start() -> Settings:
    """Return the settings of this process, with the log set up as they say.

    Raises:
        BadSettings: an environment variable has a value that cannot be used.
    """
    settings = load(os.environ)
    logs.configure(settings.log_level)
    tracking.silence()
    return settings


def stages(
    segmenter: str,
    settings: Settings,
    *,
    drafter: str = TEMPLATE,
    adapter: Path | None = None,
    is_bundle_trusted: bool = False,
) -> "Stages":
    """Return the stages of one draft with the chosen segmenter and drafter.

    Args:
        segmenter: an installed name, or the path of a MONAI bundle folder.
        settings: threads and device of a network.
        drafter: an installed name; ``template`` words nothing anew.
        adapter: folder of the adapter that the drafter takes; without one the embedded drafter takes that of the region in view.
        is_bundle_trusted: whether a bundle may load pickled tensors and run the expressions of its own configuration.

    Raises:
        MissingPart: no such segmenter or drafter is installed.
        BadInput: the folder holds no bundle or adapter that can be used.
        BadSettings: the drafter lacks a setting.
    """
    from app import kept
    from medomni.cache import Cache
    from medomni.model.omni_folder import SHIPPED
    from medomni.pipeline import Stages
    from preprocessing import assemble, dicom, dictation, history, prior
    from preprocessing.detect import findings
    from preprocessing.look import OmniLook
    from preprocessing.measure import regions, scope

    made = Stages(
        read=dicom.open_study,
        assemble=assemble.assemble,
        understand=history.understand,
        listen=dictation.listen,
        segmenter=_segmenter(segmenter, settings, is_bundle_trusted=is_bundle_trusted),
        measure=regions.measure,
        scope=scope.scope,
        detect=findings.detect,
        look=OmniLook(settings.model or SHIPPED),
        compare=prior.compare,
        drafter=_drafter(drafter, adapter, settings),
    )
    return kept.through(Cache(settings.home / "kept", settings.cache_mib << 20), made)


def _drafter(name: str, adapter: Path | None, settings: Settings) -> "Callable[[Coverage], Drafter] | None":
    """The drafter of a plug-in name for what a study shows; None for fixed phrases alone."""
    if name == TEMPLATE:
        check_adapter(adapter)
        return None
    offered = plugins.names(plugins.Group.DRAFTERS)
    if name not in offered:
        raise MissingPart(
            "no drafter has this name",
            found=f"installed: {', '.join((TEMPLATE, *offered))}",
            remedy="choose one, or leave --drafter out",
            where=name,
        )
    make = cast("Callable[[Settings, Path | None], Drafter]", plugins.load(plugins.Group.DRAFTERS, name))
    if name == OWN_DRAFTER:
        usual = adapter_folder(adapter or Path(DEFAULT_ADAPTER))
        fitted = {} if adapter else {region: adapter_folder(Path(shipped)) for region, shipped in ADAPTERS.items()}
        return lambda coverage: make(settings, fitted.get(coverage.region, usual))
    if adapter is not None:
        from adapters import check

        check.check_adapter(adapter, settings.drafter_model)
    made = make(settings, adapter)
    return lambda _: made


def lacking(settings: Settings) -> MissingPart | None:
    """Return what the drafter of the settings lacks to word anything; until it is there, drafts keep their fixed phrases.

    Raises:
        MissingPart, BadInput, BadSettings: as ``stages``; then no draft can be made.
    """
    from medomni.pipeline import Checkable
    from medomni.types.region import Coverage

    choose = _drafter(settings.drafter, settings.adapter, settings)
    drafter = choose(Coverage(region="chest")) if choose else None
    try:
        if isinstance(drafter, Checkable):
            drafter.check()
    except MissingPart as missing:
        return missing
    return None


def check_adapter(folder: Path | None) -> None:
    """Refuse an adapter where nothing takes one: a bad one for what is wrong with it, a good one for want of its drafter.

    Raises:
        BadInput: the folder holds no adapter that can be trusted.
        MissingPart: it does, but fixed phrases take none.
    """
    if folder is None:
        return
    from adapters import check
    from medomni.model.adapter import BASE

    check.check_adapter(folder, BASE)
    raise MissingPart(
        "fixed phrases take no adapter",
        found="a valid adapter",
        remedy=f"give --drafter {OWN_DRAFTER} with it",
        where=folder.name,
    )


def adapter_folder(chosen: Path) -> Path:
    """Return the folder of a checked adapter: one that ships, by its name, or one of a path.

    Raises:
        BadInput: the folder holds no adapter that can be trusted.
    """
    from adapters import check
    from medomni.model.adapter import BASE, base_identity, card_of

    shipped = Path(check.__file__).parent / "shipped"
    folder = shipped / chosen if (shipped / chosen).is_dir() else chosen
    check.check_adapter(folder, BASE)
    if card_of(folder).get("base") != base_identity():
        raise BadInput("the adapter was fitted to another language model", remedy="give one of this base", where=folder.name)
    return folder


def ears(settings: Settings) -> "Ears":
    """Return what turns a recording into words.

    Raises:
        MissingPart: its weights were not pulled, or it is not installed.
    """
    from medomni.model import weights
    from preprocessing.ears import Ears, check_installed

    check_installed()
    return Ears(weights.require(settings.home, {"tiny": "speech", "base": "speech-base"}[settings.speech]), settings.threads)


def _segmenter(choice: str, settings: Settings, *, is_bundle_trusted: bool) -> "Segmenter":
    """The segmenter of a plug-in name, or the one that a MONAI bundle folder holds."""
    offered = [name for name in plugins.names(plugins.Group.SEGMENTERS) if name != BUNDLE_SEGMENTER]
    if choice == OWN_SEGMENTER:
        return _own(settings)
    if choice in offered:
        kind = plugins.load(plugins.Group.SEGMENTERS, choice)
        return cast("type[Segmenter]", kind)()
    if choice and Path(choice).is_dir():
        return _bundle(Path(choice), settings, is_trusted=is_bundle_trusted)
    raise MissingPart(
        "no segmenter has this name, and no such folder is there",
        found=f"installed: {', '.join(offered)}",
        remedy="choose one, or give the path of a MONAI bundle folder",
        where=choice,
    )


def _own(settings: Settings) -> "Segmenter":
    """MedOmni's own network; missing weights are said at once, before the study is read."""
    from preprocessing.segment.medomni_ct import MedomniCt

    network = MedomniCt(cache=settings.home / "cache", threads=settings.threads, device=settings.device)
    network.check()
    return cast("Segmenter", network)


def _bundle(folder: Path, settings: Settings, *, is_trusted: bool) -> "Segmenter":
    """The segmenter of a bundle folder; its plan is read at once, so that a bad folder is refused before the study is read."""
    import torch

    from preprocessing.segment.monai_bundle import MonaiBundle

    torch.set_num_threads(settings.threads)
    bundle = MonaiBundle(folder, allow_pickle=is_trusted, trust_code=is_trusted, device=settings.device)
    _ = bundle.plan
    return cast("Segmenter", bundle)
