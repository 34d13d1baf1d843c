"""Makes the small models and pictures that the tests read.

    python fixtures.py OUT [NAME ...]

needs onnx, onnxruntime, numpy and pillow. With names it writes only those
operators, without the index; else it writes

    OUT/index.tsv               one line for each model: path, opset, what
                                ran it for logits, 'optional' or '', operators
    OUT/operators/NAME/         one tiny classifier for each operator or habit
                                of an exporter: model.onnx and its numbers
    OUT/bad/                    files that are no model, models that cannot be
                                attributed, and valid models with an odd shape;
                                the numbers of NAME.onnx are NAME.input.npy ...
    OUT/pictures/               small pictures in many formats

The numbers of a model are

    input.npy       float32 [2, ...]
    logits.npy      what onnxruntime gives for that input, optimisations off
    target.npy      int64 [2], the largest logit of each row
    gradient.npy    float32 [2, ...], d logits[i, target[i]] / d input[i]

but float16.onnx and double.onnx have input and logits of their own kind, the
latter from the evaluator below, as onnxruntime has no float64 convolution.

The gradient is taken by central differences on a float64 copy of the model,
run by the evaluator in the onnx package, with a few operators replaced where
that one is wrong or works in float32. A seed is kept only when two step
sizes agree to 1e-6 and a third, thirty times longer, agrees to 1e-4, so no
kink lies close to the input; when the float64 logits agree with onnxruntime's;
when the target leads the other classes clearly; and when each row alone gives
the same logits as the two together.

Every model has its own seed, so one can be added without changing the others.
The same versions of the four packages give the same bytes (onnx 1.23.2,
onnxruntime 1.32.0, numpy 2.4.6 and pillow 13.0.0 made the ones kept); other
versions may round or compress differently.
"""

import io
import math
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as OneGroupConvTranspose
from PIL import Image, ImageDraw

CLASSES = 5
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63) + 1  # as exporters write it

STEPS = (1e-5, 2e-5)
LONG_STEP = 3e-4


# --- building a graph --------------------------------------------------------


class Graph:
    """A graph under construction; values are named by strings."""

    def __init__(self, seed, shape, opset=17, batch="N", input_name="image"):
        self.rng = np.random.default_rng(seed)
        self.opset = opset
        self.batch = batch
        self.shape = tuple(shape)
        self.nodes = []
        self.initializers = []
        self.x = input_name
        self.count = 0
        self.domains = {}

    def fresh(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def const(self, array, stem="const"):
        """An initializer. Floats become float32 and integers int64."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = self.fresh(stem)
        self.initializers.append(numpy_helper.from_array(np.array(array), name))
        return name

    def constant_node(self, array):
        """The same, as a Constant node."""
        self.const(array)
        return self.op("Constant", value=self.initializers.pop())

    def weight(self, *shape, scale=None):
        """Random normal weights, divided by the root of the fan-in."""
        if scale is None:
            scale = 1.0 / np.sqrt(max(1, int(np.prod(shape[1:]))))
        return self.const(self.rng.normal(size=shape) * scale, "weight")

    def normal(self, *shape, scale=1.0):
        return self.const(self.rng.normal(size=shape) * scale, "weight")

    def positive(self, *shape):
        return self.const(self.rng.uniform(0.5, 1.5, size=shape), "weight")

    def op(self, kind, *inputs, outputs=1, name=None, domain="", **attributes):
        """Adds a node; gives its output, or a list where there are several."""
        name = name or self.fresh(kind.lower())
        if outputs == 1:
            names = [name + "_out"]
        else:
            names = [f"{name}_out{k}" for k in range(outputs)]
        node = helper.make_node(
            kind, list(inputs), names, name=name, domain=domain, **attributes
        )
        self.nodes.append(node)
        if domain:
            self.domains[domain] = 1
        return names[0] if outputs == 1 else names

    def conv(self, x, channels_in, channels_out, kernel=3, bias=True, **attributes):
        group = attributes.get("group", 1)
        inputs = [x, self.weight(channels_out, channels_in // group, kernel, kernel)]
        if bias:
            inputs.append(self.normal(channels_out, scale=0.3))
        attributes.setdefault("kernel_shape", [kernel, kernel])
        return self.op("Conv", *inputs, **attributes)

    def size(self, value):
        """The shape of a value, found by running what has been built so far."""
        probe = self.model([(value, None, None)])
        feed = {self.x: np.ones((1,) + self.shape, np.float32)}
        return session(probe).run(None, feed)[0].shape

    def linear(self, value, outputs=CLASSES, name=None):
        """Gemm as exporters write a linear layer."""
        features = self.size(value)[-1]
        return self.op(
            "Gemm",
            value,
            self.weight(outputs, features, scale=2.0 / np.sqrt(features)),
            self.normal(outputs, scale=0.3),
            transB=1,
            name=name,
        )

    def head(self, value):
        """Flatten and Gemm: every element has its own weight."""
        return self.linear(self.op("Flatten", value, axis=1))

    def pooled_head(self, value):
        """GlobalAveragePool, Flatten and Gemm."""
        return self.head(self.op("GlobalAveragePool", value))

    def model(self, outputs, kind=TensorProto.FLOAT, inputs=None):
        """The model; outputs are (name, type, shape)."""
        if inputs is None:
            inputs = [
                helper.make_tensor_value_info(self.x, kind, (self.batch,) + self.shape)
            ]
        infos = []
        for name, output_kind, shape in outputs:
            if output_kind is None:
                infos.append(onnx.ValueInfoProto(name=name))
            else:
                infos.append(helper.make_tensor_value_info(name, output_kind, shape))
        graph = helper.make_graph(
            self.nodes, "classifier", inputs, infos, initializer=self.initializers
        )
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(d, v) for d, v in sorted(self.domains.items())]
        return helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=8 if self.opset <= 18 else 10,
            producer_name="fixtures",
        )

    def finish(self, logits):
        """The model with one output, called logits."""
        for node in self.nodes:
            for k, name in enumerate(node.output):
                if name == logits:
                    node.output[k] = "logits"
            for k, name in enumerate(node.input):
                if name == logits:
                    node.input[k] = "logits"
        return self.model([("logits", TensorProto.FLOAT, (self.batch, CLASSES))])


# --- running a model ---------------------------------------------------------


def session(model, path=None):
    """An onnxruntime session, on one thread and with optimisations off."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    source = str(path) if path is not None else model.SerializeToString()
    return onnxruntime.InferenceSession(
        source, options, providers=["CPUExecutionProvider"]
    )


# Operators that the evaluator of the onnx package has wrong, in part, or only
# in float32. Their results are compared with onnxruntime's like all others.


class Softmax(OpRun):
    """As it was before opset 13: the input is flattened at the axis."""

    def _run(self, x, axis=None):
        axis = 1 if axis is None else axis
        flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
        flat = np.exp(flat - flat.max(axis=1, keepdims=True))
        return ((flat / flat.sum(axis=1, keepdims=True)).reshape(x.shape),)


class Erf(OpRun):
    """In float64, where the evaluator's goes through float32."""

    def _run(self, x):
        return (np.vectorize(math.erf, otypes=[np.float64])(x),)


class Gelu(OpRun):
    def _run(self, x, approximate=None):
        if approximate == "tanh":
            inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
            return (0.5 * x * (1 + np.tanh(inner)),)
        return (0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),)


class GroupNormalization(OpRun):
    """As of opset 21, with a scale and a bias for each channel."""

    def _run(self, x, scale, bias, epsilon=None, num_groups=None, stash_type=None):
        groups = x.reshape(x.shape[0], num_groups, -1)
        groups = groups - groups.mean(axis=2, keepdims=True)
        variance = (groups**2).mean(axis=2, keepdims=True)
        epsilon = 1e-5 if epsilon is None else epsilon
        y = (groups / np.sqrt(variance + epsilon)).reshape(x.shape)
        channels = (-1,) + (1,) * (x.ndim - 2)
        return (y * scale.reshape(channels) + bias.reshape(channels),)


class LpNormalization(OpRun):
    """With the absolute value that the evaluator leaves out for p = 1."""

    def _run(self, x, axis=None, p=None):
        axis = -1 if axis is None else axis
        p = 2 if p is None else p
        norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
        return (x / norm,)


class LRN(OpRun):
    """Over all channels; the evaluator's takes only as many as there are rows."""

    def _run(self, x, alpha=None, beta=None, bias=None, size=None):
        total = np.zeros_like(x)
        for c in range(x.shape[1]):
            first = max(0, c - (size - 1) // 2)
            last = c + size // 2
            total[:, c] = (x[:, first : last + 1] ** 2).sum(axis=1)
        return (x / (bias + alpha / size * total) ** beta,)


class ConvTranspose(OpRun):
    """Group by group, which the evaluator's does not manage."""

    def _run(self, x, w, b=None, group=None, **attributes):
        group = group or 1
        parts = []
        for k, (xk, wk) in enumerate(
            zip(np.split(x, group, axis=1), np.split(w, group, axis=0))
        ):
            bk = None if b is None else np.split(b, group)[k]
            parts.append(
                OneGroupConvTranspose._run(self, xk, wk, bk, group=1, **attributes)[0]
            )
        return (np.concatenate(parts, axis=1),)


class Pad(OpRun):
    """From opset 11 on, with negative pads, which cut."""

    def _run(self, x, pads, value=None, axes=None, mode=None):
        rank = x.ndim
        pads = np.asarray(pads)
        cut = tuple(
            slice(max(0, -first), x.shape[k] - max(0, -last))
            for k, (first, last) in enumerate(zip(pads[:rank], pads[rank:]))
        )
        widths = list(zip(np.maximum(pads[:rank], 0), np.maximum(pads[rank:], 0)))
        mode = mode or "constant"
        more = {"constant_values": value or 0} if mode == "constant" else {}
        return (np.pad(x[cut], widths, mode=mode, **more),)


def replacements(opset):
    chosen = [Erf, Gelu, LpNormalization, LRN, ConvTranspose, GroupNormalization]
    if opset >= 11:
        chosen.append(Pad)
    if opset < 13:
        chosen.append(Softmax)
    return chosen


def to_float64(model, kinds=(TensorProto.FLOAT, TensorProto.FLOAT16)):
    """A copy of the model with every float tensor and type made float64."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)

    def tensor(t):
        if t.data_type in kinds:
            wide = numpy_helper.to_array(t).astype(np.float64)
            t.CopyFrom(numpy_helper.from_array(wide, t.name))

    def graph(g):
        for t in g.initializer:
            tensor(t)
        for info in list(g.input) + list(g.output) + list(g.value_info):
            if info.type.tensor_type.elem_type in kinds:
                info.type.tensor_type.elem_type = TensorProto.DOUBLE
        for node in g.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    tensor(attribute.t)
                if attribute.HasField("g"):
                    graph(attribute.g)
                if node.op_type == "Cast" and attribute.name == "to":
                    if attribute.i in kinds:
                        attribute.i = TensorProto.DOUBLE

    graph(copy.graph)
    return copy


class Float64:
    """Runs a float64 copy of a model; gives its first output."""

    def __init__(self, model):
        opset = next(o.version for o in model.opset_import if o.domain == "")
        self.evaluator = ReferenceEvaluator(
            to_float64(model), new_ops=replacements(opset)
        )
        info = model.graph.input[0]
        self.name = info.name
        batch = info.type.tensor_type.shape.dim[0]
        self.fixed = batch.HasField("dim_value")

    def __call__(self, x):
        rows = 1 if self.fixed else 96
        parts = [
            self.evaluator.run(None, {self.name: x[k : k + rows]})[0]
            for k in range(0, len(x), rows)
        ]
        result = np.concatenate(parts)
        assert result.dtype == np.float64, f"evaluated in {result.dtype}"
        return result


def central_difference(run, x, target, step):
    """d run(x)[i, target[i]] / d x[i] for every row and element."""
    gradient = np.zeros(x.shape)
    for i, row in enumerate(x):
        offsets = np.eye(row.size).reshape((row.size,) + row.shape) * step
        up = run(row + offsets)[:, target[i]]
        down = run(row - offsets)[:, target[i]]
        gradient[i] = ((up - down) / (2 * step)).reshape(row.shape)
    return gradient


class Rejected(Exception):
    """This seed will not do; the next one may."""


def row_by_row(run, x):
    return np.concatenate([run(x[k : k + 1]) for k in range(len(x))])


def numbers(model, x, path=None, flat=False, runner="onnxruntime"):
    """Input, logits, target and gradient of a model, or Rejected."""
    exact = Float64(model)
    wide = x.astype(np.float64)
    if runner == "onnxruntime":
        ort = session(model, path)
        name = model.graph.input[0].name

        def run(rows):
            return ort.run(None, {name: rows})[0]

        alone = row_by_row(run, x)
        if exact.fixed:
            logits = alone
        else:
            logits = run(x)
            assert np.allclose(logits, alone, atol=1e-5), "the rows are not independent"
    else:
        logits = exact(wide)
    assert np.isfinite(logits).all()
    assert logits.shape == (len(x), CLASSES), logits.shape

    scale = max(1.0, np.abs(logits).max())
    tolerance = 5e-3 if x.dtype == np.float16 else 2e-5
    error = np.abs(exact(wide) - logits).max() / scale
    assert error < tolerance, f"float64 and {runner} differ by {error}"

    ordered = np.sort(logits, axis=1)
    if (ordered[:, -1] - ordered[:, -2]).min() < 0.02 * min(1, np.abs(logits).max()):
        raise Rejected("two classes are nearly equal")
    target = logits.argmax(axis=1).astype(np.int64)

    first, second = (central_difference(exact, wide, target, h) for h in STEPS)
    size = np.abs(first).max()
    limit = max(1.0, size)
    if np.abs(first - second).max() > 1e-6 * limit:
        raise Rejected("the two steps disagree")
    third = central_difference(exact, wide, target, LONG_STEP)
    if np.abs(first - third).max() > 1e-4 * limit:
        raise Rejected("a kink is near")
    if flat:
        assert size == 0, "the gradient should be zero"
    elif np.abs(first).reshape(len(x), -1).max(axis=1).min() < 0.01:
        raise Rejected("the gradient is nearly zero")
    return {"input": x, "logits": logits, "target": target, "gradient": first}


def operators_of(model):
    names = []
    for node in model.graph.node:
        name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        if name not in names:
            names.append(name)
    return names


def index_line(path, model, runner, optional=False):
    opset = next(o.version for o in model.opset_import if o.domain == "")
    return "\t".join(
        [path, str(opset), runner, "optional" if optional else ""]
        + [" ".join(operators_of(model))]
    )


def save_numbers(prefix, found):
    for name, array in found.items():
        if name == "gradient" and array.dtype == np.float64:
            array = array.astype(np.float32)
        np.save(f"{prefix}{name}.npy", array)


def save_bytes(path, model):
    path.write_bytes(model.SerializeToString(deterministic=True))


# --- the operators -----------------------------------------------------------

MODELS = []


def model(name, shape=(3, 6, 6), opset=17, optional=False, low=None, **options):
    """Registers a builder: it takes a Graph and the input, and gives logits.

    The input is normal, or uniform from `low` to `low + 1` where that is given.
    """

    def keep(build):
        MODELS.append((name, build, shape, opset, optional, low, options))
        return build

    return keep


# Convolutions. Height and width differ, so that a swap of the two shows.


@model("conv-same-upper", shape=(3, 7, 6))
def _(g, x):
    # Stride 2 and kernel 3: the odd height is padded evenly, the even width
    # at its end only; then kernel 2, where the odd size is the uneven one.
    x = g.conv(x, 3, 4, strides=[2, 2], auto_pad="SAME_UPPER")
    x = g.op("Relu", x)
    return g.head(g.conv(x, 4, 3, kernel=2, strides=[2, 2], auto_pad="SAME_UPPER"))


@model("conv-same-lower", shape=(3, 7, 6))
def _(g, x):
    x = g.conv(x, 3, 4, strides=[2, 2], auto_pad="SAME_LOWER")
    x = g.op("Relu", x)
    return g.head(g.conv(x, 4, 3, kernel=2, strides=[2, 2], auto_pad="SAME_LOWER"))


@model("conv-same-odd-stride-2", shape=(3, 7, 5))
def _(g, x):
    # Both sizes odd, kernel 4: one row or column more at the end.
    return g.head(g.conv(x, 3, 4, kernel=4, strides=[2, 2], auto_pad="SAME_UPPER"))


@model("conv-valid", shape=(3, 7, 6))
def _(g, x):
    return g.head(g.conv(x, 3, 4, strides=[2, 1], auto_pad="VALID"))


@model("conv-asymmetric-pads", shape=(3, 6, 5))
def _(g, x):
    return g.head(g.conv(x, 3, 4, strides=[2, 1], pads=[0, 1, 2, 0]))


@model("conv-dilated", shape=(3, 7, 6))
def _(g, x):
    return g.head(g.conv(x, 3, 4, dilations=[2, 2], pads=[2, 1, 2, 1]))


@model("conv-groups")
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4, kernel=1))
    return g.head(g.conv(x, 4, 6, group=2, pads=[1, 1, 1, 1], strides=[2, 2]))


@model("conv-depthwise")
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 6, group=3, pads=[1, 1, 1, 1]))
    return g.pooled_head(g.conv(x, 6, 4, kernel=1))


@model("conv-no-bias")
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4, bias=False, pads=[1, 1, 1, 1]))
    return g.pooled_head(x)


@model("conv-no-kernel-shape")
def _(g, x):
    weight = g.weight(4, 3, 3, 2)
    return g.head(g.op("Relu", g.op("Conv", x, weight, strides=[2, 2])))


@model("conv-1d", shape=(3, 11))
def _(g, x):
    x = g.op(
        "Conv", x, g.weight(4, 3, 3), g.normal(4),
        kernel_shape=[3], strides=[2], pads=[1, 0], dilations=[2],
    )
    x = g.op("MaxPool", g.op("Relu", x), kernel_shape=[2], strides=[1])
    return g.head(x)


@model("conv-transpose", shape=(3, 4, 3))
def _(g, x):
    x = g.op(
        "ConvTranspose", x, g.weight(3, 4, 3, 3), g.normal(4, scale=0.3),
        kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1],
    )
    return g.head(g.conv(g.op("Relu", x), 4, 2, strides=[2, 2]))


@model("conv-transpose-groups", shape=(4, 4, 3))
def _(g, x):
    x = g.op(
        "ConvTranspose", x, g.weight(4, 3, 2, 3),
        kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 0], group=2,
    )
    return g.head(g.op("Relu", x))


# Pooling.


def pooling(kind, **attributes):
    def build(g, x):
        x = g.conv(x, 3, 3, kernel=1)
        return g.head(g.op(kind, x, **attributes))

    return build


for name, kind, shape, attributes in [
    ("maxpool", "MaxPool", (3, 6, 6), dict(kernel_shape=[2, 2], strides=[2, 2])),
    ("maxpool-ceil", "MaxPool", (3, 7, 6),
     dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("maxpool-asymmetric-pads", "MaxPool", (3, 6, 5),
     dict(kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 2, 1])),
    ("maxpool-dilated", "MaxPool", (3, 7, 6),
     dict(kernel_shape=[2, 2], strides=[1, 2], dilations=[3, 2])),
    ("maxpool-same-upper", "MaxPool", (3, 7, 6),
     dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
    ("averagepool-exclude-pad", "AveragePool", (3, 6, 5),
     dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=0)),
    ("averagepool-include-pad", "AveragePool", (3, 6, 5),
     dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)),
    ("averagepool-ceil", "AveragePool", (3, 7, 6),
     dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("averagepool-ceil-exclude-pad", "AveragePool", (3, 6, 5),
     dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1)),
    ("averagepool-ceil-include-pad", "AveragePool", (3, 6, 5),
     dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1,
          count_include_pad=1)),
    ("averagepool-asymmetric-pads", "AveragePool", (3, 6, 5),
     dict(kernel_shape=[3, 2], strides=[2, 2], pads=[0, 1, 2, 0], count_include_pad=0)),
    ("averagepool-asymmetric-pads-included", "AveragePool", (3, 6, 5),
     dict(kernel_shape=[3, 2], strides=[2, 2], pads=[0, 1, 2, 0], count_include_pad=1)),
    ("averagepool-same-lower", "AveragePool", (3, 7, 6),
     dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")),
    ("global-average-pool", "GlobalAveragePool", (3, 6, 5), {}),
    ("global-max-pool", "GlobalMaxPool", (3, 6, 5), {}),
]:
    model(name, shape=shape)(pooling(kind, **attributes))


# Normalisation.


def batch_norm(g, x, channels, **attributes):
    return g.op(
        "BatchNormalization", x,
        g.positive(channels), g.normal(channels, scale=0.3),
        g.normal(channels, scale=0.3), g.positive(channels),
        **attributes,
    )


@model("batchnorm-after-conv")
def _(g, x):
    x = batch_norm(g, g.conv(x, 3, 4, bias=False, pads=[1, 1, 1, 1]), 4, epsilon=1e-3)
    return g.pooled_head(g.op("Relu", x))


@model("batchnorm-after-conv-shared")
def _(g, x):
    # The convolution has two readers: folding must not change the second.
    y = g.conv(x, 3, 4)
    return g.head(g.op("Add", g.op("Relu", batch_norm(g, y, 4)), y))


@model("batchnorm-before-conv")
def _(g, x):
    # The convolution pads with zero after the normalisation.
    x = g.op("Relu", g.conv(batch_norm(g, x, 3), 3, 4, pads=[1, 1, 1, 1]))
    return g.head(g.conv(x, 4, 3, strides=[2, 2]))


@model("batchnorm-vectors", shape=(8,))
def _(g, x):
    return g.linear(g.op("Relu", batch_norm(g, g.linear(x, 6), 6)))


@model("instancenorm", shape=(3, 5, 4))
def _(g, x):
    x = g.conv(x, 3, 4, kernel=1)
    x = g.op("InstanceNormalization", x, g.positive(4), g.normal(4), epsilon=1e-3)
    return g.head(g.op("Relu", x))


@model("groupnorm", shape=(3, 5, 4), opset=21)
def _(g, x):
    x = g.conv(x, 3, 4, kernel=1)
    x = g.op("GroupNormalization", x, g.positive(4), g.normal(4), num_groups=2)
    return g.head(g.op("Relu", x))


@model("groupnorm-as-exported", shape=(3, 5, 4))
def _(g, x):
    # What exporters write for opset 17, which has no GroupNormalization.
    x = g.conv(x, 3, 4, kernel=1)
    y = g.op("Reshape", x, g.const([0, 2, -1]))
    y = g.op("InstanceNormalization", y, g.const([1.0, 1.0]), g.const([0.0, 0.0]))
    y = g.op("Reshape", y, g.op("Shape", x))
    y = g.op("Add", g.op("Mul", y, g.positive(4, 1, 1)), g.normal(4, 1, 1))
    return g.head(g.op("Relu", y))


@model("layernorm-last-axis", shape=(3, 4, 5))
def _(g, x):
    x = g.op("LayerNormalization", x, g.positive(5), g.normal(5), axis=-1, epsilon=1e-3)
    return g.head(g.op("Relu", x))


@model("layernorm-two-axes", shape=(3, 4, 5))
def _(g, x):
    x = g.op("LayerNormalization", x, g.positive(4, 5), g.normal(4, 5), axis=-2)
    return g.head(g.op("Relu", x))


@model("layernorm-no-bias", shape=(3, 4, 5))
def _(g, x):
    return g.head(g.op("Relu", g.op("LayerNormalization", x, g.positive(5))))


@model("layernorm-as-exported", shape=(3, 4, 5), opset=16)
def _(g, x):
    centred = g.op("Sub", x, g.op("ReduceMean", x, axes=[-1]))
    square = g.op("Pow", centred, g.const(np.float32(2)))
    variance = g.op("ReduceMean", square, axes=[-1])
    root = g.op("Sqrt", g.op("Add", variance, g.const(np.float32(1e-5))))
    x = g.op("Mul", g.op("Div", centred, root), g.positive(5))
    return g.head(g.op("Relu", g.op("Add", x, g.normal(5))))


@model("lpnorm-2", shape=(3, 4, 3))
def _(g, x):
    return g.head(g.op("LpNormalization", x, axis=1, p=2))


@model("lpnorm-1", shape=(3, 4, 3))
def _(g, x):
    return g.head(g.op("LpNormalization", x, axis=-1, p=1))


@model("lrn", shape=(3, 4, 4))
def _(g, x):
    x = g.conv(x, 3, 6, kernel=1)
    return g.pooled_head(g.op("LRN", x, size=3, alpha=0.9, beta=0.75, bias=1.5))


# Activations, each after a convolution.


def activation(apply):
    def build(g, x):
        return g.head(apply(g, g.conv(x, 3, 3, kernel=1)))

    return build


def single(kind, **attributes):
    return lambda g, x: g.op(kind, x, **attributes)


def swish(g, x):
    return g.op("Mul", x, g.op("Sigmoid", x))


def gelu_by_erf(g, x):
    inner = g.op("Erf", g.op("Div", x, g.const(np.float32(2**0.5))))
    inner = g.op("Add", inner, g.const(np.float32(1)))
    return g.op("Mul", g.op("Mul", x, inner), g.const(np.float32(0.5)))


def clip(g, x, low=None, high=None, constant=False):
    make = g.constant_node if constant else g.const
    inputs = [make(np.float32(v)) if v is not None else "" for v in (low, high)]
    while inputs[-1] == "":
        inputs.pop()
    return g.op("Clip", x, *inputs)


for name, opset, apply in [
    ("relu", 17, single("Relu")),
    ("leaky-relu", 17, single("LeakyRelu", alpha=0.2)),
    ("leaky-relu-default", 17, single("LeakyRelu")),
    ("elu", 17, single("Elu", alpha=0.7)),
    ("selu", 17, single("Selu")),
    ("celu", 17, single("Celu", alpha=0.6)),
    ("softplus", 17, single("Softplus")),
    ("softsign", 17, single("Softsign")),
    ("hard-sigmoid-default", 17, single("HardSigmoid")),
    ("hard-sigmoid", 17, single("HardSigmoid", alpha=1 / 6, beta=0.5)),
    ("hard-swish", 17, single("HardSwish")),
    ("gelu-exact", 20, single("Gelu")),
    ("gelu-tanh", 20, single("Gelu", approximate="tanh")),
    ("gelu-by-erf", 17, gelu_by_erf),
    ("mish", 18, single("Mish")),
    ("prelu", 17, lambda g, x: g.op("PRelu", x, g.normal(3, 1, 1, scale=0.3))),
    ("prelu-one-slope", 17, lambda g, x: g.op("PRelu", x, g.const([0.3]))),
    ("thresholded-relu", 17, single("ThresholdedRelu", alpha=0.4)),
    ("sigmoid", 17, single("Sigmoid")),
    ("swish", 17, swish),
    ("tanh", 17, single("Tanh")),
    ("clip-min", 17, lambda g, x: clip(g, x, low=-0.5)),
    ("clip-max", 17, lambda g, x: clip(g, x, high=0.5)),
    ("clip-both", 17, lambda g, x: clip(g, x, low=-0.4, high=0.6)),
    ("clip-constant-nodes", 17, lambda g, x: clip(g, x, -0.4, 0.6, constant=True)),
    ("clip-attributes", 9, single("Clip", min=-0.4, max=0.6)),
    ("softmax-axis-1", 17, single("Softmax", axis=1)),
    ("softmax-last-axis", 17, single("Softmax", axis=-1)),
    ("log-softmax", 17, single("LogSoftmax", axis=1)),
    ("softmax-flattening", 11, single("Softmax", axis=1)),
]:
    model("act-" + name, shape=(3, 4, 4), opset=opset)(activation(apply))


# Arithmetic.


@model("arith-broadcast", shape=(3, 4, 5))
def _(g, x):
    x = g.op("Add", x, g.normal(3, 1, 1))
    x = g.op("Mul", x, g.const([1.7]))
    x = g.op("Sub", x, g.const(np.float32(0.3)))
    x = g.op("Div", x, g.positive(5))
    return g.head(g.op("Relu", x))


@model("arith-constant-first", shape=(3, 4, 5))
def _(g, x):
    x = g.op("Sub", g.const(np.float32(2.5)), x)
    x = g.op("Add", g.normal(1, 3, 1, 5), g.op("Tanh", x))
    x = g.op("Div", g.normal(4, 1), g.op("Add", g.const([2.0]), g.op("Exp", x)))
    return g.head(g.op("Mul", g.normal(3, 1, 1), x))


@model("arith-two-tensors", shape=(3, 4, 5))
def _(g, x):
    # Each has a broadcast operand that depends on the input.
    gate = g.op("Sigmoid", g.conv(g.op("GlobalAveragePool", x), 3, 3, kernel=1))
    x = g.op("Mul", x, gate)
    x = g.op("Sub", x, g.op("ReduceMean", x, axes=[1], keepdims=1))
    return g.head(g.op("Div", x, g.op("Add", gate, g.const(np.float32(1)))))


for name, exponent in [("2", 2.0), ("3", 3.0), ("half", 0.5)]:

    @model("arith-pow-" + name, shape=(3, 4, 4), low=0.4)
    def _(g, x, exponent=exponent):
        return g.head(g.op("Pow", x, g.const(np.float32(exponent))))


@model("arith-pow-negative-base", shape=(3, 4, 4))
def _(g, x):
    cube = g.op("Pow", x, g.const([3.0]))
    return g.head(g.op("Add", cube, g.op("Pow", x, g.const(np.float32(2)))))


for kind, low in [
    ("Sqrt", 0.3), ("Exp", None), ("Log", 0.3), ("Abs", None), ("Neg", None),
    ("Reciprocal", 0.5), ("Sin", None), ("Cos", None),
]:

    @model("arith-" + kind.lower(), shape=(3, 4, 4), low=low)
    def _(g, x, kind=kind):
        return g.head(g.op(kind, x))


for kind in ("Min", "Max"):

    @model("arith-" + kind.lower(), shape=(3, 4, 4))
    def _(g, x, kind=kind):
        y = g.op(kind, g.conv(x, 3, 3, kernel=1), g.conv(x, 3, 3, kernel=1))
        return g.head(g.op(kind, y, g.const(np.float32(0.1))))


for kind in ("Sum", "Mean"):

    @model("arith-" + kind.lower(), shape=(3, 4, 4))
    def _(g, x, kind=kind):
        parts = [g.op(f, x) for f in ("Tanh", "Sigmoid", "Relu")]
        return g.head(g.op(kind, *parts))


@model("where-constant-mask", shape=(3, 4, 4))
def _(g, x):
    mask = g.const(g.rng.random((1, 3, 4, 4)) < 0.5)
    return g.head(g.op("Where", mask, g.op("Tanh", x), g.op("Mul", x, g.const([0.3]))))


@model("where-compared", shape=(3, 4, 4))
def _(g, x):
    mask = g.op("Greater", x, g.const(np.float32(0.2)))
    return g.head(g.op("Where", mask, x, g.op("Mul", x, g.const([0.3]))))


# Matrix products.


def tokens(g, x, width=6):
    """[N, 3, 4, 6] to six tokens [N, 6, width], as a vision transformer does."""
    x = g.conv(x, 3, width, kernel=2, strides=[2, 2])
    x = g.op("Reshape", x, g.const([0, width, -1]))
    return g.op("Transpose", x, perm=[0, 2, 1])


@model("matmul", shape=(8,))
def _(g, x):
    x = g.op("Tanh", g.op("MatMul", x, g.normal(8, 6, scale=0.4)))
    return g.op("MatMul", x, g.normal(6, CLASSES))


@model("matmul-add", shape=(8,))
def _(g, x):
    x = g.op("MatMul", x, g.normal(8, 6, scale=0.4))
    x = g.op("Relu", g.op("Add", x, g.normal(6)))
    x = g.op("MatMul", x, g.normal(6, CLASSES))
    return g.op("Add", g.normal(CLASSES), x)


@model("matmul-add-shared", shape=(8,))
def _(g, x):
    # The product has a second reader, which must not get the bias.
    product = g.op("MatMul", x, g.normal(8, 6, scale=0.4))
    biased = g.op("Relu", g.op("Add", product, g.normal(6)))
    return g.linear(g.op("Mul", biased, g.op("Sigmoid", product)))


@model("matmul-add-output-shared", shape=(3, 4, 6))
def _(g, x):
    # The same on three axes, with an addition that is no bias: it differs
    # from token to token.
    t = tokens(g, x)
    product = g.op("MatMul", t, g.normal(6, 5, scale=0.5))
    placed = g.op("Tanh", g.op("Add", product, g.normal(6, 5)))
    return g.head(g.op("Sub", placed, product))


@model("matmul-add-position", shape=(3, 4, 6))
def _(g, x):
    x = g.op("MatMul", tokens(g, x), g.normal(6, 5, scale=0.5))
    return g.head(g.op("Relu", g.op("Add", x, g.normal(1, 6, 5))))


@model("matmul-add-scalar", shape=(8,))
def _(g, x):
    x = g.op("MatMul", x, g.normal(8, 6, scale=0.4))
    return g.linear(g.op("Relu", g.op("Add", x, g.const(np.float32(0.4)))))


@model("matmul-add-tensor", shape=(8,))
def _(g, x):
    # A sum of two products: neither operand of the addition is constant.
    first = g.op("MatMul", x, g.normal(8, 6, scale=0.4))
    second = g.op("MatMul", g.op("Tanh", x), g.normal(8, 6, scale=0.4))
    return g.linear(g.op("Relu", g.op("Add", first, second)))


@model("matmul-constant-first", shape=(3, 4, 6))
def _(g, x):
    x = g.op("MatMul", g.normal(4, 6, scale=0.5), tokens(g, x))
    return g.head(g.op("Relu", x))


def heads(g, t, perm, width=6, count=2):
    """One of query, key and value, split into heads."""
    t = g.op("MatMul", t, g.normal(width, width, scale=0.5))
    t = g.op("Add", t, g.normal(width, scale=0.3))
    t = g.op("Reshape", t, g.const([0, -1, count, width // count]))
    return g.op("Transpose", t, perm=perm)


def attention(g, t, mask=None):
    q = heads(g, t, [0, 2, 1, 3])
    k = heads(g, t, [0, 2, 3, 1])
    v = heads(g, t, [0, 2, 1, 3])
    scores = g.op("Div", g.op("MatMul", q, k), g.const(np.float32(3**0.5)))
    if mask:
        scores = mask(scores)
    t = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    t = g.op("Transpose", t, perm=[0, 2, 1, 3])
    return g.op("Reshape", t, g.const([0, -1, 6]))


@model("matmul-attention", shape=(3, 4, 6))
def _(g, x):
    return g.head(attention(g, tokens(g, x)))


@model("gemm", shape=(8,))
def _(g, x):
    x = g.op("Relu", g.op("Gemm", x, g.normal(8, 6, scale=0.4), g.normal(6)))
    return g.op("Gemm", x, g.normal(6, CLASSES), g.normal(CLASSES), transA=0, transB=0)


@model("gemm-transposed-b", shape=(8,))
def _(g, x):
    return g.linear(g.op("Relu", g.linear(x, 6)))


@model("gemm-transposed-a", shape=(8,))
def _(g, x):
    x = g.op("Transpose", g.op("Tanh", x), perm=[1, 0])
    return g.op("Gemm", x, g.normal(8, CLASSES), g.normal(1, CLASSES), transA=1)


@model("gemm-alpha-beta", shape=(8,))
def _(g, x):
    return g.op(
        "Gemm", g.op("Tanh", x), g.normal(CLASSES, 8), g.normal(CLASSES),
        alpha=0.5, beta=1.5, transB=1,
    )


@model("gemm-no-bias", shape=(8,))
def _(g, x):
    x = g.op("Relu", g.op("Gemm", x, g.normal(6, 8, scale=0.4), transB=1))
    return g.op("Gemm", x, g.normal(6, CLASSES), alpha=2.0)


@model("einsum", shape=(3, 4, 6), optional=True)
def _(g, x):
    t = tokens(g, x)
    mixed = g.op("Einsum", t, g.op("Transpose", t, perm=[0, 2, 1]),
                 equation="nij,njk->nik")
    return g.head(g.op("Tanh", mixed))


# Reductions. With axes as an attribute: two axes, not kept. With axes as an
# input: a negative one, kept by default. The result is not flat, so that a
# wrong axis shows.

for kind in ("Mean", "Sum", "Max", "Min", "L2", "LogSumExp", "Prod", "SumSquare"):

    @model(
        f"reduce-{kind.lower()}-attribute", shape=(3, 4, 3),
        opset=11 if kind == "Sum" else 13, low=0.3,
    )
    def _(g, x, kind=kind):
        x = g.conv(x, 3, 4, kernel=1)
        return g.head(g.op("Reduce" + kind, x, axes=[2, 3], keepdims=0))

    @model(f"reduce-{kind.lower()}-input", shape=(3, 4, 3), opset=18, low=0.3)
    def _(g, x, kind=kind):
        return g.head(g.op("Reduce" + kind, x, g.const([-2])))


@model("reduce-mean-negative-axes", shape=(3, 4, 3))
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4, kernel=1))
    return g.head(g.op("ReduceMean", x, axes=[-1, -2], keepdims=1))


@model("reduce-sum-input-13", shape=(3, 4, 3), opset=13)
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4, kernel=1))
    return g.head(g.op("ReduceSum", x, g.const([-1, 1]), keepdims=0))


# Shapes.


@model("reshape-zero", shape=(3, 4, 4))
def _(g, x):
    x = g.op("Reshape", g.op("Relu", x), g.const([0, 0, -1]))
    x = g.op("Softmax", x, axis=-1)
    return g.linear(g.op("Reshape", x, g.const([0, -1])))


@model("reshape-minus-one-batch", shape=(3, 4, 4))
def _(g, x):
    return g.linear(g.op("Reshape", g.op("Tanh", x), g.const([-1, 48])))


@model("reshape-computed", shape=(3, 4, 4))
def _(g, x):
    x = g.op("Tanh", x)
    rows = g.op("Gather", g.op("Shape", x), g.constant_node(np.int64(0)), axis=0)
    rows = g.op("Unsqueeze", rows, g.constant_node([0]))
    shape = g.op("Concat", rows, g.constant_node([-1]), axis=0)
    return g.linear(g.op("Reshape", x, shape))


@model("reshape-computed-product", shape=(3, 4, 4))
def _(g, x):
    # Height times width from Shape, as flatten(2) is sometimes written.
    x = g.op("Tanh", x)
    shape = g.op("Shape", x)
    front = g.op("Slice", shape, g.const([0]), g.const([2]))
    rest = g.op("Slice", shape, g.const([2]), g.const([INT64_MAX]))
    rest = g.op("ReduceProd", rest, axes=[0], keepdims=1)
    x = g.op("Reshape", x, g.op("Concat", front, rest, axis=0))
    return g.head(g.op("Softmax", x, axis=2))


@model("flatten-axis-1", shape=(3, 4, 4))
def _(g, x):
    return g.linear(g.op("Flatten", g.op("Tanh", x)))


@model("flatten-axis-2", shape=(3, 4, 4))
def _(g, x):
    x = g.op("Tanh", g.linear(g.op("Flatten", x, axis=2), 4))
    return g.linear(g.op("Reshape", x, g.const([-1, 12])))


def squeezed(g, x, squeeze, unsqueeze):
    x = g.op("GlobalAveragePool", g.op("Tanh", g.conv(x, 3, 4)))
    x = g.op("Softmax", squeeze(x, [2, 3]), axis=1)
    x = unsqueeze(x, [1, -1])
    return g.head(g.op("Mul", x, g.normal(4, 2)))


@model("squeeze-unsqueeze-attribute", shape=(3, 5, 4), opset=11)
def _(g, x):
    return squeezed(
        g, x,
        lambda v, axes: g.op("Squeeze", v, axes=axes),
        lambda v, axes: g.op("Unsqueeze", v, axes=axes),
    )


@model("squeeze-unsqueeze-input", shape=(3, 5, 4), opset=13)
def _(g, x):
    return squeezed(
        g, x,
        lambda v, axes: g.op("Squeeze", v, g.const(axes)),
        lambda v, axes: g.op("Unsqueeze", v, g.const(axes)),
    )


@model("transpose", shape=(3, 4, 5))
def _(g, x):
    x = g.op("Transpose", x, perm=[0, 2, 3, 1])
    x = g.op("Add", g.op("MatMul", x, g.normal(3, 4)), g.normal(4))
    x = g.op("Transpose", g.op("Relu", x), perm=[0, 3, 1, 2])
    return g.head(g.conv(x, 4, 2))


def sliced(g, x, starts, ends, axes, steps=None):
    more = [g.const(steps)] if steps else []
    return g.op("Slice", x, g.const(starts), g.const(ends), g.const(axes), *more)


@model("slice-negative", shape=(3, 5, 5))
def _(g, x):
    x = sliced(g, g.op("Tanh", x), [-3, 1], [INT64_MAX, -1], [2, -1])
    return g.head(x)


@model("slice-reverse", shape=(3, 4, 5))
def _(g, x):
    return g.head(sliced(g, g.op("Tanh", x), [-1], [INT64_MIN], [3], [-1]))


@model("slice-step-2", shape=(3, 4, 6))
def _(g, x):
    corners = [
        sliced(g, x, [i, j], [INT64_MAX, INT64_MAX], [2, 3], [2, 2])
        for i in (0, 1) for j in (0, 1)
    ]
    x = g.op("Concat", *corners, axis=1)
    return g.head(g.op("Relu", g.conv(x, 12, 3, kernel=1)))


@model("slice-attributes", shape=(3, 5, 5), opset=9)
def _(g, x):
    x = g.op("Slice", g.op("Tanh", x), axes=[1, 3], starts=[1, -4], ends=[INT64_MAX, -1])
    return g.head(x)


def joined(g, parts):
    first, second, third = parts
    x = g.op("Concat", g.op("Tanh", first), g.op("Relu", third), axis=1)
    return g.head(g.op("Mul", x, g.op("Sigmoid", second)))


@model("split-equal", shape=(3, 4, 3))
def _(g, x):
    return joined(g, g.op("Split", x, axis=1, outputs=3))


@model("split-num-outputs", shape=(3, 4, 3), opset=18)
def _(g, x):
    return joined(g, g.op("Split", x, axis=1, outputs=3, num_outputs=3))


@model("split-sizes", shape=(3, 4, 4))
def _(g, x):
    x = g.conv(x, 3, 5, kernel=1)
    return joined(g, g.op("Split", x, g.const([2, 1, 2]), axis=1, outputs=3))


@model("split-attribute", shape=(3, 4, 4), opset=11)
def _(g, x):
    x = g.conv(x, 3, 5, kernel=1)
    return joined(g, g.op("Split", x, split=[2, 1, 2], axis=1, outputs=3))


@model("concat-axis-1", shape=(3, 4, 4))
def _(g, x):
    x = g.op("Concat", g.op("Relu", x), g.op("Sin", x), x, axis=1)
    return g.head(g.op("Relu", g.conv(x, 9, 3, strides=[1, 1])))


@model("concat-last-axis", shape=(3, 4, 3))
def _(g, x):
    return g.head(g.op("Concat", g.op("Relu", x), g.op("Sin", x), axis=-1))


@model("gather-scalar", shape=(3, 4, 6))
def _(g, x):
    t = g.op("Tanh", tokens(g, x))
    return g.linear(g.op("Gather", t, g.const(np.int64(0)), axis=1))


@model("gather-scalar-negative", shape=(3, 4, 6))
def _(g, x):
    t = g.op("Tanh", tokens(g, x))
    return g.linear(g.op("Gather", t, g.const(np.int64(-2)), axis=1))


@model("gather-vector", shape=(3, 4, 4))
def _(g, x):
    # One channel twice, so that its gradient is a sum.
    x = g.op("Gather", x, g.const([2, 0, 2, 1]), axis=1)
    return g.head(g.op("Relu", g.conv(x, 4, 3)))


@model("gather-table", shape=(3, 4, 6))
def _(g, x):
    # A position table looked up by constant indices, as in windowed attention.
    index = g.const(g.rng.integers(0, 7, size=(6, 6)))
    bias = g.op("Gather", g.normal(7, 2), index, axis=0)
    bias = g.op("Unsqueeze", g.op("Transpose", bias, perm=[2, 0, 1]), g.const([0]))
    return g.head(attention(g, tokens(g, x), lambda s: g.op("Add", s, bias)))


def batch_of(g, x):
    """The number of rows, as a vector of one."""
    rows = g.op("Gather", g.op("Shape", x), g.const(np.int64(0)), axis=0)
    return g.op("Unsqueeze", rows, g.const([0]))


@model("gather-elements", shape=(3, 4, 4))
def _(g, x):
    # The indices are constant but for the batch axis.
    index = g.const(g.rng.integers(-4, 4, size=(1, 3, 4, 5)))
    shape = g.op("Concat", batch_of(g, x), g.const([3, 4, 5]), axis=0)
    index = g.op("Expand", index, shape)
    return g.head(g.op("GatherElements", g.op("Tanh", x), index, axis=3))


@model("expand", shape=(3, 4, 5))
def _(g, x):
    mean = g.op("ReduceMean", g.op("Tanh", x), axes=[3], keepdims=1)
    wide = g.op("Expand", mean, g.const([1, 1, 1, 5]))
    return g.head(g.op("Mul", wide, x))


@model("expand-class-token", shape=(3, 4, 6))
def _(g, x):
    t = tokens(g, x)
    shape = g.op("Concat", batch_of(g, t), g.const([-1, -1]), axis=0)
    # How expand(n, -1, -1) is exported: where the size is -1, use 1.
    ones = g.op(
        "ConstantOfShape", g.const([3]),
        value=helper.make_tensor("value", TensorProto.INT64, [1], [1]),
    )
    unknown = g.op("Equal", shape, g.op("Mul", ones, g.const(np.int64(-1))))
    token = g.op("Expand", g.normal(1, 1, 6), g.op("Where", unknown, ones, shape))
    t = g.op("Add", g.op("Concat", token, t, axis=1), g.normal(1, 7, 6, scale=0.3))
    t = g.op("Add", t, attention(g, t))
    return g.linear(g.op("Gather", t, g.const(np.int64(0)), axis=1))


@model("tile", shape=(3, 2, 3))
def _(g, x):
    return g.head(g.op("Tile", g.op("Tanh", x), g.const([1, 1, 2, 3])))


PADS = [0, 0, 1, 2, 0, 0, 2, 1]

for name, mode, more in [
    ("constant", None, []), ("constant-value", "constant", [np.float32(0.7)]),
    ("reflect", "reflect", []), ("edge", "edge", []),
]:

    @model("pad-" + name, shape=(3, 4, 4))
    def _(g, x, mode=mode, more=more):
        attributes = {"mode": mode} if mode else {}
        x = g.op("Pad", x, g.const(PADS), *map(g.const, more), **attributes)
        return g.head(g.op("Relu", g.conv(x, 3, 3, strides=[2, 2])))


@model("pad-attributes", shape=(3, 4, 4), opset=10)
def _(g, x):
    x = g.op("Pad", x, pads=PADS, mode="constant", value=0.7)
    return g.head(g.op("Relu", g.conv(x, 3, 3, strides=[2, 2])))


@model("pad-negative", shape=(3, 5, 5))
def _(g, x):
    return g.head(g.op("Pad", g.op("Tanh", x), g.const([0, 0, -1, 1, 0, 0, 0, -2])))


def resized(**attributes):
    def build(g, x):
        scales = g.const([1.0, 1.0, 2.0, 2.0])
        x = g.op("Resize", g.op("Tanh", x), "", scales, **attributes)
        return g.head(g.op("Relu", g.conv(x, 3, 3, strides=[2, 2])))

    return build


for name, attributes in [
    ("nearest", dict(mode="nearest", coordinate_transformation_mode="asymmetric",
                     nearest_mode="floor")),
    ("nearest-default", {}),
    ("linear-half-pixel", dict(mode="linear",
                               coordinate_transformation_mode="half_pixel")),
    ("linear-align-corners", dict(mode="linear",
                                  coordinate_transformation_mode="align_corners")),
]:
    model("resize-" + name, shape=(3, 4, 3))(resized(**attributes))


@model("resize-sizes", shape=(3, 4, 3))
def _(g, x):
    # Sizes with the batch and channels taken from Shape; not a whole scale.
    front = g.op("Slice", g.op("Shape", x), g.const([0]), g.const([2]), g.const([0]))
    sizes = g.op("Concat", front, g.const([6, 7]), axis=0)
    x = g.op(
        "Resize", g.op("Tanh", x), "", "", sizes,
        mode="linear", coordinate_transformation_mode="half_pixel",
    )
    return g.head(g.op("Relu", g.conv(x, 3, 3, strides=[2, 2])))


@model("depth-to-space-dcr", shape=(8, 2, 3))
def _(g, x):
    x = g.op("DepthToSpace", x, blocksize=2)
    return g.head(g.op("Relu", g.conv(x, 2, 3)))


@model("depth-to-space-crd", shape=(8, 2, 3))
def _(g, x):
    x = g.op("DepthToSpace", x, blocksize=2, mode="CRD")
    return g.head(g.op("Relu", g.conv(x, 2, 3)))


@model("space-to-depth", shape=(2, 4, 6))
def _(g, x):
    x = g.op("SpaceToDepth", x, blocksize=2)
    return g.head(g.op("Relu", g.conv(x, 8, 3, kernel=1)))


@model("identity-dropout", shape=(3, 4, 4))
def _(g, x):
    x = g.op("Identity", g.op("Relu", g.conv(x, 3, 4)))
    x = g.op("Dropout", x, g.const(np.float32(0.5)))
    return g.linear(g.op("Dropout", g.op("Flatten", x)))


@model("dropout-attribute", shape=(3, 4, 4), opset=11)
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4))
    x, _mask = g.op("Dropout", x, ratio=0.5, outputs=2)
    return g.head(x)


@model("cast", shape=(3, 4, 4))
def _(g, x):
    x = g.op("Cast", g.op("Tanh", x), to=TensorProto.FLOAT)
    return g.head(g.op("Cast", g.op("Relu", x), to=TensorProto.FLOAT))


@model("cumsum", shape=(3, 4, 3))
def _(g, x):
    x = g.op("CumSum", x, g.const(np.int64(2)))
    x = g.op("CumSum", g.op("Tanh", x), g.const(np.int64(-1)), exclusive=1, reverse=1)
    return g.head(x)


@model("trilu", shape=(3, 4, 4))
def _(g, x):
    lower = g.op("Trilu", x, upper=0)
    upper = g.op("Trilu", g.op("Tanh", x), g.const(np.int64(1)))
    return g.head(g.op("Sub", lower, upper))


@model("constant-of-shape", shape=(3, 4, 4))
def _(g, x):
    full = g.op(
        "ConstantOfShape", g.op("Shape", x),
        value=helper.make_tensor("value", TensorProto.FLOAT, [1], [1.5]),
    )
    return g.head(g.op("Mul", g.op("Tanh", x), full))


@model("mask-from-shape", shape=(3, 4, 6))
def _(g, x):
    # A causal mask computed from the number of tokens.
    t = tokens(g, x)
    count = g.op("Gather", g.op("Shape", t), g.const(np.int64(1)), axis=0)
    place = g.op("Range", g.const(np.int64(0)), count, g.const(np.int64(1)))
    query = g.op("Unsqueeze", place, g.const([1]))
    key = g.op("Unsqueeze", place, g.const([0]))
    later = g.op("Less", query, key)

    def mask(scores):
        return g.op("Where", later, g.const(np.float32(-1e9)), scores)

    return g.head(attention(g, t, mask))


@model("mask-equal", shape=(3, 4, 6))
def _(g, x):
    # The diagonal, from Range and Equal, as a mask on the tokens.
    t = tokens(g, x)
    count = g.op("Gather", g.op("Shape", t), g.const(np.int64(1)), axis=0)
    place = g.op("Range", g.const(np.int64(0)), count, g.const(np.int64(1)))
    same = g.op("Equal", g.op("Unsqueeze", place, g.const([1])), place)
    return g.head(g.op("Where", same, t, g.op("Tanh", t)))


# Habits of exporters.


@model("squeeze-excite", shape=(3, 5, 4))
def _(g, x):
    x = g.op("HardSwish", g.conv(x, 3, 4, pads=[1, 1, 1, 1]))
    gate = g.op("ReduceMean", x, axes=[2, 3], keepdims=1)
    gate = g.op("Relu", g.conv(gate, 4, 2, kernel=1))
    gate = g.op("HardSigmoid", g.conv(gate, 2, 4, kernel=1), alpha=1 / 6, beta=0.5)
    return g.pooled_head(g.op("Mul", x, gate))


@model("weights-in-constant-nodes", shape=(3, 5, 4))
def _(g, x):
    weight = g.constant_node(g.rng.normal(size=(4, 3, 3, 3)) * 0.3)
    bias = g.constant_node(g.rng.normal(size=4) * 0.3)
    x = g.op("Relu", g.op("Conv", x, weight, bias, kernel_shape=[3, 3]))
    x = g.op("Flatten", x)
    weight = g.constant_node(g.rng.normal(size=(CLASSES, 24)) * 0.4)
    return g.op("Gemm", x, weight, g.constant_node(np.zeros(CLASSES)), transB=1)


@model("weights-shared-by-identity", shape=(4, 5, 4))
def _(g, x):
    # Two layers with equal weights: the second reads them through Identity.
    weight, bias = g.weight(4, 4, 3, 3), g.normal(4, scale=0.3)
    x = g.op("Relu", g.op("Conv", x, weight, bias, pads=[1, 1, 1, 1]))
    again = [g.op("Identity", weight), g.op("Identity", bias)]
    x = g.op("Relu", g.op("Conv", x, *again, pads=[1, 1, 1, 1]))
    return g.pooled_head(x)


@model("weights-among-inputs", shape=(3, 5, 4), after="inputs")
def _(g, x):
    # Older exporters list every initializer as a graph input too.
    return g.pooled_head(g.op("Relu", g.conv(x, 3, 4)))


@model("weights-as-float-data", shape=(3, 5, 4), after="float_data")
def _(g, x):
    # Weights in float_data and int64_data and not in raw_data.
    x = g.op("Relu", g.conv(x, 3, 4))
    return g.linear(g.op("Reshape", x, g.const([0, -1])))


@model("nodes-without-names", shape=(3, 5, 4), after="unnamed")
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4))
    return g.pooled_head(x)


@model("names-with-punctuation", shape=(3, 5, 4), after="punctuation")
def _(g, x):
    x = g.op("Relu", g.conv(x, 3, 4))
    return g.pooled_head(x)


@model("names-that-differ-in-punctuation", shape=(3, 5, 4))
def _(g, x):
    for name in ["w.a", "w_a", "W_a"]:
        weight = g.rng.normal(size=(3, 1, 1)).astype(np.float32)
        g.initializers.append(numpy_helper.from_array(weight, name))
    a = g.op("Mul", x, "w.a", name="h.1")
    b = g.op("Tanh", g.op("Mul", x, "w_a", name="h_1"))
    c = g.op("Sigmoid", g.op("Mul", x, "W_a", name="H_1"))
    return g.head(g.op("Add", g.op("Mul", a, b), c))


@model("channels-last-input", shape=(5, 4, 3), optional=True)
def _(g, x):
    # As converted from TensorFlow: the input is [N, H, W, C].
    x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    return g.head(g.op("Relu", g.conv(x, 3, 4)))


@model("unused-node", shape=(3, 5, 4))
def _(g, x):
    x = g.conv(x, 3, 4)
    g.op("Tanh", x)
    return g.pooled_head(g.op("Relu", x))


@model("external-data", shape=(3, 5, 4), after="external")
def _(g, x):
    # Weights of more than a few bytes are in weights.bin beside the model.
    return g.head(g.op("Relu", g.conv(x, 3, 4)))


def apply_after(made, after):
    """What a builder cannot say about the model's form."""
    graph = made.graph
    if after == "inputs":
        for t in graph.initializer:
            graph.input.append(
                helper.make_tensor_value_info(t.name, t.data_type, list(t.dims))
            )
    elif after == "float_data":
        for t in graph.initializer:
            values = numpy_helper.to_array(t).ravel().tolist()
            t.CopyFrom(helper.make_tensor(t.name, t.data_type, list(t.dims), values))
    elif after == "unnamed":
        for node in graph.node:
            node.name = ""
    elif after == "punctuation":
        for node in graph.node:
            node.name = f"/features/0/{node.name}"
            for field in (node.input, node.output):
                for k, name in enumerate(field):
                    field[k] = f"/model.0/{name}:0"
        for named in [*graph.initializer, *graph.input, *graph.output]:
            named.name = f"/model.0/{named.name}:0"


def input_for(name, attempt, shape, low=None):
    rng = np.random.default_rng([zlib.crc32(name.encode()), attempt, 1])
    size = (2,) + tuple(shape)
    if low is None:
        return rng.normal(size=size).astype(np.float32)
    return rng.uniform(low, low + 1, size=size).astype(np.float32)


def search(name, make):
    """The first seed whose numbers are good."""
    for attempt in range(200):
        try:
            return make(attempt)
        except Rejected:
            pass
    raise SystemExit(f"{name}: no seed is good")


def write_operators(out, index, only=None):
    for name, build, shape, opset, optional, low, options in MODELS:
        if only and name not in only:
            continue
        folder = out / "operators" / name
        folder.mkdir(parents=True, exist_ok=True)
        after = options.get("after")

        def make(attempt):
            g = Graph([zlib.crc32(name.encode()), attempt, 0], shape, opset)
            made = g.finish(build(g, g.x))
            apply_after(made, after)
            onnx.checker.check_model(made, full_check=True)
            return made, numbers(made, input_for(name, attempt, shape, low))

        made, found = search(name, make)
        path = folder / "model.onnx"
        if after == "external":
            (folder / "weights.bin").unlink(missing_ok=True)
            onnx.save_model(
                made, path, save_as_external_data=True, location="weights.bin",
                size_threshold=64,
            )
            onnx.checker.check_model(path)
            ort = session(None, path)
            again = ort.run(None, {made.graph.input[0].name: found["input"]})[0]
            assert np.array_equal(again, found["logits"])
        else:
            save_bytes(path, made)
        save_numbers(f"{folder}/", found)
        index.append(
            index_line(f"operators/{name}/model.onnx", made, "onnxruntime", optional)
        )
        print(name, flush=True)


# --- bad and odd models ------------------------------------------------------

BAD_SHAPE = (3, 5, 4)


def plain(g, x=None):
    """A convolution, Relu, pooling and a linear layer."""
    return g.pooled_head(g.op("Relu", g.conv(x or g.x, 3, 4)))


def bad_graph(name, attempt=0, shape=BAD_SHAPE, **options):
    return Graph([zlib.crc32(name.encode()), attempt, 0], shape, **options)


def odd_batch1(g):
    return g.finish(plain(g))


def odd_batch1_reshape(g):
    x = g.op("Relu", g.conv(g.x, 3, 4))
    return g.finish(g.linear(g.op("Reshape", x, g.const([1, -1]))))


def odd_two_outputs(g):
    x = g.op("Relu", g.conv(g.x, 3, 4))
    features = g.op("Flatten", g.op("GlobalAveragePool", x), name="features")
    made = g.finish(g.linear(features))
    made.graph.output.append(
        helper.make_tensor_value_info(features, TensorProto.FLOAT, ("N", 4))
    )
    return made


def odd_softmax_end(g):
    return g.finish(g.op("Softmax", plain(g), axis=1))


def odd_overflow(g):
    # exp(exp(10 x)) is infinite in float32 from x = 0.449 on.
    big = g.op("Exp", g.op("Exp", g.op("Mul", g.x, g.const(np.float32(10)))))
    big = g.linear(g.op("Flatten", g.op("GlobalAveragePool", big)))
    return g.finish(g.op("Add", plain(g), g.op("Mul", big, g.const(np.float32(0.1)))))


def odd_constant_output(g):
    # The input gives the number of rows and nothing else.
    shape = g.op("Concat", batch_of(g, g.x), g.const([CLASSES]), axis=0)
    return g.finish(g.op("Expand", g.normal(1, CLASSES), shape))


def odd_constant_output_zero(g):
    # The input reaches the logits, times zero.
    return g.finish(plain(g, g.op("Mul", g.x, g.const(np.float32(0)))))


def odd_if(g):
    # Which branch runs depends on the number of channels only.
    x = g.conv(g.x, 3, 4)
    channels = g.op("Gather", g.op("Shape", x), g.const(np.int64(1)), axis=0)
    test = g.op("Equal", channels, g.const(np.int64(4)))
    branches = {}
    for branch, kind in (("then_branch", "Relu"), ("else_branch", "Tanh")):
        node = helper.make_node(kind, [x], [branch + "_out"], name=f"{branch}_{kind}")
        result = helper.make_tensor_value_info(branch + "_out", TensorProto.FLOAT, None)
        branches[branch] = helper.make_graph([node], branch, [], [result])
    return g.finish(g.pooled_head(g.op("If", test, name="choice", **branches)))


def odd_dynamic_size(g):
    made = g.finish(plain(g))
    dims = made.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_param, dims[3].dim_param = "H", "W"
    return made


def retyped(g, kind, dtype):
    made = g.finish(plain(g))
    for t in made.graph.initializer:
        if t.data_type == TensorProto.FLOAT:
            t.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(t).astype(dtype), t.name)
            )
    for info in [*made.graph.input, *made.graph.output]:
        info.type.tensor_type.elem_type = kind
    return made


def odd_float16(g):
    return retyped(g, TensorProto.FLOAT16, np.float16)


def odd_double(g):
    return retyped(g, TensorProto.DOUBLE, np.float64)


ODD = [
    # name, builder, what Graph is told, input kind, how it is run
    ("batch1", odd_batch1, dict(batch=1), None, "onnxruntime"),
    ("batch1-reshape", odd_batch1_reshape, dict(batch=1), None, "onnxruntime"),
    ("two-outputs", odd_two_outputs, {}, None, "onnxruntime"),
    ("softmax-end", odd_softmax_end, {}, None, "onnxruntime"),
    ("overflow", odd_overflow, {}, -0.85, "onnxruntime"),
    ("constant-output", odd_constant_output, {}, None, "onnxruntime"),
    ("constant-output-zero", odd_constant_output_zero, {}, None, "onnxruntime"),
    ("if", odd_if, {}, None, "onnxruntime"),
    ("dynamic-size", odd_dynamic_size, {}, None, "onnxruntime"),
    ("float16", odd_float16, {}, None, "onnxruntime"),
    ("double", odd_double, {}, None, "onnx.reference"),
]


def write_odd(folder, index):
    """Valid models that a tool may refuse or must take care with."""
    for name, build, options, low, runner in ODD:

        def make(attempt):
            made = build(bad_graph(name, attempt, **options))
            onnx.checker.check_model(made, full_check=True)
            x = input_for(name, attempt, BAD_SHAPE, low)
            if name == "float16":
                x = x.astype(np.float16)
            elif name == "double":
                x = x.astype(np.float64)
            flat = name.startswith("constant-output")
            return made, numbers(made, x, flat=flat, runner=runner)

        made, found = search(name, make)
        save_bytes(folder / f"{name}.onnx", made)
        save_numbers(folder / f"{name}.", found)
        index.append(index_line(f"bad/{name}.onnx", made, runner))
        if name == "overflow":
            large = (found["input"] + np.float32(1.5)).astype(np.float32)
            logits = session(made).run(None, {made.graph.input[0].name: large})[0]
            assert not np.isfinite(logits).any(axis=1).any()
            np.save(folder / "overflow.large-input.npy", large)
        print("bad", name, flush=True)


def quantized():
    """QuantizeLinear, QLinearConv and DequantizeLinear; int8 weights."""
    g = bad_graph("int8-quantized")
    x_scale, x_zero = g.const(np.float32(0.03)), g.const(np.uint8(128))
    x = g.op("QuantizeLinear", g.x, x_scale, x_zero)
    weight = g.const(g.rng.integers(-127, 128, size=(4, 3, 3, 3)).astype(np.int8))
    w_scale, w_zero = g.const(np.full(4, 0.004)), g.const(np.zeros(4, np.int8))
    y_scale, y_zero = g.const(np.float32(0.02)), g.const(np.uint8(100))
    bias = g.const(g.rng.integers(-900, 900, size=4).astype(np.int32))
    x = g.op(
        "QLinearConv", x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero,
        bias, kernel_shape=[3, 3],
    )
    x = g.op("Flatten", g.op("Relu", g.op("DequantizeLinear", x, y_scale, y_zero)))
    matrix = g.const(g.rng.integers(-127, 128, size=(CLASSES, 24)).astype(np.int8))
    matrix = g.op("DequantizeLinear", matrix, g.const(np.float32(0.004)))
    return g.finish(g.op("Gemm", x, matrix, g.normal(CLASSES), transB=1))


def unsupported():
    g = bad_graph("unsupported", shape=(3, 4, 4))
    logits = plain(g)
    shape = g.const([-1, 1])
    det = g.op("Reshape", g.op("ReduceMean", g.op("Det", g.x, name="odd_det"), axes=[1]),
               shape)
    values = g.op("Unique", g.op("Reshape", g.x, g.const([-1])), name="odd_unique")
    largest = g.op("ReduceMax", values)
    g.op("NonMaxSuppression", g.normal(1, 4, 4), g.normal(1, 1, 4), name="odd_boxes")
    logits = g.op("Add", g.op("Add", logits, det), largest)
    mystery = g.op(
        "Mystery", logits, domain="com.example", name="odd_mystery", strength=0.5
    )
    return g.finish(mystery)


def two_inputs():
    g = bad_graph("two-inputs")
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N",) + BAD_SHAPE)
        for name in ("image", "mask")
    ]
    masked = g.op("Mul", "image", "mask")
    y = g.op("GlobalAveragePool", g.op("Relu", g.op("Conv", masked, g.weight(4, 3, 3, 3))))
    g.op("Gemm", g.op("Flatten", y), g.normal(4, CLASSES), g.normal(CLASSES))
    g.nodes[-1].output[0] = "logits"
    return g.model([("logits", TensorProto.FLOAT, ("N", CLASSES))], inputs=infos)


def int_input():
    g = bad_graph("int-input", shape=(6,), input_name="words")
    words = [helper.make_tensor_value_info("words", TensorProto.INT64, ("N", 6))]
    x = g.op("Gather", g.normal(20, 4), "words", axis=0)
    x = g.op("ReduceMean", x, axes=[1], keepdims=0)
    g.op("Gemm", x, g.normal(4, CLASSES), g.normal(CLASSES))
    g.nodes[-1].output[0] = "logits"
    return g.model([("logits", TensorProto.FLOAT, ("N", CLASSES))], inputs=words)


def with_weight_value(name, value):
    g = bad_graph(name)
    made = g.finish(plain(g))
    first = made.graph.initializer[0]
    array = numpy_helper.to_array(first).copy()
    array[1, 2, 0, 1] = value
    first.CopyFrom(numpy_helper.from_array(array, first.name))
    return made


def training_dropout():
    g = bad_graph("training-dropout")
    x = g.op("Relu", g.conv(g.x, 3, 4))
    x = g.op(
        "Dropout", x, g.const(np.float32(0.5)), g.const(np.bool_(True)), name="drop"
    )
    return g.finish(g.pooled_head(x))


def training_bn():
    g = bad_graph("training-bn")
    x = g.conv(g.x, 3, 4)
    x, _mean, _variance = g.op(
        "BatchNormalization", x, g.positive(4), g.normal(4), g.normal(4), g.positive(4),
        training_mode=1, outputs=3, name="norm",
    )
    return g.finish(g.pooled_head(g.op("Relu", x)))


def external(name, location):
    """A model whose first weights are in a file that is not written."""
    g = bad_graph(name)
    made = g.finish(plain(g))
    first = made.graph.initializer[0]
    size = len(first.raw_data)
    first.ClearField("raw_data")
    first.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
        entry = first.external_data.add()
        entry.key, entry.value = key, value
    return made


def dangling():
    g = bad_graph("dangling")
    made = g.finish(plain(g))
    relu = next(n for n in made.graph.node if n.op_type == "Relu")
    relu.input[0] = "nobody_makes_this"
    return made


def no_output():
    g = bad_graph("no-output")
    made = g.finish(plain(g))
    made.graph.ClearField("output")
    return made


def write_bad(folder, index):
    folder.mkdir(parents=True, exist_ok=True)
    base = bad_graph("base")
    base = base.finish(plain(base)).SerializeToString(deterministic=True)
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "truncated.onnx").write_bytes(base[: len(base) * 6 // 10])
    picture = io.BytesIO()
    drawing().resize((16, 12)).save(picture, "PNG")
    (folder / "not-onnx.onnx").write_bytes(picture.getvalue())
    (folder / "text.onnx").write_text("This is a text, not a model.\n" * 8)
    (folder / "garbage.onnx").write_bytes(
        np.random.default_rng(7).integers(0, 256, 600, dtype=np.uint8).tobytes()
    )

    # Name, model, whether the checker accepts it, whether onnxruntime loads it.
    for name, made, checks, loads in [
        ("unsupported", unsupported(), True, False),
        ("two-inputs", two_inputs(), True, True),
        ("int-input", int_input(), True, True),
        ("nan-weights", with_weight_value("nan-weights", np.nan), True, True),
        ("inf-weights", with_weight_value("inf-weights", np.inf), True, True),
        ("external-missing", external("external-missing", "missing.bin"), False, False),
        ("external-outside", external("external-outside", "../missing.bin"), False, False),
        ("training-dropout", training_dropout(), True, True),
        ("training-bn", training_bn(), True, True),
        ("dangling", dangling(), False, False),
        ("no-output", no_output(), None, None),
        ("int8-quantized", quantized(), True, True),
    ]:
        path = folder / f"{name}.onnx"
        save_bytes(path, made)
        for expected, check in [
            (checks, lambda: onnx.checker.check_model(path, full_check=True)),
            (loads, lambda: session(None, path)),
        ]:
            try:
                check()
                happened = True
            except Exception as error:  # each library raises its own kinds
                happened = False
                reason = error
            if expected is not None and happened != expected:
                raise SystemExit(f"{name}: {reason if expected else 'was accepted'}")
        index.append(index_line(f"bad/{name}.onnx", made, ""))
        print("bad", name, flush=True)

    # The quantized model is flat between steps, so it has logits only.
    x = input_for("int8-quantized", 0, BAD_SHAPE)
    logits = session(quantized()).run(None, {"image": x})[0]
    np.save(folder / "int8-quantized.input.npy", x)
    np.save(folder / "int8-quantized.logits.npy", logits)
    write_odd(folder, index)


# --- pictures ----------------------------------------------------------------


def drawing(width=64, height=48, shift=0):
    """A gradient with a disc, a box and a line: no symmetry is left."""
    across = np.linspace(0, 1, width)[None, :]
    down = np.linspace(0, 1, height)[:, None]
    rgb = np.stack(
        [
            across * 200 + 0 * down + 20,
            down * 180 + 0 * across + 30,
            (1 - across) * down * 160 + 40,
        ],
        axis=-1,
    )
    picture = Image.fromarray(np.round(rgb).astype(np.uint8), "RGB")
    pen = ImageDraw.Draw(picture)
    pen.ellipse([8 + shift, 6, 24 + shift, 22], fill=(230, 60, 40))
    pen.rectangle([40, 26 - shift // 2, 56, 40 - shift // 2], fill=(30, 200, 90))
    pen.line([4, 44, 36, 30], fill=(250, 240, 60), width=2)
    return picture


def write_pictures(folder):
    folder.mkdir(parents=True, exist_ok=True)
    rgb = drawing()
    rgb.save(folder / "rgb.png", optimize=True)
    rgb.convert("L").save(folder / "grey.png", optimize=True)

    # Sixteen bits whose low bytes matter.
    grey = np.asarray(rgb.convert("L")).astype(np.uint32)
    ramp = np.arange(64, dtype=np.uint32)[None, :]
    deep = (grey * 256 + ramp * 4).astype(np.uint16)
    Image.fromarray(deep).save(folder / "grey16.png")

    # The picture is hidden outside a disc and half seen along its edge.
    y, x = np.mgrid[0:48, 0:64]
    distance = np.hypot(x - 32, y - 24)
    alpha = np.clip((24 - distance) / 6, 0, 1) * 255
    rgba = np.dstack([np.asarray(rgb), np.round(alpha).astype(np.uint8)])
    Image.fromarray(rgba, "RGBA").save(folder / "alpha.png", optimize=True)

    rgb.quantize(16, dither=Image.Dither.NONE).save(folder / "palette.png")
    rgb.save(folder / "rgb.jpg", quality=92, subsampling=0)

    # Orientation 6: a viewer turns the stored picture clockwise, and then it
    # is rgb.png again.
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.transpose(Image.Transpose.ROTATE_90).save(
        folder / "rgb-exif6.jpg", quality=92, subsampling=0, exif=exif
    )
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    rgb.save(folder / "rgb.webp", quality=90, method=4)
    rgb.save(folder / "lossless.webp", lossless=True, method=4)
    rgb.save(folder / "rgb.bmp")
    rgb.save(folder / "rgb.tiff", compression="tiff_lzw")
    frames = [drawing(shift=s).quantize(32, dither=Image.Dither.NONE) for s in (0, 12, 24)]
    frames[0].save(
        folder / "animated.gif", save_all=True, append_images=frames[1:],
        duration=100, loop=0,
    )
    for whole in ("rgb.jpg", "rgb.png"):
        data = (folder / whole).read_bytes()
        name = "truncated" + Path(whole).suffix
        (folder / name).write_bytes(data[: len(data) * 6 // 10])
    (folder / "not-a-picture.png").write_text("This is a text, not a picture.\n")
    Image.new("RGB", (1, 1), (200, 100, 50)).save(folder / "one-pixel.png")
    bands = np.zeros((4, 20000, 3), np.uint8)
    bands[:, :, 0] = (np.arange(20000) // 80).astype(np.uint8)
    bands[:, :, 1] = (np.arange(20000) // 2500 * 30).astype(np.uint8)
    bands[2:, :, 2] = 120
    Image.fromarray(bands, "RGB").save(folder / "wide.png", optimize=True)
    (folder / "empty.png").write_bytes(b"")


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = Path(sys.argv[1])
    index = ["path\topset\tlogits by\toptional\toperators"]
    if sys.argv[2:]:
        write_operators(out, index, only=sys.argv[2:])
        return
    write_pictures(out / "pictures")
    write_bad(out / "bad", index)
    write_operators(out, index)
    (out / "index.tsv").write_text("\n".join(index) + "\n")


if __name__ == "__main__":
    main()
