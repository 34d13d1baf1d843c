"""Writes the quantized models of the tests with their reference data.

    python quantized.py OUT [NAME ...]

Needs torch, onnx, onnxruntime and numpy (versions 2.15.0, 1.23.2, 1.32.0 and 2.4.6 wrote the committed
files), and the models of zoo.py. Files:

    OUT/index.tsv      one line for each model: path, opset, operators
    OUT/NAME/          model.onnx, input.npy, target.npy, logits.npy, levels.npy, gradient.npy,
                       unrounded.npy

ONNX Runtime's quantizer quantizes the models of the zoo: statically in the QDQ and QOperator formats, per
tensor and per channel, and dynamically. The other models test one operator each.

- logits.npy: by ONNX Runtime, for each row separately, without graph optimizations.
- levels.npy: the largest scale of the last quantized tensor, that is, the distance of two of its levels.
- gradient.npy: by PyTorch, with torch.fake_quantize_per_tensor_affine instead of every quantization, a
  straight-through estimator whose gradient is 0 outside the range. The difference of its logits from ONNX
  Runtime's is printed.
- unrounded.npy: the same gradient without rounding. Quantized tensors are only clamped to their range.
"""

import contextlib
import io
import logging
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import (
    CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

HERE = Path(__file__).parent
MICROSOFT = "com.microsoft"
RANGES = {
    np.dtype(name): (np.iinfo(name).min, np.iinfo(name).max)
    for name in ["int8", "uint8", "int16", "uint16"]
}


# --- evaluation in PyTorch ---------------------------------------------------


class Levels:
    """A quantized tensor: its dequantized value, scale and zero point."""

    def __init__(self, value, scale, zero):
        self.value, self.scale, self.zero = value, scale, zero

    def map(self, function):
        return Levels(function(self.value), self.scale, self.zero)


def number(value):
    return value if torch.is_tensor(value) else torch.as_tensor(np.array(value))


def broadcastable(values, rank, axis):
    """Shapes per-tensor or per-channel values so that they broadcast along `axis`."""
    values = number(values).double()
    shape = [-1 if a == axis % rank else 1 for a in range(rank)]
    return values.reshape(()) if values.numel() == 1 else values.reshape(shape)


def quantize(x, scale, zero, low_high, axis, rounds):
    low, high = low_high
    if not rounds:
        factor, offset = (broadcastable(values, x.dim(), axis).float() for values in [scale, zero])
        return Levels(x.clamp((low - offset) * factor, (high - offset) * factor), scale, zero)
    if number(scale).numel() == 1:
        scale, zero = number(scale).float().reshape(()), number(zero).int().reshape(())
        return Levels(torch.fake_quantize_per_tensor_affine(x, scale, zero, low, high), scale, zero)
    scale, zero = number(scale).float(), number(zero).int()
    return Levels(torch.fake_quantize_per_channel_affine(x, scale, zero, axis, low, high), scale, zero)


def dequantize(x, scale, zero, axis=1):
    if isinstance(x, Levels):
        return x.value
    x = number(x)
    scale = broadcastable(scale, x.dim(), axis)
    zero = broadcastable(zero, x.dim(), axis) if zero is not None else 0.0
    return ((x.double() - zero) * scale).float()


def pads_of(node, rank):
    pads = node.get("pads", [0] * 2 * rank)
    return [p for a in reversed(range(rank)) for p in (pads[a], pads[rank + a])]


def conv(node, x, weight, bias=None):
    rank = x.dim() - 2
    assert node.get("auto_pad", b"NOTSET") == b"NOTSET"
    x = F.pad(x, pads_of(node, rank))
    run = [F.conv1d, F.conv2d][rank - 1]
    return run(x, weight, bias, stride=node.get("strides", 1), dilation=node.get("dilations", 1),
               groups=node.get("group", 1))


def max_pool(node, x):
    x = F.pad(x, pads_of(node, 2), value=-float("inf"))
    return F.max_pool2d(x, node["kernel_shape"], node.get("strides", 1))


def average_pool(node, x):
    pads = node.get("pads", [0] * 4)
    assert pads[:2] == pads[2:]
    return F.avg_pool2d(x, node["kernel_shape"], node.get("strides", 1), pads[:2],
                        count_include_pad=bool(node.get("count_include_pad", 0)))


def gemm(node, a, b, c=None):
    a = a.t() if node.get("transA") else a
    b = b.t() if node.get("transB") else b
    y = node.get("alpha", 1.0) * a @ b
    return y if c is None else y + node.get("beta", 1.0) * c


def reduce_mean(node, x, axes=None):
    axes = node.get("axes") if axes is None else [int(a) for a in axes]
    return x.mean(dim=axes, keepdim=bool(node.get("keepdims", 1)))


def layer_norm(node, x, gamma, beta=None):
    return F.layer_norm(x, x.shape[node.get("axis", -1) % x.dim():], gamma, beta, node.get("epsilon", 1e-5))


def sliced(node, x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps):
        indices = np.arange(x.shape[int(axis)])[int(start):int(end):int(step)]
        x = x.index_select(int(axis), torch.as_tensor(indices))
    return x


def split(node, x, sizes=None):
    axis = node.get("axis", 0)
    sizes = node.get("split") if sizes is None else [int(s) for s in sizes]
    return x.split(sizes or x.shape[axis] // node["num_outputs"], axis)


def reshape(node, x, shape):
    shape = [x.shape[i] if s == 0 else int(s) for i, s in enumerate(shape)]
    return x.reshape(shape)


def gather(node, x, indices):
    axis, indices = node.get("axis", 0), torch.as_tensor(np.asarray(indices))
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    y = x.index_select(axis, indices.reshape(-1))
    return y.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1:])


def pad(node, x, pads, value=None):
    rank, value = x.dim(), 0.0 if value is None else value
    return F.pad(x, [int(p) for a in reversed(range(rank)) for p in (pads[a], pads[rank + a])], value=float(value))


FLOATS = {
    "Conv": conv, "MaxPool": max_pool, "AveragePool": average_pool, "Gemm": gemm,
    "ReduceMean": reduce_mean, "LayerNormalization": layer_norm, "Slice": sliced, "Split": split,
    "Reshape": reshape, "Gather": gather, "Pad": pad,
    "MatMul": lambda _, a, b: a @ b,
    "Add": lambda _, a, b: a + b, "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b, "Div": lambda _, a, b: a / b,
    "Pow": lambda _, a, b: a ** b, "Sqrt": lambda _, x: x.sqrt(), "Erf": lambda _, x: x.erf(),
    "Tanh": lambda _, x: x.tanh(), "Relu": lambda _, x: x.relu(), "Sigmoid": lambda _, x: x.sigmoid(),
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)),
    "HardSwish": lambda _, x: F.hardswish(x), "Gelu": lambda _, x: F.gelu(x),
    "HardSigmoid": lambda node, x: (x * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0, 1),
    "Clip": lambda _, x, low=None, high=None: x.clamp(low, high),
    "Softmax": lambda node, x: x.softmax(node.get("axis", -1)),
    "GlobalAveragePool": lambda _, x: x.mean(dim=tuple(range(2, x.dim())), keepdim=True),
    "Flatten": lambda node, x: x.flatten(node.get("axis", 1)),
    "Transpose": lambda node, x: x.permute(*node["perm"]),
    "Concat": lambda node, *parts: torch.cat(parts, node["axis"]),
    "Squeeze": lambda _, x, axes: x.squeeze([int(a) for a in axes]),
    "Unsqueeze": lambda _, x, axes: x.unsqueeze(int(axes[0])),
    "Expand": lambda _, x, shape: x.expand(*torch.broadcast_shapes(x.shape, [int(s) for s in shape])),
    "BatchNormalization": lambda node, x, gamma, beta, mean, variance: F.batch_norm(
        x, mean, variance, gamma, beta, eps=node.get("epsilon", 1e-5)),
    "Cast": lambda _, x: x, "Identity": lambda _, x: x,
    "Where": lambda _, c, a, b: torch.where(torch.as_tensor(np.asarray(c)), a, b),
}
KEEPING = {"MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Gather", "Slice", "Split"}


class Torch:
    """Runs a model on rows with fake quantization. `last_scale` is the scale of the last quantized tensor."""

    def __init__(self, model, rounds):
        self.model, self.rounds = model, rounds
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.types = {}

    def __call__(self, x):
        graph = self.model.graph
        self.last_scale = 0.0
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        values[next(i.name for i in graph.input if i.name not in values)] = x
        for node in graph.node:
            inputs = [values[name] if name else None for name in node.input]
            outputs = self.node(node, inputs)
            values.update(zip(node.output, outputs))
        y = values[graph.output[0].name]
        return y.value / y.scale + y.zero if isinstance(y, Levels) else y

    def node(self, node, inputs):
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attributes = {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()}
        kind = node.op_type
        method = getattr(self, kind, None)
        if method is not None:
            made = method(attributes, *inputs)
            return made if isinstance(made, tuple) else (made,)
        if kind == "Shape":
            return (np.array(self.plain(inputs[0]).shape),)
        if not any(torch.is_tensor(i) or isinstance(i, Levels) for i in inputs):
            return self.host(node, inputs)
        inputs = [number(i) if isinstance(i, np.ndarray) and i.dtype == np.float32 else i for i in inputs]
        if isinstance(inputs[0], Levels) and kind in KEEPING:
            keep = inputs[0]
            made = FLOATS[kind](attributes, keep.value, *inputs[1:])
            made = made if isinstance(made, (tuple, list)) else (made,)
            return tuple(Levels(y, keep.scale, keep.zero) for y in made)
        made = FLOATS[kind](attributes, *inputs)
        return tuple(made) if isinstance(made, (tuple, list)) else (made,)

    def plain(self, x):
        return x.value if isinstance(x, Levels) else x

    def host(self, node, inputs):
        graph = helper.make_graph([node], "one", [], [helper.make_tensor_value_info(o, 0, None) for o in node.output])
        given = {}
        for name, value in zip(node.input, inputs):
            if name and name not in given:
                value = np.asarray(value)
                given[name] = value
                graph.input.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opsets[""])])
        return tuple(ReferenceEvaluator(model).run(None, given))

    def to(self, x, scale, zero, axis=1):
        """`x` quantized to the type of `zero`."""
        zero = np.uint8(0) if zero is None else zero
        dtype = np.asarray(zero).dtype
        self.last_scale = float(number(scale).max())
        return quantize(x, scale, np.asarray(zero).astype(np.int32), RANGES[dtype], axis, self.rounds)

    # Quantization operators.

    def QuantizeLinear(self, node, x, scale, zero=None):
        return self.to(number(x), scale, zero, node.get("axis", 1))

    def DequantizeLinear(self, node, x, scale, zero=None):
        return dequantize(x, scale, zero, node.get("axis", 1))

    def QLinearConv(self, node, x, xs, xz, w, ws, wz, ys, yz, bias=None):
        if bias is not None:
            bias = dequantize(bias, np.atleast_1d(xs).astype(np.float64) * np.atleast_1d(ws), None, 0)
        return self.to(conv(node, dequantize(x, xs, xz), dequantize(w, ws, wz, 0), bias), ys, yz)

    def QLinearMatMul(self, node, a, As, az, b, bs, bz, ys, yz):
        return self.to(dequantize(a, As, az, -2) @ dequantize(b, bs, bz, -1), ys, yz)

    def QGemm(self, node, a, As, az, b, bs, bz, c=None, ys=None, yz=None):
        turned = node.get("transB", 0)
        if c is not None:
            c = dequantize(c, node.get("alpha", 1.0) * np.float64(As) * np.float64(bs), None, -1)
        node = {**node, "beta": 1.0}
        y = gemm(node, dequantize(a, As, az), dequantize(b, bs, bz, 0 if turned else 1), c)
        return y if ys is None else self.to(y, ys, yz)

    def QLinearAdd(self, node, a, As, az, b, bs, bz, ys, yz=None):
        return self.to(dequantize(a, As, az) + dequantize(b, bs, bz), ys, yz)

    def QLinearMul(self, node, a, As, az, b, bs, bz, ys, yz=None):
        return self.to(dequantize(a, As, az) * dequantize(b, bs, bz), ys, yz)

    def one(self, kind, node, x, xs, xz, ys, yz=None):
        return self.to(FLOATS[kind](node, dequantize(x, xs, xz)), ys, yz)

    def QLinearSigmoid(self, node, *inputs):
        return self.one("Sigmoid", node, *inputs)

    def QLinearLeakyRelu(self, node, *inputs):
        return self.one("LeakyRelu", node, *inputs)

    def QLinearSoftmax(self, node, *inputs):
        return self.one("Softmax", node, *inputs)

    def QLinearGlobalAveragePool(self, node, *inputs):
        return self.one("GlobalAveragePool", node, *inputs)

    def QLinearAveragePool(self, node, *inputs):
        return self.one("AveragePool", node, *inputs)

    def QLinearConcat(self, node, ys, yz, *parts):
        parts = [dequantize(*parts[i:i + 3]) for i in range(0, len(parts), 3)]
        return self.to(torch.cat(parts, node["axis"]), ys, yz)

    def QLinearWhere(self, node, condition, a, As, az, b, bs, bz, ys, yz):
        condition = torch.as_tensor(condition)
        return self.to(torch.where(condition, dequantize(a, As, az), dequantize(b, bs, bz)), ys, yz)

    def DynamicQuantizeLinear(self, node, x):
        low, high = min(x.min().item(), 0.0), max(x.max().item(), 0.0)
        scale = np.float32((np.float32(high) - np.float32(low)) / np.float32(255))
        zero = np.uint8(np.clip(np.rint(-np.float32(low) / scale), 0, 255))
        # The range is that of the sample, so nothing is clamped.
        return (self.to(x, scale, zero) if self.rounds else Levels(x, scale, zero)), scale, zero

    def integers(self, x, zero, axis=1):
        if isinstance(x, Levels):
            return x.value / x.scale
        zero = np.uint8(0) if zero is None else zero
        return (number(x).double() - broadcastable(zero, np.ndim(x), axis)).float()

    def ConvInteger(self, node, x, w, xz=None, wz=None):
        return conv(node, self.integers(x, xz), self.integers(w, wz, 0))

    def MatMulInteger(self, node, a, b, az=None, bz=None):
        return self.integers(a, az, -2) @ self.integers(b, bz, -1)

    def MatMulIntegerToFloat(self, node, a, b, As, bs, az=None, bz=None, bias=None):
        y = dequantize(a, As, az, -2) @ dequantize(b, bs, bz, -1)
        return y if bias is None else y + number(bias)

    def DynamicQuantizeMatMul(self, node, a, b, bs, bz=None, bias=None):
        a, _, _ = self.DynamicQuantizeLinear(node, a)
        y = a.value @ dequantize(b, bs, bz, -1)
        return y if bias is None else y + number(bias)

    def MatMulNBits(self, node, a, b, scales, zeros=None, groups=None, bias=None):
        inner, outputs, bits, block = (node[name] for name in ["K", "N", "bits", "block_size"])
        assert bits == 4
        halves = np.stack([b & 15, b >> 4], -1).reshape(outputs, -1, block).astype(np.float64)
        blocks = halves.shape[1]
        if zeros is None:
            zeros = np.full((outputs, blocks), 8.0)
        else:
            zeros = zeros.reshape(outputs, -1)
            zeros = np.stack([zeros & 15, zeros >> 4], -1).reshape(outputs, -1)[:, :blocks].astype(np.float64)
        weights = (halves - zeros[..., None]) * scales.reshape(outputs, blocks, 1)
        weights = torch.as_tensor(weights.reshape(outputs, -1)[:, :inner].astype(np.float32))
        y = a @ weights.t()
        return y if bias is None else y + number(bias)


# --- quantized models of the zoo ---------------------------------------------


class Rows(CalibrationDataReader):
    """Calibration data: batches of normal noise."""

    def __init__(self, name, shape):
        random = np.random.default_rng(3)
        self.rows = iter([{name: random.standard_normal((2, *shape), np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.rows, None)


def quantized(folder, method, per_channel=False, unsigned_weights=False):
    # The quantizer prints its progress.
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(io.StringIO()):
        work = Path(work)
        ready, made = work / "ready.onnx", work / "made.onnx"
        quant_pre_process(HERE / "zoo" / folder / "model.onnx", ready, skip_symbolic_shape=True)
        weights = QuantType.QUInt8 if unsigned_weights else QuantType.QInt8
        if method == "dynamic":
            quantize_dynamic(ready, made, per_channel=per_channel, weight_type=weights)
        else:
            session = onnxruntime.InferenceSession(ready)
            graph_input = session.get_inputs()[0]
            shape = np.load(HERE / "zoo" / folder / "input.npy").shape[1:]
            quantize_static(
                ready, made, Rows(graph_input.name, shape), quant_format=QuantFormat[method],
                per_channel=per_channel, activation_type=QuantType.QUInt8, weight_type=weights,
            )
        return onnx.load(made)


ZOO = {
    "mlp-qdq": lambda: quantized("mlp", "QDQ"),
    "mlp-dynamic": lambda: quantized("mlp", "dynamic"),
    "lenet-qoperator": lambda: quantized("lenet", "QOperator"),
    "lenet-dynamic": lambda: quantized("lenet", "dynamic", unsigned_weights=True),
    "resnet-qdq": lambda: quantized("resnet-tiny", "QDQ"),
    "resnet-qdq-channels": lambda: quantized("resnet-tiny", "QDQ", True),
    "resnet-qoperator": lambda: quantized("resnet-tiny", "QOperator"),
    "resnet-qoperator-channels": lambda: quantized("resnet-tiny", "QOperator", True),
    "mobilenetv2-qdq": lambda: quantized("mobilenetv2-tiny", "QDQ"),
    "mobilenetv3-qdq": lambda: quantized("mobilenetv3-small-tiny", "QDQ"),
    "inception-qoperator": lambda: quantized("inception-tiny", "QOperator"),
    "shufflenet-qoperator": lambda: quantized("shufflenet-tiny", "QOperator"),
    "densenet-qdq": lambda: quantized("densenet-tiny", "QDQ"),
    "vit-qdq-channels": lambda: quantized("vit-tiny", "QDQ", True),
    "vit-qoperator": lambda: quantized("vit-tiny", "QOperator"),
    "vit-dynamic": lambda: quantized("vit-tiny", "dynamic", True),
    "swin-qdq": lambda: quantized("swin-tiny", "QDQ"),
    "convnext-dynamic": lambda: quantized("convnext-tiny", "dynamic", unsigned_weights=True),
}


# --- models of one operator --------------------------------------------------


class Tiny:
    """A graph under construction, with the input `x`."""

    def __init__(self, shape, opset=17, element=np.float32):
        self.random = np.random.default_rng(11)
        self.shape, self.opset, self.element = shape, opset, element
        self.nodes, self.weights = [], []

    def hold(self, value):
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def make(self, kind, *inputs, outputs=1, domain="", **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        inputs = [i if i is None or isinstance(i, str) else self.hold(i) for i in inputs]
        self.nodes.append(helper.make_node(kind, [i or "" for i in inputs], names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def integers(self, *shape, dtype=np.int8):
        low, high = RANGES[np.dtype(dtype)]
        return self.random.integers(low // 2, high // 2, shape, dtype=dtype)

    def quantize(self, x, scale=0.03, zero=121):
        return self.make("QuantizeLinear", x, np.float32(scale), np.uint8(zero))

    def dequantize(self, x, scale, zero=np.uint8(121)):
        return self.make("DequantizeLinear", x, np.float32(scale), zero)

    def model(self, y, classes=5):
        """The model with a linear layer on `y`."""
        flat = self.make("Flatten", y, axis=1)
        probe = self.finish(flat)
        width = onnxruntime.InferenceSession(probe.SerializeToString()).run(
            None, {"x": np.zeros((1, *self.shape), self.element)})[0].shape[1]
        weights = self.random.standard_normal((width, classes)).astype(np.float32)
        return self.finish(self.make("MatMul", flat, weights / np.float32(width ** 0.5)))

    def finish(self, y):
        graph = helper.make_graph(
            self.nodes, "tiny",
            [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(np.dtype(self.element)), ["N", *self.shape])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)], self.weights,
        )
        domains = {n.domain for n in self.nodes if n.domain}
        opsets = [helper.make_opsetid("", self.opset), *[helper.make_opsetid(d, 1) for d in domains]]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return model


X, Y, Z = np.uint8(121), np.uint8(117), np.float32(0.05)
SCALE = np.float32(0.03)


def unary(kind, scale=Z, zero=Y, **attributes):
    graph = Tiny((4, 6, 6))
    q = graph.quantize("x")
    y = graph.make(kind, q, SCALE, X, np.float32(scale), zero, domain=MICROSOFT, **attributes)
    return graph.model(graph.dequantize(y, scale, zero))


def binary(kind):
    graph = Tiny((4, 6, 6))
    a, b = graph.quantize("x"), graph.quantize(graph.make("Mul", "x", np.float32(0.7)), 0.02, 100)
    y = graph.make(kind, a, SCALE, X, b, np.float32(0.02), np.uint8(100), Z, Y, domain=MICROSOFT)
    return graph.model(graph.dequantize(y, Z, Y))


def quantize_axis(opset):
    graph = Tiny((4, 6, 6), opset)
    scales = np.linspace(0.01, 0.04, 4).astype(np.float32)
    zeros = np.arange(100, 140, 10).astype(np.uint8)
    q = graph.make("QuantizeLinear", "x", scales, zeros, axis=1)
    return graph.model(graph.make("DequantizeLinear", q, scales, zeros, axis=1))


def quantize_int16():
    graph = Tiny((4, 6, 6), 21)
    q = graph.make("QuantizeLinear", "x", np.float32(1e-4), np.int16(5))
    return graph.model(graph.make("DequantizeLinear", q, np.float32(1e-4), np.int16(5)))


def quantize_microsoft():
    graph = Tiny((4, 6, 6))
    q = graph.make("QuantizeLinear", "x", SCALE, np.uint16(30000), domain=MICROSOFT)
    return graph.model(graph.make("DequantizeLinear", q, SCALE, np.uint16(30000), domain=MICROSOFT))


def qlinear_matmul():
    graph = Tiny((4, 36))
    q = graph.quantize("x")
    b = graph.integers(36, 7, dtype=np.uint8)
    y = graph.make("QLinearMatMul", q, SCALE, X, b, np.float32(0.01), np.uint8(60), Z, Y)
    return graph.model(graph.dequantize(y, Z, Y))


def matmul_integer():
    graph = Tiny((4, 36))
    q, scale, zero = graph.make("DynamicQuantizeLinear", "x", outputs=3)
    y = graph.make("MatMulInteger", q, graph.integers(36, 7, dtype=np.uint8), zero, np.uint8(60))
    y = graph.make("Cast", y, to=TensorProto.FLOAT)
    return graph.model(graph.make("Mul", y, graph.make("Mul", scale, np.float32(0.01))))


def conv_integer():
    graph = Tiny((4, 6, 6))
    q, scale, zero = graph.make("DynamicQuantizeLinear", "x", outputs=3)
    weights = graph.integers(5, 4, 3, 3, dtype=np.uint8)
    y = graph.make("ConvInteger", q, weights, zero, np.uint8(60), pads=[1, 1, 1, 1])
    y = graph.make("Cast", y, to=TensorProto.FLOAT)
    return graph.model(graph.make("Mul", y, graph.make("Mul", scale, np.float32(0.01))))


def qlinear_conv():
    graph = Tiny((4, 6, 6))
    q = graph.quantize("x")
    weights, scales = graph.integers(5, 4, 3, 3), np.linspace(0.005, 0.02, 5).astype(np.float32)
    bias = graph.random.integers(-900, 900, 5, dtype=np.int32)
    zeros = np.zeros(5, np.int8)
    y = graph.make("QLinearConv", q, SCALE, X, weights, scales, zeros, Z, Y, bias, pads=[1, 0, 1, 2], strides=[2, 1])
    return graph.model(graph.dequantize(y, Z, Y))


def qgemm(turned, quantized_output):
    graph = Tiny((144,))
    q = graph.quantize("x")
    weights, bias = graph.integers(*((9, 144) if turned else (144, 9))), graph.random.integers(-900, 900, 9, dtype=np.int32)
    out = [Z, Y] if quantized_output else []
    y = graph.make("QGemm", q, SCALE, X, weights, np.float32(0.01), np.int8(0), bias, *out,
                 domain=MICROSOFT, alpha=0.5, transA=0, transB=int(turned))
    return graph.model(graph.dequantize(y, Z, Y) if quantized_output else y)


def concat():
    graph = Tiny((4, 6, 6))
    a, b = graph.quantize("x"), graph.quantize(graph.make("Mul", "x", np.float32(0.7)), 0.02, 100)
    y = graph.make("QLinearConcat", Z, Y, a, SCALE, X, b, np.float32(0.02), np.uint8(100), domain=MICROSOFT, axis=1)
    return graph.model(graph.dequantize(y, Z, Y))


def where():
    graph = Tiny((4, 6, 6))
    a, b = graph.quantize("x"), graph.quantize(graph.make("Mul", "x", np.float32(0.7)), 0.02, 100)
    mask = graph.random.random((4, 6, 6)) < 0.5
    y = graph.make("QLinearWhere", mask, a, SCALE, X, b, np.float32(0.02), np.uint8(100), Z, Y, domain=MICROSOFT)
    return graph.model(graph.dequantize(y, Z, Y))


def to_float():
    graph = Tiny((4, 36))
    q = graph.quantize("x")
    bias = graph.random.standard_normal(7).astype(np.float32)
    scales = np.linspace(0.005, 0.02, 7).astype(np.float32)
    y = graph.make("MatMulIntegerToFloat", q, graph.integers(36, 7, dtype=np.uint8), SCALE, scales, X,
                 np.full(7, 60, np.uint8), bias, domain=MICROSOFT)
    return graph.model(y)


def dynamic_matmul():
    graph = Tiny((4, 36))
    bias = graph.random.standard_normal(7).astype(np.float32)
    y = graph.make("DynamicQuantizeMatMul", "x", graph.integers(36, 7, dtype=np.uint8), np.float32(0.01),
                 np.uint8(60), bias, domain=MICROSOFT)
    return graph.model(y)


def n_bits(zeros):
    graph = Tiny((4, 48))
    weights = graph.random.integers(0, 256, (7, 2, 16), dtype=np.uint8)
    scales = graph.random.uniform(0.01, 0.03, 14).astype(np.float32)
    zero = graph.random.integers(0, 256, 7, dtype=np.uint8) if zeros else None
    y = graph.make("MatMulNBits", "x", weights, scales, zero, domain=MICROSOFT, K=48, N=7, bits=4, block_size=32)
    return graph.model(y)


def moved_between():
    """Operators that move or select quantized values, between a QuantizeLinear and a DequantizeLinear."""
    graph = Tiny((4, 6, 6))
    q = graph.quantize("x")
    q = graph.make("MaxPool", q, kernel_shape=[2, 2], strides=[2, 2])
    q = graph.make("Transpose", q, perm=[0, 2, 3, 1])
    q = graph.make("Reshape", q, np.array([0, -1]))
    return graph.model(graph.dequantize(q, SCALE))


def at_the_bounds():
    """Inputs beyond, at and within the bounds of the quantized range."""
    graph = Tiny((4, 6, 6))
    return graph.model(graph.dequantize(graph.quantize("x", 0.01), 0.01))


def integer_input(element):
    """An integer input that is transposed, cast, scaled and convolved, as in exports of TensorFlow."""
    graph = Tiny((3, 8, 8), element=element)
    x = graph.make("Transpose", "x", perm=[0, 2, 3, 1])
    x = graph.make("Mul", graph.make("Cast", x, to=TensorProto.FLOAT), np.float32(1 / 255))
    x = graph.make("Transpose", x, perm=[0, 3, 1, 2])
    weights = graph.random.standard_normal((6, 3, 3, 3)).astype(np.float32)
    return graph.model(graph.make("Tanh", graph.make("Conv", x, weights, pads=[1, 1, 1, 1])))


OPERATORS = {
    "integers-uint8": lambda: integer_input(np.uint8), "integers-int32": lambda: integer_input(np.int32),
    "quantize-axis": lambda: quantize_axis(13), "quantize-axis-21": lambda: quantize_axis(21),
    "quantize-int16": quantize_int16, "quantize-microsoft": quantize_microsoft,
    "qlinear-conv": qlinear_conv, "qlinear-matmul": qlinear_matmul, "matmul-integer": matmul_integer,
    "conv-integer": conv_integer, "qlinear-add": lambda: binary("QLinearAdd"),
    "qlinear-mul": lambda: binary("QLinearMul"), "qlinear-sigmoid": lambda: unary("QLinearSigmoid", 0.004, np.uint8(0)),
    "qlinear-leaky-relu": lambda: unary("QLinearLeakyRelu", alpha=0.1),
    "qlinear-softmax": lambda: unary("QLinearSoftmax", 0.004, np.uint8(0), axis=-1, opset=13),
    "qlinear-global-average-pool": lambda: unary("QLinearGlobalAveragePool"),
    "qlinear-average-pool": lambda: unary("QLinearAveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "qlinear-concat": concat, "qlinear-where": where,
    "qgemm": lambda: qgemm(True, True), "qgemm-float": lambda: qgemm(False, False),
    "matmul-integer-to-float": to_float, "dynamic-quantize-matmul": dynamic_matmul,
    "matmul-n-bits": lambda: n_bits(False), "matmul-n-bits-zeros": lambda: n_bits(True),
    "moved-between": moved_between, "at-the-bounds": at_the_bounds,
}


# --- reference data ----------------------------------------------------------


def numbers(name, model, folder):
    graph_input = model.graph.input[0]
    zoo = name in ZOO
    if zoo:
        source = {"mlp": "mlp", "lenet": "lenet", "resnet": "resnet-tiny", "mobilenetv2": "mobilenetv2-tiny",
                  "mobilenetv3": "mobilenetv3-small-tiny", "inception": "inception-tiny",
                  "shufflenet": "shufflenet-tiny", "densenet": "densenet-tiny", "vit": "vit-tiny",
                  "swin": "swin-tiny", "convnext": "convnext-tiny"}[name.split("-")[0]]
        x = np.load(HERE / "zoo" / source / "input.npy")
    else:
        shape = [d.dim_value for d in graph_input.type.tensor_type.shape.dim[1:]]
        random = np.random.default_rng(len(name))
        x = random.standard_normal((2, *shape), np.float32)
        if name.startswith("integers"):
            x = random.integers(0, 256, (2, *shape)).astype(np.float32)
    rounded_run, unrounded_run, rows, unrounded, levels = Torch(model, True), Torch(model, False), [], [], 0.0

    def gradient_of(run, row, target=None):
        row = torch.as_tensor(row[None]).requires_grad_(True)
        y = run(row)
        target = int(y.argmax()) if target is None else target
        return y.detach().numpy()[0], target, torch.autograd.grad(y[0, target], row)[0].numpy()[0]

    for row in x:
        rows.append(gradient_of(rounded_run, row))
        levels = max(levels, rounded_run.last_scale)
        unrounded.append(gradient_of(unrounded_run, row, rows[-1][1])[2])
    torch_logits = np.stack([logits for logits, _, _ in rows])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    element = helper.tensor_dtype_to_np_dtype(graph_input.type.tensor_type.elem_type)
    logits = np.concatenate([session.run(None, {graph_input.name: row[None].astype(element)})[0] for row in x])
    error = np.abs(logits - torch_logits).max() / levels if levels else np.abs(logits - torch_logits).max()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    gradient = np.stack([row_gradient for _, _, row_gradient in rows]).astype(np.float32)
    assert np.abs(gradient).max() > 0
    for file, values in [
        ("input", x), ("logits", logits.astype(np.float32)), ("gradient", gradient),
        ("target", np.array([row_target for _, row_target, _ in rows])), ("levels", np.array([levels], np.float32)),
        ("unrounded", np.stack(unrounded).astype(np.float32)),
    ]:
        np.save(folder / f"{file}.npy", values)
    print(f"{name}: {error:.2f} levels from ONNX Runtime's logits, |g| {np.abs(gradient).mean():.1e}, "
          f"{100 * (gradient == 0).mean():.0f} % zero")


def index_line(name, model):
    kinds = sorted({f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in model.graph.node})
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    return f"{name}\t{opset}\t{' '.join(kinds)}\n"


def main(out, names):
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    lines = []
    for name, make in {**OPERATORS, **ZOO}.items():
        if names and name not in names:
            continue
        model = make()
        shutil.rmtree(out / name, ignore_errors=True)
        numbers(name, model, out / name)
        lines.append(index_line(name, model))
    if not names:
        (out / "index.tsv").write_text("model\topset\toperators\n" + "".join(lines))


main(Path(sys.argv[1]), sys.argv[2:])
