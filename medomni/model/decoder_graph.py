"""A folder of Llama weights -> one OpenVINO graph that decodes token by token, with int8 weights and room for an adapter.

    model.safetensors, config.json -> graph: (embeddings, positions) -> logits of the last token; keys and values are its state

Written out layer by layer: the graph is the documentation of what runs. Embeddings come in from outside, so that tokens of a CT can
stand before words. An adapter is two thin matrices for each adapted layer, also state: it is swapped without loading anything else.
Needs neither torch nor transformers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int8

if TYPE_CHECKING:
    from openvino import Model, Node

ADAPTED = ("q_proj", "v_proj")
"""Layers of each block that an adapter may change."""
LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class LlamaShape:
    """Sizes of the model, as ``config.json`` states them."""

    width: int
    inner: int
    layers: int
    heads: int
    shared_heads: int
    head: int
    epsilon: float
    theta: float
    vocabulary: int

    @staticmethod
    def read(folder: Path) -> "LlamaShape":
        """Read ``config.json``."""
        table: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        rope = table.get("rope_parameters") or table
        return LlamaShape(
            width=table["hidden_size"],
            inner=table["intermediate_size"],
            layers=table["num_hidden_layers"],
            heads=table["num_attention_heads"],
            shared_heads=table["num_key_value_heads"],
            head=table.get("head_dim") or table["hidden_size"] // table["num_attention_heads"],
            epsilon=table["rms_norm_eps"],
            theta=rope["rope_theta"],
            vocabulary=table["vocab_size"],
        )


def build(folder: Path, *, is_int8: bool = True) -> "Model":
    """Return the graph of a folder with ``model.safetensors`` and ``config.json``."""
    from openvino import Model, PartialShape, Type
    from openvino import opset13 as ops
    from openvino.op.util import Variable, VariableInfo
    from safetensors import safe_open

    shape = LlamaShape.read(folder)
    sinks: list[Any] = []

    def variable(name: str, sizes: Sequence[int]) -> Any:  # noqa: ANN401
        info = VariableInfo()
        info.data_shape, info.data_type, info.variable_id = PartialShape(list(sizes)), Type.f32, name
        return Variable(info)

    with safe_open(folder / "model.safetensors", "np") as stored:

        def read(name: str) -> Float32[np.ndarray, "..."]:
            return np.asarray(stored.get_tensor(f"{name}.weight"), np.float32)

        def weight(values: Float32[np.ndarray, "out in"]) -> "Node":
            if not is_int8:
                return ops.constant(values)
            rounded, scale = quantised(values)
            return ops.multiply(ops.convert(ops.constant(rounded), "f32"), ops.constant(scale))

        def linear(x: "Node", name: str, adapted: bool = False) -> "Node":
            values = read(name)
            out = ops.matmul(x, weight(values), False, True)
            return ops.add(out, thin(x, name, values.shape)) if adapted else out

        def thin(x: "Node", name: str, sizes: tuple[int, ...]) -> "Node":
            """What an adapter adds: nothing while its matrices have no rows."""
            down_state = variable(f"{name}.lora_A", (-1, sizes[1]))
            up_state = variable(f"{name}.lora_B", (sizes[0], -1))
            down = ops.read_value(ops.constant(np.zeros((1, sizes[1]), np.float32)), down_state)
            up = ops.read_value(ops.constant(np.zeros((sizes[0], 1), np.float32)), up_state)
            sinks.extend([ops.assign(down, down_state), ops.assign(up, up_state)])
            return ops.matmul(ops.matmul(x, down, False, True), up, False, True)

        def norm(x: "Node", name: str) -> "Node":
            mean = ops.reduce_mean(ops.multiply(x, x), ops.constant(np.array([-1])), True)
            return ops.multiply(ops.divide(x, ops.sqrt(ops.add(mean, ops.constant(np.float32(shape.epsilon))))), read(name))

        embeddings = ops.parameter([1, -1, shape.width], Type.f32, "embeddings")
        positions = ops.parameter([-1], Type.f32, "positions")
        rates = shape.theta ** (-np.arange(0, shape.head, 2, dtype=np.float32) / shape.head)
        angle = ops.multiply(ops.unsqueeze(positions, ops.constant(1)), ops.constant(rates[None]))
        angle = ops.concat([angle, angle], 1)  # (token, channel)
        cosine, sine = ops.cos(angle), ops.sin(angle)

        def turned(x: "Node") -> "Node":
            half = shape.head // 2
            low, high = ops.split(x, ops.constant(3), 2).outputs()
            assert half  # noqa: S101
            swapped = ops.concat([ops.negative(high), low], 3)
            return ops.add(ops.multiply(x, cosine), ops.multiply(swapped, sine))

        def headed(x: "Node", count: int) -> "Node":
            return ops.transpose(ops.reshape(x, ops.constant(np.array([1, -1, count, shape.head])), False), [0, 2, 1, 3])

        def kept(x: "Node", name: str) -> "Node":
            """The keys or values of all tokens so far."""
            state = variable(name, (1, shape.shared_heads, -1, shape.head))
            before = ops.read_value(ops.constant(np.zeros((1, shape.shared_heads, 0, shape.head), np.float32)), state)
            whole = ops.concat([before, x], 2)
            sinks.append(ops.assign(whole, state))
            return whole

        def spread(x: "Node") -> "Node":
            """One copy of the shared heads for each head that asks."""
            each = shape.heads // shape.shared_heads
            copied = ops.concat([ops.unsqueeze(x, ops.constant(2))] * each, 2)
            return ops.reshape(copied, ops.constant(np.array([1, shape.heads, -1, shape.head])), False)

        count = ops.gather(ops.shape_of(embeddings, "i32"), ops.constant(1), ops.constant(0))
        x, mask = embeddings.output(0), None
        for layer in range(shape.layers):
            stem = f"model.layers.{layer}"
            y = norm(x, f"{stem}.input_layernorm")
            query = turned(headed(linear(y, f"{stem}.self_attn.q_proj", True), shape.heads))
            key = kept(turned(headed(linear(y, f"{stem}.self_attn.k_proj"), shape.shared_heads)), f"{stem}.key")
            value = kept(headed(linear(y, f"{stem}.self_attn.v_proj", True), shape.shared_heads), f"{stem}.value")
            if mask is None:
                mask = _causal(ops, count, ops.gather(ops.shape_of(key, "i32"), ops.constant(2), ops.constant(0)))
            seen = ops.scaled_dot_product_attention(query, spread(key), spread(value), mask)
            seen = ops.reshape(ops.transpose(seen, [0, 2, 1, 3]), ops.constant(np.array([1, -1, shape.width])), False)
            x = ops.add(x, linear(seen, f"{stem}.self_attn.o_proj"))
            y = norm(x, f"{stem}.post_attention_layernorm")
            inner = ops.multiply(ops.swish(linear(y, f"{stem}.mlp.gate_proj")), linear(y, f"{stem}.mlp.up_proj"))
            x = ops.add(x, linear(inner, f"{stem}.mlp.down_proj"))
        last = ops.gather(norm(x, "model.norm"), ops.constant(-1), ops.constant(1))  # (1, width)
        logits = ops.matmul(last, weight(read("model.embed_tokens")), False, True)
    return Model([ops.result(logits)], sinks, [embeddings, positions], "decoder")


def quantised(values: Float32[np.ndarray, "out in"]) -> tuple[Int8[np.ndarray, "out in"], Float32[np.ndarray, "out 1"]]:
    """Weights in one byte each, symmetric about 0, with a scale for each row."""
    scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127.0
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


def _causal(ops: Any, asked: "Node", offered: "Node") -> "Node":  # noqa: ANN401
    """0 where a token may look, lowest where it would see its future: (1, 1, asked, offered)."""
    zero, one = ops.constant(np.int32(0)), ops.constant(np.int32(1))
    columns = ops.range(zero, offered, one, "i32")
    rows = ops.add(ops.range(zero, asked, one, "i32"), ops.subtract(offered, asked))
    future = ops.greater(ops.unsqueeze(columns, ops.constant(0)), ops.unsqueeze(rows, ops.constant(1)))
    mask = ops.select(future, ops.constant(np.float32(LOWEST)), ops.constant(np.float32(0)))
    return ops.unsqueeze(mask, ops.constant(np.array([0, 1])))
