"""Cases of other doors: FHIR documents, adapter folders and dictation."""

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np

from tests.hostile.bench import Bench
from tests.hostile.corpus import case

BASE = "medomni-base"
LORA = {"peft_type": "LORA", "base_model_name_or_path": BASE, "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
TENSOR = "base_model.model.layers.0.q_proj.lora_%s.weight"


@case(kind="fhir")
def fhir_deep_json(bench: Bench) -> None:
    start, end = bench.random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    bench.write("bundle.json", start * 100_000 + b"1" + end * 100_000)


@case(kind="fhir")
def fhir_xxe(bench: Bench) -> None:
    entities = '<!ENTITY a "aaaaaaaaaa">'
    for k in range(9):
        entities += f'<!ENTITY a{k} "{("&a" + (str(k - 1) if k else "") + ";") * 10}">'
    entities += '<!ENTITY x SYSTEM "file:///etc/hostname">'
    body = '<Bundle xmlns="http://hl7.org/fhir">&a8;&x;</Bundle>'
    name = bench.random.choice(("bundle.xml", "bundle.json"))
    bench.write(name, f'<?xml version="1.0"?><!DOCTYPE b [{entities}]>{body}'.encode())


@case(kind="fhir")
def fhir_dup_keys(bench: Bench) -> None:
    bench.write("bundle.json", b'{"resourceType":"DiagnosticReport","status":"preliminary","status":"final"}')


@case(kind="fhir")
def fhir_bigint(bench: Bench) -> None:
    bench.write("bundle.json", b'{"resourceType":"Observation","valueInteger":' + b"9" * 100_000 + b"}")


class Trap:
    """Makes a folder when it is unpickled: harmless, and visible."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@case(kind="adapter")
def mdl_pickle_adapter(bench: Bench) -> None:
    trap = pickle.dumps(Trap(bench.canary("pickle")), protocol=4)
    _configure(bench)
    if bench.random.random() < 0.5:
        _weights(bench)
    name = bench.random.choice(("adapter_model.bin", "adapter_model.pt", "adapter_model.safetensors"))
    (bench.folder / name).write_bytes(trap)


@case(kind="adapter")
def mdl_safetensors_hdr_huge(bench: Bench) -> None:
    _configure(bench)
    length = bench.random.choice((1 << 62, (1 << 64) - 1, 1 << 33))
    (bench.folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")


@case(kind="adapter")
def mdl_adapter_nan(bench: Bench) -> None:
    _configure(bench)
    _weights(bench, bench.random.choice((np.nan, np.inf, -np.inf)))


@case(kind="adapter")
def mdl_adapter_wrong_base(bench: Bench) -> None:
    mapping = {"base_model_class": "os.system"}
    _configure(bench, base_model_name_or_path="other/base", target_modules=["../../x"], auto_mapping=mapping)
    _weights(bench)
    bench.facts["both"] = f"other/base {BASE}"


@case(kind="audio")
def aud_not_wav(bench: Bench) -> None:
    start = bench.random.choice((b"RIFF\xff\xff\xff\xffWAVEfmt ", b"ID3\4", b"OggS\0\2", b"\0\0\0\x20ftypM4A "))
    bench.write("note.wav", start + bench.random.randbytes(60))
    bench.facts["names"] = "WAV"


@case(kind="audio")
def aud_zero_len(bench: Bench) -> None:
    layout = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    head = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", 0)
    bench.write("note.wav", b"RIFF" + struct.pack("<I", len(head)) + head)
    bench.facts["names"] = "nothing was recorded"


def good_adapter(folder: Path) -> None:
    """Write an adapter with nothing wrong."""
    folder.mkdir()
    _write_config(folder)
    _write_pair(folder, np.full((4, 8), 0.01, "<f4"), np.full((8, 4), 0.01, "<f4"))


def _configure(bench: Bench, **change: object) -> None:
    _write_config(bench.folder, **change)


def _weights(bench: Bench, odd: float = 0.01) -> None:
    """Write a matching pair A and B with one value of choice."""
    first, second = (bench.array_random.normal(0, 0.02, shape).astype("<f4") for shape in ((4, 8), (8, 4)))
    second[bench.random.randint(0, 7), 2] = odd
    _write_pair(bench.folder, first, second)


def _write_config(folder: Path, **change: object) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({**LORA, **change}))


def _write_pair(folder: Path, first: np.ndarray, second: np.ndarray) -> None:
    head = json.dumps(
        {
            TENSOR % "A": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]},
            TENSOR % "B": {"dtype": "F32", "shape": [8, 4], "data_offsets": [128, 256]},
        }
    ).encode()
    data = struct.pack("<Q", len(head)) + head + first.tobytes() + second.tobytes()
    (folder / "adapter_model.safetensors").write_bytes(data)
