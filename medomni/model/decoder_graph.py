"""Kept weights -> one OpenVINO graph that decodes token by token, with room for an adapter.

    StoredWeights -> graph: (embeddings, positions) -> logits of the last token; keys and values are its state

Written out layer by layer. Embeddings come in from outside, so that tokens of a CT can stand before words. Queries, keys and
values are one product, and so are the two inner ones: fewer and larger products decode faster. An adapter is two thin matrices
for each block, also given from outside: it is swapped without loading anything else. Needs neither torch nor transformers.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from medomni.model.decoder_weights import WORDS, LlamaShape, StoredWeights
from medomni.model.quantize import GROUP, Int4, Int8Rows, joined

if TYPE_CHECKING:
    from openvino import Model

RANK = 16
"""Rank of the room for an adapter; a thinner one is filled up with zeros."""
LOWEST = float(np.finfo(np.float32).min)
Node = Any
"""A node or an output of the graph; OpenVINO's functions take either."""


def build(weights: StoredWeights, shape: LlamaShape) -> "Model":
    """Return the graph."""
    from openvino import Model
    from openvino import opset13 as ops

    graph = _Graph(weights, shape)
    embeddings, positions = graph.given((1, -1, shape.width), "embeddings"), graph.given((-1,), "positions")
    x = graph.blocks(embeddings, positions)
    last = ops.gather(graph.norm(x, "model.norm"), ops.constant(-1), ops.constant(1))  # (1, width)
    logits = ops.matmul(last, graph.int8(weights.words()), False, True)
    logits.output(0).get_tensor().set_names({"logits"})
    return Model([ops.result(logits)], graph.sinks, graph.inputs, WORDS)


@dataclass
class _Graph:
    """The blocks, and what they keep between tokens."""

    weights: StoredWeights
    shape: LlamaShape
    inputs: list[Any] = field(default_factory=list)
    sinks: list[Any] = field(default_factory=list)

    def blocks(self, x: Node, positions: Node) -> Node:
        """(1, token, width) after all blocks."""
        from openvino import opset13 as ops

        cosine, sine = self.angles(positions)
        asked = ops.gather(ops.shape_of(x, "i32"), ops.constant(1), ops.constant(0))
        mask = None
        for number in range(self.shape.layers):
            stem = f"model.layers.{number}"
            query, key, value = self.looks(self.norm(x, f"{stem}.input_layernorm"), stem)
            key, value = self.kept(self.turned(key, cosine, sine), f"{stem}.key"), self.kept(value, f"{stem}.value")
            if mask is None:
                mask = self.mask(asked, ops.gather(ops.shape_of(key, "i32"), ops.constant(2), ops.constant(0)))
            query = ops.reshape(self.turned(query, cosine, sine), _sizes(1, self.shape.shared_heads, -1, self.shape.head), False)
            seen = ops.scaled_dot_product_attention(query, key, value, mask)
            seen = ops.reshape(seen, _sizes(1, self.shape.heads, -1, self.shape.head), False)
            seen = ops.reshape(ops.transpose(seen, [0, 2, 1, 3]), _sizes(1, -1, self.shape.width), False)
            x = ops.add(x, self.linear(seen, f"{stem}.self_attn.o_proj"))
            inner = self.linear(self.norm(x, f"{stem}.post_attention_layernorm"), f"{stem}.mlp.gate_proj", f"{stem}.mlp.up_proj")
            gate, up = ops.split(inner, ops.constant(2), 2).outputs()
            x = ops.add(x, self.linear(ops.multiply(ops.swish(gate), up), f"{stem}.mlp.down_proj"))
        return x

    def looks(self, x: Node, stem: str) -> tuple[Node, Node, Node]:
        """Queries (1, head, token, channel), keys and values (1, shared head, token, channel), with what an adapter adds."""
        from openvino import opset13 as ops

        s = self.shape
        names = [f"{stem}.self_attn.{part}_proj" for part in "qkv"]
        whole = ops.add(self.linear(x, *names), self.adapter(x, stem, (s.heads + 2 * s.shared_heads) * s.head))
        heads = ops.reshape(whole, _sizes(1, -1, s.heads + 2 * s.shared_heads, s.head), False)
        turned = ops.transpose(heads, [0, 2, 1, 3])
        parts = ops.variadic_split(turned, ops.constant(1), _sizes(s.heads, s.shared_heads, s.shared_heads)).outputs()
        return parts[0], parts[1], parts[2]

    def adapter(self, x: Node, stem: str, rows: int) -> Node:
        """What an adapter adds to queries, keys and values: nothing when its matrices are zero."""
        from openvino import opset13 as ops

        down = self.given((RANK, self.shape.width), f"{stem}.down")
        up = self.given((rows, RANK), f"{stem}.up")
        return ops.matmul(ops.matmul(x, down, False, True), up, False, True)

    def given(self, sizes: tuple[int, ...], name: str) -> Node:
        """An input of the graph."""
        from openvino import Type
        from openvino import opset13 as ops

        node = ops.parameter(list(sizes), Type.f32)
        node.output(0).get_tensor().set_names({name})
        self.inputs.append(node)
        return node

    def kept(self, x: Node, name: str) -> Node:
        """The keys or values of all tokens so far."""
        from openvino import PartialShape, Type
        from openvino import opset13 as ops
        from openvino.op.util import Variable, VariableInfo

        s = self.shape
        info = VariableInfo()
        info.data_shape, info.data_type, info.variable_id = PartialShape([1, s.shared_heads, -1, s.head]), Type.f32, name
        variable = Variable(info)
        none = ops.constant(np.zeros((1, s.shared_heads, 0, s.head), np.float32))
        whole = ops.concat([ops.read_value(none, variable), x], 2)
        self.sinks.append(ops.assign(whole, variable))
        return whole

    def linear(self, x: Node, *names: str) -> Node:
        """One product with the rows of several matrices."""
        from openvino import opset13 as ops

        return ops.matmul(x, self.int4(joined([self.weights.int4(name) for name in names])), False, True)

    def int4(self, matrix: Int4) -> Node:
        """A matrix in four bits, in the form that the CPU plug-in multiplies with as it is."""
        from openvino import opset13 as ops

        rows, columns = matrix.shape
        groups = (rows, columns // GROUP)
        zeros = matrix.zeros.ravel()
        codes = _packed(matrix.codes, (*groups, GROUP))
        zero = _packed(zeros[0::2] | zeros[1::2] << 4, (*groups, 1))
        scaled = ops.multiply(
            ops.subtract(ops.convert(codes, "f16"), ops.convert(zero, "f16")), ops.constant(matrix.scales[..., None])
        )
        return ops.convert(ops.reshape(scaled, _sizes(rows, columns), False), "f32")

    def int8(self, matrix: Int8Rows) -> Node:
        """A matrix in eight bits."""
        from openvino import opset13 as ops

        return ops.multiply(ops.convert(ops.constant(matrix.codes), "f32"), ops.constant(matrix.scales))

    def norm(self, x: Node, name: str) -> Node:
        """Root mean square normalisation."""
        from openvino import opset13 as ops

        mean = ops.reduce_mean(ops.multiply(x, x), ops.constant(np.array([-1])), True)
        scaled = ops.divide(x, ops.sqrt(ops.add(mean, ops.constant(np.float32(self.shape.epsilon)))))
        return ops.multiply(scaled, ops.constant(self.weights.plain(f"{name}.weight")))

    def angles(self, positions: Node) -> tuple[Node, Node]:
        """Cosine and sine (token, channel) of the rotation at each position."""
        from openvino import opset13 as ops

        rates = self.shape.theta ** (-np.arange(0, self.shape.head, 2, dtype=np.float32) / self.shape.head)
        angle = ops.multiply(ops.unsqueeze(positions, ops.constant(1)), ops.constant(rates[None].astype(np.float32)))
        whole = ops.concat([angle, angle], 1)
        return ops.cos(whole), ops.sin(whole)

    def turned(self, x: Node, cosine: Node, sine: Node) -> Node:
        """Rotated by position, the first half of the channels against the second."""
        from openvino import opset13 as ops

        low, high = ops.split(x, ops.constant(3), 2).outputs()
        return ops.add(ops.multiply(x, cosine), ops.multiply(ops.concat([ops.negative(high), low], 3), sine))

    def mask(self, asked: Node, offered: Node) -> Node:
        """What each token may see, for the heads that share keys one after the other: they ask as if they were one head."""
        from openvino import opset13 as ops

        return ops.concat([_causal(asked, offered)] * (self.shape.heads // self.shape.shared_heads), 2)


def _sizes(*sizes: int) -> Node:
    from openvino import opset13 as ops

    return ops.constant(np.array(sizes))


def _packed(codes: UInt8[np.ndarray, "half"], sizes: tuple[int, ...]) -> Node:
    """A constant of four-bit codes, two a byte; it has its own copy of them."""
    from openvino import Shape, Tensor, Type
    from openvino.op import Constant

    return Constant(Tensor(codes, Shape(list(sizes)), Type.u4), shared_memory=False)


def _causal(asked: Node, offered: Node) -> Node:
    """0 where a token may look, lowest where it would see its future: (1, 1, asked, offered)."""
    from openvino import opset13 as ops

    zero, one = ops.constant(np.int32(0)), ops.constant(np.int32(1))
    columns = ops.range(zero, offered, one, "i32")
    rows = ops.add(ops.range(zero, asked, one, "i32"), ops.subtract(offered, asked))
    future = ops.greater(ops.unsqueeze(columns, ops.constant(0)), ops.unsqueeze(rows, ops.constant(1)))
    mask = ops.select(future, ops.constant(np.float32(LOWEST)), ops.constant(np.float32(0)))
    return ops.unsqueeze(mask, _sizes(0, 1))
