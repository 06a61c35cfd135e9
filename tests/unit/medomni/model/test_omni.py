import numpy as np
import pytest
import torch

from medomni.model import audio
from medomni.model.config import LABELS, MODALITIES, TASKS, base, tiny
from medomni.model.fusion import SPREAD, Fusion, Look, Tokens, agreed
from medomni.model.omni import Given, Omni
from medomni.model.scan import STRUCTURES
from medomni.model.vision import VisionHybrid, region_shares


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def scan(depth=16, rows=32, columns=48, batch=1):
    codes = torch.randint(0, 256, (batch, depth, rows, columns), dtype=torch.uint8)
    structures = torch.randint(0, len(STRUCTURES) + 1, (batch, depth, rows // 2, columns // 2), dtype=torch.uint8)
    return codes, structures


def given(model, batch=1):
    seen, _ = model.see(*scan(batch=batch))
    text = torch.randint(1, 200, (batch, 12))
    spectra = torch.randn(batch, model.config.mels, 160)
    return Given(seen, text, spectra, torch.full((batch,), 160))


def test_every_part_of_a_scan_becomes_tokens_of_one_width():
    seen, near = VisionHybrid(tiny()).eval()(*scan(batch=2))
    count = len(STRUCTURES) + len(LABELS) + tiny().global_tokens
    assert seen.tokens.shape == (2, count, tiny().width)
    assert seen.mask.shape == (2, count)
    assert near.cells.shape == (2, len(LABELS), 8, 8, 12)
    assert seen.guess.shape == (2, len(LABELS))


@pytest.mark.parametrize("shape", [(10, 4, 4), (200, 8, 8), (10, 340, 344)])
def test_any_size_is_seen(shape):
    seen, _ = VisionHybrid(tiny()).eval()(*scan(*shape))
    assert torch.isfinite(seen.tokens).all()
    assert torch.isfinite(seen.guess).all()


def test_slabs_change_nothing(monkeypatch):
    from medomni.model import slabs

    network, given_scan = VisionHybrid(tiny()).near.eval(), scan(depth=40)
    whole = network.first(*given_scan)
    monkeypatch.setattr(slabs, "THICKEST", 8)
    assert torch.allclose(network.first(*given_scan), whole, atol=1e-5)


def test_a_scan_without_structures_has_no_region_tokens_and_finite_answers():
    codes, structures = scan()
    seen, _ = VisionHybrid(tiny()).eval()(codes, torch.zeros_like(structures))
    assert not seen.mask[:, : len(STRUCTURES)].any()
    assert torch.isfinite(seen.tokens).all()


def test_shares_of_structures_add_up_to_what_is_labelled():
    _, structures = scan()
    shares, is_there = region_shares(structures, torch.Size((8, 8, 12)))
    assert float(shares.sum()) * 8 == pytest.approx(float((structures > 0).sum()))
    assert is_there.all()


def test_model_answers_from_all_and_from_any_single_modality():
    model = Omni(tiny()).eval()
    everything = given(model)
    for only in (everything, Given(seen=everything.seen), Given(text=everything.text)):
        answer = model(only)
        assert answer.logits.shape == (1, len(LABELS))
        assert torch.isfinite(answer.logits).all()
    with pytest.raises(ValueError, match="nothing is given"):
        model(Given())


def test_absent_modality_is_neither_built_nor_run():
    model = Omni(tiny(), modalities=("text",))
    assert not hasattr(model, "vision")
    assert not hasattr(model, "audio")
    model(Given(text=torch.randint(1, 200, (1, 5))))
    assert model.calls == {"text": 1}


def test_modality_without_tokens_is_as_if_it_were_not_given():
    model = Omni(tiny()).eval()
    one = given(model)
    silent = model(Given(one.seen, one.text, one.spectra, torch.zeros(1, dtype=torch.long)))
    absent = model(Given(one.seen, one.text))
    assert torch.allclose(silent.logits, absent.logits, atol=1e-4)
    assert silent.fused.importance[0, MODALITIES.index("audio")] == 0


def test_gates_lie_between_0_and_1_for_each_pair_and_layer():
    model = Omni(tiny()).eval()
    fused = model(given(model)).fused
    pairs = {(a, b) for a in ("query", *MODALITIES) for b in MODALITIES if a != b}
    assert set(fused.gates) == pairs
    for gate in fused.gates.values():
        assert gate.shape == (1, tiny().fusion_layers)
        assert ((gate > 0) & (gate < 1)).all()


def test_agreement_tells_the_same_from_the_opposite_and_is_0_without_company():
    tokens, mask = torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)
    claims = torch.full((2, len(LABELS)), -6.0)
    claims[:, :4] = 6.0
    one = Tokens(tokens, mask, claims)
    same, opposite = (agreed("vision", {"vision": one, "text": Tokens(tokens, mask, other)}) for other in (claims, -claims))
    assert (same[:, 0] > 0.9 * SPREAD).all()
    assert (same[:, 1] < 0.1 * SPREAD).all()
    assert (opposite[:, 0] < 0.1 * SPREAD).all()
    assert (opposite[:, 1] > 0.9 * SPREAD).all()
    absent = Tokens(tokens, torch.zeros_like(mask), claims)
    for company in ({"vision": one}, {"vision": one, "text": absent}, {"vision": one, "text": Tokens(tokens, mask)}):
        assert (agreed("vision", company) == 0).all()


@pytest.mark.parametrize("task", TASKS)
def test_importance_is_a_distribution_over_what_is_there(task):
    model = Omni(tiny()).eval()
    one = given(model)
    importance = model(Given(one.seen, one.text), task).fused.importance
    assert float(importance.sum()) == pytest.approx(1.0)
    assert importance[0, MODALITIES.index("audio")] == 0


def test_sparse_attention_over_all_pairs_is_dense_attention():
    look = Look(tiny()).eval()
    x, key, value = (torch.randn(2, 7, tiny().width) for _ in range(3))
    narrow, mask = torch.randn(2, 7, 16), torch.ones(2, 7, dtype=torch.bool)
    seen, (done, dense) = look(x, key, value, narrow, mask, 1.0)
    heads = tiny().heads
    question, keys, values = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (look.ask(x), key, value))
    bias = (look.route(x) @ narrow.transpose(1, 2) / 4.0)[:, None]
    expected = torch.nn.functional.scaled_dot_product_attention(question, keys, values, attn_mask=bias)
    assert torch.allclose(seen, look.out(expected.transpose(1, 2).flatten(2)), atol=1e-5)
    assert done == dense


def test_attention_learns_as_it_is_used():
    look = Look(tiny())
    x, key, value = (torch.randn(2, 7, tiny().width) for _ in range(3))
    narrow, mask = torch.randn(2, 7, 16), torch.ones(2, 7, dtype=torch.bool)
    mask[0, 4:], mask[1] = False, False
    by_mask, by_pairs = (look.train(mode)(x, key, value, narrow, mask, 0.5)[0] for mode in (True, False))
    assert torch.allclose(by_mask, by_pairs, atol=1e-5)


def test_half_of_the_pairs_need_less_than_seven_tenths_of_the_arithmetic():
    fusion = Fusion(base())
    streams = {name: Tokens(torch.randn(1, 53, 128), torch.ones(1, 53, dtype=torch.bool)) for name in MODALITIES}
    done, dense = fusion(streams, "label").multiply_adds
    assert done / dense <= 0.7


def test_sequences_of_unlike_length_cannot_be_joined_channel_by_channel():
    vision, text = torch.zeros(1, 53, 16), torch.zeros(1, 12, 16)
    with pytest.raises(RuntimeError):
        torch.cat([text, vision], dim=-1)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_sound_of_any_rate_is_heard_alike(rate_hz):
    time = np.arange(rate_hz) / rate_hz
    sound = audio.heard(np.stack([np.sin(2 * np.pi * 440 * time)] * 2).astype(np.float32), rate_hz, 10)
    assert len(sound) == pytest.approx(audio.RATE_HZ, abs=2)
    strongest = audio.log_mel(sound, 80).mean(dim=1).argmax()
    filters = audio.mel_filters(80)
    assert filters[strongest, round(440 / 8000 * 256)] > 0.3


def test_silence_is_heard_as_nothing_and_long_sound_is_cut():
    assert len(audio.heard(np.zeros((1, 16000), np.float32), 16000, 10)) == 0
    noise = np.random.default_rng(0).standard_normal((1, 16000 * 3)).astype(np.float32)
    assert len(audio.heard(noise, 16000, 2)) == 32000


def test_loud_and_soft_sound_is_heard_alike():
    noise = np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    assert torch.allclose(audio.heard(noise, 16000, 5), audio.heard(noise * 0.01, 16000, 5), atol=1e-5)


def test_same_seed_gives_the_same_model():
    torch.manual_seed(3)
    one = Omni(tiny())
    torch.manual_seed(3)
    other = Omni(tiny())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def hum(seconds=1.0, rate_hz=16_000):
    """A voice of a few tones, (channel, time), about 0."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    return sum(np.sin(2 * np.pi * tone * time + tone) for tone in (180, 360, 720, 1440))[None].astype(np.float32) * 0.02


@pytest.mark.parametrize("offset", [0.5, -0.9])
def test_constant_part_of_a_sound_is_not_heard(offset):
    voice = hum()
    shifted = audio.heard(voice + np.float32(offset), 16_000, 5)
    assert torch.allclose(shifted, audio.heard(voice, 16_000, 5), atol=1e-4)
    assert len(audio.heard(np.full((1, 16_000), offset, np.float32), 16_000, 5)) == 0


def test_clipped_sound_has_the_level_and_the_spectrum_of_a_voice():
    voice = hum() * 10
    whole, clipped = (audio.heard(sound, 16_000, 5) for sound in (voice, np.clip(voice * 4, -1.0, 1.0)))
    assert float(clipped.square().mean().sqrt()) == pytest.approx(0.05, rel=0.05)
    assert float(clipped.abs().max()) <= 1.0
    spectra = [audio.log_mel(sound, 80).mean(dim=1) for sound in (whole, clipped)]
    assert float(torch.corrcoef(torch.stack(spectra))[0, 1]) > 0.6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_sound_that_is_no_number_is_refused(value):
    voice = hum()
    voice[0, 100] = value
    with pytest.raises(ValueError, match="finite"):
        audio.heard(voice, 16_000, 5)


def test_loudest_numbers_and_no_samples_at_all_are_no_error():
    assert torch.isfinite(audio.heard(hum() * np.float32(1e30), 16_000, 5)).all()
    assert len(audio.heard(np.zeros((2, 0), np.float32), 16_000, 5)) == 0


def test_silence_has_no_tokens_and_no_claims_beside_a_voice():
    model = Omni(tiny()).eval()
    spectra = torch.stack([audio.log_mel(audio.heard(hum(), 16_000, 5), tiny().mels)] * 2)
    frames = torch.tensor([spectra.shape[-1], 0])
    with torch.inference_mode():
        tokens, mask = model.audio(spectra, frames)
    assert mask[0].any()
    assert not mask[1].any()
    assert torch.isfinite(tokens).all()
    assert not tokens[1].any()
