import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from adapters.check import check_adapter
from medomni.errors import BadInput

BASE = "medomni-base"
CONFIG = {
    "peft_type": "LORA",
    "base_model_name_or_path": BASE,
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj"],
}
A, B = "base_model.model.q_proj.lora_A.weight", "base_model.model.q_proj.lora_B.weight"


def weights(**change: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {A: random.normal(0, 0.02, (4, 8)).astype("<f4"), B: random.normal(0, 0.02, (6, 4)).astype("<f4"), **change}


def header(tensors: dict[str, np.ndarray]) -> dict[str, dict]:
    table, at = {}, 0
    for name, array in tensors.items():
        dtype = {"<f4": "F32", "<f2": "F16", "<u2": "BF16", "<i8": "I64"}[array.dtype.str]
        table[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    return table


def safetensors(head: object, payload: bytes) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + payload


def write(folder: Path, tensors: dict[str, np.ndarray] | None = None, **change: object) -> Path:
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in {**CONFIG, **change}.items() if value != "gone"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = weights() if tensors is None else tensors
    payload = b"".join(array.tobytes() for array in tensors.values())
    (folder / "adapter_model.safetensors").write_bytes(safetensors(header(tensors), payload))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        check_adapter(folder, BASE)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def test_valid_adapter_is_summed_up(tmp_path: Path):
    folder = write(tmp_path / "good", task_type="CAUSAL_LM", bias="none", lora_dropout=0.05, auto_mapping=None)
    (folder / "README.md").write_text("a model card")
    summary = check_adapter(folder, BASE)
    assert (summary.base, summary.rank, summary.alpha) == (BASE, 4, 8.0)
    assert (summary.tensors, summary.parameters) == (2, 4 * 8 + 6 * 4)
    assert summary.target_modules == ("q_proj", "v_proj")
    assert summary == check_adapter(folder, BASE)


def test_half_precision_is_read(tmp_path: Path):
    for dtype in ("<f2", "<u2"):
        kind = {name: np.full(array.shape, 0.5).astype("<f2") for name, array in weights().items()}
        if dtype == "<u2":
            kind = {name: np.full(array.shape, 0x3F00, "<u2") for name, array in weights().items()}
        assert check_adapter(write(tmp_path / "half", kind), BASE).tensors == 2


def test_digest_changes_with_one_bit(tmp_path: Path):
    folder = write(tmp_path / "a")
    before = check_adapter(folder, BASE).sha256
    path = folder / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)
    assert check_adapter(folder, BASE).sha256 != before


def test_pickle_is_refused_with_the_remedy_and_never_run(tmp_path: Path):
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    trap = pickle.dumps(Trap(), protocol=4)
    for name in ("adapter_model.bin", "optimizer.pt", "extra.PKL", "x.ckpt", "y.joblib", "z.npy"):
        folder = write(tmp_path / name.replace(".", "_"))
        (folder / name).write_bytes(trap)
        assert "safe_serialization=True" in refusal(folder)
    folder = write(tmp_path / "renamed")
    (folder / "adapter_model.safetensors").write_bytes(trap)
    assert "pickle under another name" in refusal(folder)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["modeling.py", "link", "sub", "pipe", "adapter_model.safetensors.index.json"])
def test_anything_else_in_the_folder_is_refused(tmp_path: Path, name: str):
    folder = write(tmp_path / "a")
    extra = folder / name
    {"link": lambda: extra.symlink_to("/etc/hostname"), "sub": extra.mkdir, "pipe": lambda: os.mkfifo(extra)}.get(
        name, lambda: extra.write_text("x")
    )()
    assert "no plain adapter" in refusal(folder)


def test_linked_weights_and_missing_files_are_refused(tmp_path: Path):
    folder = write(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(tmp_path / "w")
    assert "incomplete" in refusal(folder)
    (folder / "adapter_model.safetensors").symlink_to(tmp_path / "w")
    assert "no plain adapter" in refusal(folder)
    assert "no adapter folder" in refusal(tmp_path / "w")
    assert "no adapter folder" in refusal(tmp_path / "missing")


def test_wrong_base_names_both_bases(tmp_path: Path):
    line = refusal(write(tmp_path / "a", base_model_name_or_path="other/base\n\x1b[31m", target_modules=["../../x"]))
    assert "other/base??" in line
    assert BASE in line


@pytest.mark.parametrize(
    "change",
    [
        {"peft_type": "IA3"},
        {"peft_type": "gone"},
        {"base_model_name_or_path": "gone"},
        {"r": 0},
        {"r": True},
        {"r": 4.0},
        {"r": 1_000_000},
        {"lora_alpha": 0},
        {"lora_alpha": "8"},
        {"target_modules": "all-linear"},
        {"target_modules": "(a+)+$"},
        {"target_modules": []},
        {"target_modules": ["../../x"]},
        {"target_modules": ["a..b"]},
        {"target_modules": [{}]},
        {"modules_to_save": ["x y"]},
        {"auto_mapping": {"base_model_class": "os.system"}},
        {"rank_pattern": {"(a+)+$": 4}},
        {"megatron_core": "os"},
        {"megatron_config": {"a": 1}},
        {"init_lora_weights": "eva"},
        {"layer_replication": [[0, 4]]},
        {"a_key_of_next_year": 1},
        {"bias": "all"},
        {"task_type": "x" * 1000},
    ],
)
def test_configuration_that_does_more_than_plain_lora_is_refused(tmp_path: Path, change: dict):
    assert refusal(write(tmp_path / "a", **change)).startswith("adapter_config.json: ")


def test_configuration_is_strict_json(tmp_path: Path):
    folder = write(tmp_path / "a")
    for text in ("[]", "{", '{"r":1,"r":2}', "[" * 5000, '{"r":' + "9" * 5000 + "}", " " * 70_000):
        (folder / "adapter_config.json").write_text(text)
        assert refusal(folder).startswith("adapter_config.json: ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e6])
@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<u2"])
def test_weights_that_are_no_usable_numbers_are_refused(tmp_path: Path, value: float, dtype: str):
    array = weights()[B].astype(np.float32)
    array[5, 3] = value
    with np.errstate(over="ignore"):
        bad = (array.view("<u4") >> 16).astype("<u2") if dtype == "<u2" else array.astype(dtype)
    assert "no usable numbers" in refusal(write(tmp_path / "a", weights(**{B: bad})))


@pytest.mark.parametrize("length", [0, 1, 1 << 62, (1 << 64) - 1, 5 << 20, 300])
def test_header_length_is_never_trusted(tmp_path: Path, length: int):
    folder = write(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")
    assert "impossible length" in refusal(folder)


def entry(shape=(4, 8), start=0, end=128, dtype="F32", **more) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end], **more}


@pytest.mark.parametrize(
    "head",
    [
        {A: entry(end=132)},
        {A: entry(start=4, end=132)},
        {A: entry(), B: entry((8, 4), 64, 192)},
        {A: entry(), B: entry((8, 4), 132, 260)},
        {A: entry((2**52, 2**52), 0, 128)},
        {A: entry((-4, -8))},
        {A: entry((4, 0), 0, 0)},
        {A: entry((), 0, 4)},
        {A: entry((1,) * 5 + (4, 8))},
        {A: entry(dtype="I64", end=256)},
        {A: entry(dtype=["F32"])},
        {A: entry(more=1)},
        {A: {"dtype": "F32"}},
        {A: entry((4.0, 8))},
        {A: entry((True, 32))},
        {A: []},
        {"__metadata__": {"format": "pt"}},
        {},
        [],
        b'{"a":{},"a":{}}' + b" " * 8,
        b"{" + b'"a":[' * 500,
        b"\xff\xfe{}",
    ],
)
def test_header_that_does_not_describe_the_bytes_is_refused(tmp_path: Path, head: object):
    folder = write(tmp_path / "a")
    (folder / "adapter_model.safetensors").write_bytes(safetensors(head, b"\0" * 128))
    assert refusal(folder).startswith("adapter_model.safetensors: ")


def test_bytes_cut_or_added_are_refused(tmp_path: Path):
    folder = write(tmp_path / "a")
    path = folder / "adapter_model.safetensors"
    whole = path.read_bytes()
    for data in (whole[:-1], whole[:-100], whole + b"\0", whole[:7], b""):
        path.write_bytes(data)
        assert refusal(folder).startswith("adapter_model.safetensors: ")


def test_tensors_must_fit_modules_rank_and_pairs(tmp_path: Path):
    small = np.zeros((4, 8), "<f4")
    other = {"base_model.model.k_proj.lora_A.weight": small}
    assert "no target module" in refusal(write(tmp_path / "a", {**weights(), **other}))
    assert "no target module" in refusal(write(tmp_path / "a", {**weights(), "base_model.model.head.weight": small}))
    assert "rank" in refusal(write(tmp_path / "a", weights(), r=5))
    assert "half written" in refusal(write(tmp_path / "a", {A: small}))
    saved = {**weights(), "base_model.model.head.weight": small}
    assert check_adapter(write(tmp_path / "a", saved, modules_to_save=["head"]), BASE).tensors == 3


def test_what_peft_saves_is_accepted(tmp_path: Path):
    peft = pytest.importorskip("peft", reason="peft is an optional extra")
    from torch import nn

    model = nn.ModuleDict({"q_proj": nn.Linear(8, 8), "v_proj": nn.Linear(8, 8)})
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], base_model_name_or_path=BASE))
    wrapped.save_pretrained(tmp_path / "p")
    path = tmp_path / "p" / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_model_name_or_path": BASE, "auto_mapping": None}))
    assert check_adapter(tmp_path / "p", BASE).tensors == 4
