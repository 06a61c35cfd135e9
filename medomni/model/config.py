"""The sizes of the omni model, written out: presets are functions. Also what it answers about, and for which tasks."""

from dataclasses import dataclass

LABELS = (
    *("consolidation", "pericardial_effusion", "pleural_effusion", "lung_nodule", "lung_opacity", "lymphadenopathy"),
    *("atelectasis", "interlobular_septal_thickening", "cardiomegaly", "emphysema", "bronchiectasis"),
    *("pulmonary_fibrotic_sequela", "mosaic_attenuation_pattern", "peribronchial_thickening"),
    *("coronary_artery_wall_calcification", "arterial_wall_calcification", "hiatal_hernia", "medical_material"),
    *("splenomegaly", "hepatic_steatosis", "renal_stone"),
)
"""The 18 findings of the vocabulary, then the organ changes that it names: the place of a label is its channel."""
MODALITIES = ("vision", "text", "audio")
"""What the model hears of a patient: the CT, the history (and typed remarks), the dictation."""
TASKS = ("draft", "label", "box", "retrieve", "edit")
"""What the model is asked to do; the importance of a modality depends on it."""


@dataclass(frozen=True)
class OmniConfig:
    """Sizes of the omni model.

    Attributes:
        width: channels of every token.
        heads: attention heads.
        fine, cells, middle, coarse: channels of the vision network at 2.5, 5, 10 and 20 mm.
        detail: channels from which places are judged, at 5 mm.
        global_layers: Transformer layers over regions and coarse places.
        global_tokens: tokens that stand for the whole scan.
        vocabulary: size of the text vocabulary.
        text_layers: Transformer layers of the text encoder.
        longest_text: tokens of a text that are read.
        mels: frequency bands of the sound.
        audio_layers: Transformer layers of the audio encoder.
        longest_audio_s: seconds of sound that are heard.
        fusion_layers: layers of the cross-modal attention.
        kept_pairs: share of the key pairs that attend in it.
    """

    width: int
    heads: int
    fine: int
    cells: int
    middle: int
    coarse: int
    detail: int
    global_layers: int
    global_tokens: int
    vocabulary: int
    text_layers: int
    longest_text: int
    mels: int
    audio_layers: int
    longest_audio_s: int
    fusion_layers: int
    kept_pairs: float


def base() -> OmniConfig:
    """The model that ships: trained and run on two CPU cores."""
    return OmniConfig(
        width=128,
        heads=4,
        fine=16,
        cells=32,
        middle=64,
        coarse=96,
        detail=32,
        global_layers=2,
        global_tokens=8,
        vocabulary=6000,
        text_layers=3,
        longest_text=512,
        mels=80,
        audio_layers=3,
        longest_audio_s=180,
        fusion_layers=2,
        kept_pairs=0.5,
    )


def tiny() -> OmniConfig:
    """The same model with next to no weights, for tests."""
    return OmniConfig(
        width=16,
        heads=2,
        fine=4,
        cells=6,
        middle=8,
        coarse=12,
        detail=8,
        global_layers=1,
        global_tokens=2,
        vocabulary=300,
        text_layers=1,
        longest_text=64,
        mels=16,
        audio_layers=1,
        longest_audio_s=10,
        fusion_layers=1,
        kept_pairs=0.5,
    )
