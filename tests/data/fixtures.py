"""Writes the small models and pictures of the tests.

    python fixtures.py OUT [NAME ...]

Needs onnx, onnxruntime, numpy and pillow. With names, the script writes only
the named operators, without the index. Otherwise it writes

    OUT/index.tsv               one line for each model: path, opset, source of
                                the logits, 'optional' or '', operators
    OUT/operators/NAME/         a tiny classifier for each operator or exporter
                                pattern: model.onnx and its reference data
    OUT/bad/                    files that are not models, models that cannot be
                                explained, and valid but unusual models; the
                                reference data of NAME.onnx is NAME.input.npy ...
    OUT/pictures/               small pictures in many formats

The reference data of a model is

    input.npy       float32 [2, ...]
    logits.npy      by onnxruntime without optimisations, or by the evaluator
                    below if index.tsv says so
    target.npy      int64 [2], the largest logit of each row
    gradient.npy    float32 [2, ...], d logits[i, target[i]] / d input[i]

The inputs and logits of float16.onnx and double.onnx have the type of the
model. The logits of double.onnx are computed by the evaluator below, because
onnxruntime has no float64 convolution.

Gradients are central differences of a float64 copy of the model. The copy is
run by the reference evaluator of the onnx package; operators that the evaluator
computes wrongly or in float32 are replaced. A seed is accepted only if

- two step sizes agree to 1e-6, and a third, 15 to 30 times as large, agrees to
  1e-4, so no kink is close to the input,
- the float64 logits agree with onnxruntime's,
- the target's logit is clearly the largest, and
- each row by itself has the same logits as in the batch of two.

Every model has its own seed, so a model can be added without changing others.
The output is reproducible byte by byte with the same package versions (the
committed files: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, pillow 13.0.0).
Other versions may round or compress differently.
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
from onnx.reference.ops.op_conv import _conv_implementation as convolve
from onnx.reference.ops.op_conv_transpose import ConvTranspose as OneGroupConvTranspose
from onnx.reference.ops.op_grid_sample import GridSample as ReferenceGridSample
from onnx.reference.ops.op_loop import Loop as ReferenceLoop
from onnx.reference.ops.op_roi_align import RoiAlign as ReferenceRoiAlign
from onnx.reference.ops.op_scatter_elements import (
    ScatterElements as ReferenceScatterElements,
)
from PIL import Image, ImageDraw

CLASSES = 5
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63) + 1  # the value that exporters write
MICROSOFT = "com.microsoft"

STEPS = (1e-5, 2e-5)
LONG_STEP = 3e-4


# --- building a graph --------------------------------------------------------


class Graph:
    """A graph under construction. Values are represented by their names."""

    def __init__(self, seed, shape, opset=17, batch="N", input_name="image",
                 runner="onnxruntime"):
        self.rng = np.random.default_rng(seed)
        self.opset = opset
        self.batch = batch
        self.shape = tuple(shape)
        self.nodes = []
        self.initializers = []
        self.x = input_name
        self.count = 0
        self.domains = {}
        self.runner = runner

    def fresh(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def const(self, array, stem="const"):
        """Adds an initializer, and returns its name. float64 becomes float32."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = self.fresh(stem)
        self.initializers.append(numpy_helper.from_array(np.array(array), name))
        return name

    def constant_node(self, array):
        """Adds a Constant node."""
        self.const(array)
        return self.op("Constant", value=self.initializers.pop())

    def weight(self, *shape, scale=None):
        """Normal weights, by default divided by the square root of the fan-in."""
        if scale is None:
            scale = 1.0 / np.sqrt(max(1, int(np.prod(shape[1:]))))
        return self.const(self.rng.normal(size=shape) * scale, "weight")

    def normal(self, *shape, scale=1.0):
        return self.const(self.rng.normal(size=shape) * scale, "weight")

    def positive(self, *shape):
        return self.const(self.rng.uniform(0.5, 1.5, size=shape), "weight")

    def op(self, kind, *inputs, outputs=1, name=None, domain="", **attributes):
        """Adds a node, and returns its output, or a list of several outputs.

        `outputs` is a number or a list of names; "" omits an optional output.
        """
        name = name or self.fresh(kind.lower())
        if isinstance(outputs, list):
            names = [word and f"{name}_{word}" for word in outputs]
        elif outputs == 1:
            names = [name + "_out"]
        else:
            names = [f"{name}_out{k}" for k in range(outputs)]
        node = helper.make_node(
            kind, list(inputs), names, name=name, domain=domain, **attributes
        )
        self.nodes.append(node)
        if domain:
            self.domains[domain] = 1
        return names[0] if outputs == 1 else [word for word in names if word]

    def conv(self, x, channels_in, channels_out, kernel=3, bias=True, **attributes):
        group = attributes.get("group", 1)
        inputs = [x, self.weight(channels_out, channels_in // group, kernel, kernel)]
        if bias:
            inputs.append(self.normal(channels_out, scale=0.3))
        attributes.setdefault("kernel_shape", [kernel, kernel])
        return self.op("Conv", *inputs, **attributes)

    def size(self, value):
        """The shape of a value, determined by running the graph built so far."""
        probe = self.model([(value, None, None)])
        one = np.ones((1,) + self.shape, np.float32)
        if self.runner != "onnxruntime":
            return Float64(probe)(one.astype(np.float64)).shape
        return session(probe).run(None, {self.x: one})[0].shape

    def linear(self, value, outputs=CLASSES, name=None):
        """A linear layer: Gemm with transB = 1, as exporters write it."""
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
        """Flatten and Gemm, with a weight for every element."""
        return self.linear(self.op("Flatten", value, axis=1))

    def pooled_head(self, value):
        """GlobalAveragePool, Flatten and Gemm."""
        return self.head(self.op("GlobalAveragePool", value))

    def model(self, outputs, kind=TensorProto.FLOAT, inputs=None):
        """The model. Outputs are tuples (name, type, shape)."""
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
        """The model with a single output named "logits"."""
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
    """An onnxruntime session on one thread, without optimisations."""
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


# Replacements of operators that the evaluator of the onnx package computes
# wrongly, incompletely or in float32. Like all others, their results are
# compared with onnxruntime's.


class Softmax(OpRun):
    """The definition before opset 13: the input is flattened at the axis."""

    def _run(self, x, axis=None):
        axis = 1 if axis is None else axis
        flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
        flat = np.exp(flat - flat.max(axis=1, keepdims=True))
        return ((flat / flat.sum(axis=1, keepdims=True)).reshape(x.shape),)


class Erf(OpRun):
    """In float64; the evaluator computes in float32."""

    def _run(self, x):
        return (np.vectorize(math.erf, otypes=[np.float64])(x),)


class Gelu(OpRun):
    def _run(self, x, approximate=None):
        if approximate == "tanh":
            inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
            return (0.5 * x * (1 + np.tanh(inner)),)
        return (0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),)


class GroupNormalization(OpRun):
    """The definition of opset 21, with a scale and a bias for each channel."""

    def _run(self, x, scale, bias, epsilon=None, num_groups=None, stash_type=None):
        groups = x.reshape(x.shape[0], num_groups, -1)
        groups = groups - groups.mean(axis=2, keepdims=True)
        variance = (groups**2).mean(axis=2, keepdims=True)
        epsilon = 1e-5 if epsilon is None else epsilon
        y = (groups / np.sqrt(variance + epsilon)).reshape(x.shape)
        channels = (-1,) + (1,) * (x.ndim - 2)
        return (y * scale.reshape(channels) + bias.reshape(channels),)


class LpNormalization(OpRun):
    """With the absolute value, which the evaluator omits for p = 1."""

    def _run(self, x, axis=None, p=None):
        axis = -1 if axis is None else axis
        p = 2 if p is None else p
        norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
        return (x / norm,)


class LRN(OpRun):
    """Over all channels; the evaluator covers only as many channels as rows."""

    def _run(self, x, alpha=None, beta=None, bias=None, size=None):
        total = np.zeros_like(x)
        for c in range(x.shape[1]):
            first = max(0, c - (size - 1) // 2)
            last = c + size // 2
            total[:, c] = (x[:, first : last + 1] ** 2).sum(axis=1)
        return (x / (bias + alpha / size * total) ** beta,)


class ConvTranspose(OpRun):
    """With groups, which the evaluator does not support."""

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
    """From opset 11 on, with negative pads, which crop."""

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


class LpPool(OpRun):
    """The sum over a window; the evaluator averages without the padding."""

    def _run(self, x, auto_pad=None, ceil_mode=None, dilations=None,
             kernel_shape=None, p=None, pads=None, strides=None):
        axes = len(kernel_shape)
        strides = strides or [1] * axes
        dilations = dilations or [1] * axes
        pads = pads or [0] * 2 * axes
        p = p or 2
        sizes, widths = [], [(0, 0), (0, 0)]
        for k in range(axes):
            reach = dilations[k] * (kernel_shape[k] - 1) + 1
            span = x.shape[2 + k] + pads[k] + pads[axes + k] - reach
            steps = -(-span // strides[k]) if ceil_mode else span // strides[k]
            sizes.append(steps + 1)
            widths.append((pads[k], pads[axes + k] + strides[k]))
        powers = np.pad(np.abs(x) ** p, widths)
        total = 0
        for offset in np.ndindex(*kernel_shape):
            total = total + powers[
                (..., *(
                    slice(o * d, o * d + s * (n - 1) + 1, s)
                    for o, d, s, n in zip(offset, dilations, strides, sizes)
                ))
            ]
        return (total ** (1 / p),)


class GlobalMaxPool(OpRun):
    """Over all spatial axes; the evaluator covers only the last two."""

    def _run(self, x):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class MaxUnpool(OpRun):
    """With indices into the output of the given shape."""

    def _run(self, x, places, shape=None, kernel_shape=None, pads=None, strides=None):
        if shape is None:
            steps = strides or [1] * len(kernel_shape)
            cut = np.reshape(pads or [0] * 2 * len(kernel_shape), (2, -1)).sum(axis=0)
            sizes = (np.array(x.shape[2:]) - 1) * steps + kernel_shape - cut
            shape = (*x.shape[:2], *sizes)
        y = np.zeros(int(np.prod(shape)))
        y[places.ravel()] = x.ravel()
        return (y.reshape(shape),)


class BatchNormalization(OpRun):
    """Before opset 14; the evaluator uses the mean and variance of the input."""

    def _run(self, x, scale, bias, mean, variance, epsilon=None, **_):
        wide = (-1,) + (1,) * (x.ndim - 2)
        root = np.sqrt(variance + epsilon).reshape(wide)
        y = (x - mean.reshape(wide)) / root * scale.reshape(wide)
        return (y + bias.reshape(wide),)


class MeanVarianceNormalization(OpRun):
    """In float64."""

    def _run(self, x, axes=None):
        axes = (0, 2, 3) if axes is None else tuple(axes)
        x = x - x.mean(axis=axes, keepdims=True)
        return (x / (np.sqrt((x**2).mean(axis=axes, keepdims=True)) + 1e-9),)


class RoiAlign(ReferenceRoiAlign):
    """Before opset 16, with its only coordinate transformation."""

    def _run(self, *inputs, **attributes):
        attributes["coordinate_transformation_mode"] = "output_half_pixel"
        return ReferenceRoiAlign._run(self, *inputs, **attributes)


class Loop(ReferenceLoop):
    """With an optional condition, and scan outputs stacked along a new axis."""

    def _run(self, count, goes_on, *states, context=None, **_):
        goes_on = np.bool_(True) if goes_on is None else goes_on
        slices = [[] for _ in range(self.K)]
        k = 0
        while goes_on and (count is None or k < count):
            values = dict(context or {})
            given = [np.array(k, np.int64), goes_on, *states]
            values.update(zip(self.body.input_names, given))
            goes_on, *made = self._run_body(values)
            states = made[: self.N]
            for kept, value in zip(slices, made[self.N :]):
                kept.append(value)
            k += 1
        return (*states, *(np.stack(kept) for kept in slices))


class Scan(OpRun):
    """Along any axis, in both directions."""

    def need_context(self):
        return True

    def _run(self, *inputs, context=None, body=None, num_scan_inputs=None,
             scan_input_axes=None, scan_input_directions=None, scan_output_axes=None,
             scan_output_directions=None, **_):
        count = len(inputs) - num_scan_inputs
        states, inputs = inputs[:count], inputs[count:]
        axes = scan_input_axes or [0] * len(inputs)
        inputs = [np.moveaxis(value, axis, 0) for value, axis in zip(inputs, axes)]
        for k, backwards in enumerate(scan_input_directions or []):
            inputs[k] = inputs[k][::-1] if backwards else inputs[k]
        slices = [[] for _ in self.body.output_names[count:]]
        for parts in zip(*inputs):
            values = dict(context or {})
            values.update(zip(self.body.input_names, [*states, *parts]))
            made = self._run_body(values)
            states = made[:count]
            for kept, value in zip(slices, made[count:]):
                kept.append(value)
        for k, backwards in enumerate(scan_output_directions or []):
            slices[k] = slices[k][::-1] if backwards else slices[k]
        axes = scan_output_axes or [0] * len(slices)
        return (*states, *(np.stack(kept, axis) for kept, axis in zip(slices, axes)))


class GlobalLpPool(OpRun):
    def _run(self, x, p=None):
        p = 2 if p is None else p
        axes = tuple(range(2, x.ndim))
        return ((np.abs(x) ** p).sum(axis=axes, keepdims=True) ** (1 / p),)


class GridSample(ReferenceGridSample):
    """With float64 coordinates, and the mode names before opset 20."""

    def _run(self, x, grid, mode=None, **attributes):
        mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
        return ReferenceGridSample._run(self, x, grid, mode=mode, **attributes)

    def _gs_denormalize_coordinates(self, n, dims, align_corners):
        return np.array(
            [self._gs_denormalize(v, d, align_corners) for v, d in zip(n, dims)]
        )


class AffineGrid(OpRun):
    """In float64."""

    def _run(self, theta, size, align_corners=None):
        places = []
        for length in size[2:]:
            if align_corners:
                places.append(np.linspace(-1, 1, length))
            else:
                places.append((2 * np.arange(length) + 1) / length - 1)
        grid = np.meshgrid(*places, indexing="ij")
        points = np.stack([*grid[::-1], np.ones_like(grid[0])], axis=-1)
        return (np.einsum("nij,...j->n...i", theta, points),)


class DeformConv(OpRun):
    """With float64 coordinates, for two spatial axes."""

    def _run(self, x, w, offset, b=None, mask=None, dilations=None, group=None,
             kernel_shape=None, offset_group=None, pads=None, strides=None):
        group, parts = group or 1, offset_group or 1
        rows, channels = x.shape[:2]
        kernel = w.shape[2:]
        strides, dilations = strides or [1, 1], dilations or [1, 1]
        pads = pads or [0, 0, 0, 0]
        out = offset.shape[2:]
        offset = offset.reshape(rows, parts, *kernel, 2, *out)
        mask = np.ones((rows, parts, *kernel, *out)) if mask is None else (
            mask.reshape(rows, parts, *kernel, *out)
        )
        taken = np.zeros((rows, channels, *kernel, *out))
        n = np.arange(rows)[:, None, None, None]
        c = np.arange(channels)[None, :, None, None]
        part = np.arange(channels) // (channels // parts)
        for i, j in np.ndindex(*kernel):
            place = []
            for k, at in enumerate((i, j)):
                start = np.arange(out[k]) * strides[k] - pads[k] + at * dilations[k]
                start = start.reshape((-1, 1) if k == 0 else (1, -1))
                place.append(start + offset[:, part, i, j, k])
            low = [np.floor(v).astype(int) for v in place]
            for corner in np.ndindex(2, 2):
                at = [v + d for v, d in zip(low, corner)]
                inside = np.ones(at[0].shape)
                for k in range(2):
                    inside = inside * (1 - np.abs(place[k] - at[k]))
                    inside = inside * ((at[k] >= 0) & (at[k] < x.shape[2 + k]))
                    at[k] = np.clip(at[k], 0, x.shape[2 + k] - 1)
                taken[:, :, i, j] += inside * x[n, c, at[0], at[1]]
            taken[:, :, i, j] *= mask[:, part, i, j]
        taken = taken.reshape(rows, group, channels // group, *kernel, *out)
        w = w.reshape(group, w.shape[0] // group, *w.shape[1:])
        y = np.einsum("ngcijhw,gocij->ngohw", taken, w)
        y = y.reshape(rows, -1, *out)
        return (y if b is None else y + b.reshape(-1, 1, 1),)


class Scatter(ReferenceScatterElements):
    """The old name of ScatterElements, which the evaluator lacks."""

    def _run(self, data, indices, updates, axis=None):
        axis = 0 if axis is None else axis
        return ReferenceScatterElements._run(self, data, indices, updates, axis=axis)


class Upsample(OpRun):
    """Nearest and linear; before opset 9 the scales are an attribute."""

    def _run(self, x, scales=None, mode=None):
        for axis, scale in enumerate(scales):
            length = x.shape[axis]
            place = np.arange(int(np.floor(length * scale))) / scale
            low = np.floor(place).astype(int)
            high = np.minimum(low + 1, length - 1)
            far = (place - low if mode == "linear" else 0 * place)
            far = far.reshape((-1,) + (1,) * (x.ndim - axis - 1))
            x = (1 - far) * x.take(low, axis) + far * x.take(high, axis)
        return (x,)


class Recurrent(OpRun):
    """RNN, GRU and LSTM with sequence lengths and all activations."""

    gates = 1
    states = 1
    usual = ["Tanh"]
    functions = {
        "tanh": np.tanh,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "relu": lambda v: np.maximum(v, 0),
    }

    def _run(self, x, w, r, b=None, lengths=None, *initial, activations=None,
             direction=None, hidden_size=None, layout=None, **attributes):
        peephole = initial[self.states] if len(initial) > self.states else None
        if layout:
            x = x.swapaxes(0, 1)
        steps, rows = x.shape[:2]
        ways = w.shape[0]
        if lengths is None:
            lengths = np.full(rows, steps)
        chosen = activations if activations else self.usual * ways
        y = np.zeros((steps, ways, rows, hidden_size))
        last = [np.zeros((ways, rows, hidden_size)) for _ in range(self.states)]
        for k, given in enumerate(initial[: self.states]):
            if given is not None:
                last[k][...] = given.swapaxes(0, 1) if layout else given
        for way in range(ways):
            backwards = direction == "reverse" or way == 1
            each = len(self.usual)
            names = chosen[way * each : (way + 1) * each]
            f = [self.functions[name.lower()] for name in names]
            bias = np.zeros((2, self.gates * hidden_size))
            if b is not None:
                bias = b[way].reshape(2, -1)
            p = np.zeros((3, hidden_size))
            if peephole is not None:
                p = peephole[way].reshape(3, -1)
            for step in range(steps)[:: -1 if backwards else 1]:
                state = [v[way] for v in last]
                after = self.step(
                    f, x[step] @ w[way].T + bias[0], r[way], bias[1], p, state,
                    attributes,
                )
                lives = (step < lengths)[:, None]
                for k in range(self.states):
                    last[k][way] = np.where(lives, after[k], state[k])
                y[step, way] = np.where(lives, after[0], 0)
        if layout:
            y = y.transpose(2, 0, 1, 3)
            last = [v.swapaxes(0, 1) for v in last]
        return tuple([y, *last][: len(self.onnx_node.output)])


class RNN(Recurrent):
    def step(self, f, x, r, b, p, state, attributes):
        return [f[0](x + state[0] @ r.T + b)]


class GRU(Recurrent):
    gates = 3
    usual = ["Sigmoid", "Tanh"]

    def step(self, f, x, r, b, p, state, attributes):
        (h,) = state
        x = np.split(x, 3, axis=-1)
        r, b = np.split(r, 3), np.split(b, 3)
        z = f[0](x[0] + h @ r[0].T + b[0])
        reset = f[0](x[1] + h @ r[1].T + b[1])
        if attributes.get("linear_before_reset"):
            new = f[1](x[2] + reset * (h @ r[2].T + b[2]))
        else:
            new = f[1](x[2] + (reset * h) @ r[2].T + b[2])
        return [(1 - z) * new + z * h]


class LSTM(Recurrent):
    gates = 4
    states = 2
    usual = ["Sigmoid", "Tanh", "Tanh"]

    def step(self, f, x, r, b, p, state, attributes):
        h, c = state
        i, o, forget, new = np.split(x + h @ r.T + b, 4, axis=-1)
        i = f[0](i + p[0] * c)
        forget = f[0](forget + p[2] * c)
        if attributes.get("input_forget"):
            forget = 1 - i
        c = forget * c + i * f[1](new)
        return [f[0](o + p[1] * c) * f[2](c), c]


class LinearAttention(OpRun):
    """In float64."""

    def _run(self, q, k, v, state=None, decay=None, beta=None, chunk_size=None,
             kv_num_heads=None, q_num_heads=None, scale=None, update_rule=None):
        rows, steps = q.shape[:2]
        q = q.reshape(rows, steps, q_num_heads, -1)
        k = k.reshape(rows, steps, kv_num_heads, -1)
        v = v.reshape(rows, steps, kv_num_heads, -1)
        scale = scale or q.shape[-1] ** -0.5
        if state is None:
            state = np.zeros((rows, kv_num_heads, k.shape[-1], v.shape[-1]))
        y = []
        for t in range(steps):
            new = v[:, t]
            if "gated" in update_rule:
                fade = decay[:, t].reshape(rows, kv_num_heads, -1, 1)
                state = state * np.exp(fade)
            if "delta" in update_rule:
                known = np.einsum("nhdm,nhd->nhm", state, k[:, t])
                new = beta[:, t][..., None] * (new - known)
            state = state + k[:, t][..., None] * new[:, :, None]
            wide = state.repeat(q_num_heads // kv_num_heads, axis=1)
            y.append(scale * np.einsum("nhd,nhdm->nhm", q[:, t], wide))
        return (np.stack(y, axis=1).reshape(rows, steps, -1), state)


class CausalConvWithState(OpRun):
    """In float64."""

    def _run(self, x, w, b=None, state=None, activation=None):
        length, reach = x.shape[2], w.shape[2] - 1
        if state is None:
            state = np.zeros((*x.shape[:2], reach))
        x = np.concatenate([state, x], axis=2)
        y = sum(w[:, 0, k, None] * x[:, :, k : k + length] for k in range(reach + 1))
        if b is not None:
            y = y + b[:, None]
        if activation in ("silu", "swish"):
            y = y / (1 + np.exp(-y))
        return (y, x[:, :, x.shape[2] - reach :])


class MicrosoftOp(OpRun):
    op_domain = MICROSOFT


class BiasGelu(MicrosoftOp):
    def _run(self, x, b):
        return Gelu._run(self, x + b)


class FastGelu(MicrosoftOp):
    def _run(self, x, b=None):
        return Gelu._run(self, x if b is None else x + b, approximate="tanh")


# The evaluator finds an operator by the name of its class.
MicrosoftGelu = type("Gelu", (Gelu,), {"op_domain": MICROSOFT})


class QuickGelu(MicrosoftOp):
    def _run(self, x, alpha=None):
        return (x / (1 + np.exp(-(1.702 if alpha is None else alpha) * x)),)


class FusedMatMul(MicrosoftOp):
    def _run(self, a, b, alpha=None, transA=None, transB=None, transBatchA=None,
             transBatchB=None):
        def turned(v, batch, matrix):
            # Moves the first axis behind the other batch axes, then transposes the matrix.
            v = np.moveaxis(v, 0, -2) if batch else v
            return v.swapaxes(-1, -2) if matrix else v

        product = turned(a, transBatchA, transA) @ turned(b, transBatchB, transB)
        return ((1 if alpha is None else alpha) * product,)


class FusedConv(MicrosoftOp):
    def _run(self, x, w, b=None, z=None, activation=None, activation_params=None,
             auto_pad=None, dilations=None, group=None, kernel_shape=None, pads=None,
             strides=None):
        y = convolve(
            x, w, b, auto_pad or "NOTSET", dilations, group or 1, kernel_shape, pads,
            strides,
        )
        y = y if z is None else y + z
        if activation == "LeakyRelu":
            return (np.where(y < 0, activation_params[0] * y, y),)
        if activation == "Clip":
            return (np.clip(y, *activation_params),)
        return ({"Relu": lambda v: np.maximum(v, 0), "Tanh": np.tanh}[activation](y),)


class FusedGemm(MicrosoftOp):
    def _run(self, a, b, c=None, transA=None, transB=None, alpha=None, beta=None,
             activation=None, activation_alpha=None):
        y = (1 if alpha is None else alpha) * (a.T if transA else a) @ (b.T if transB else b)
        y = y if c is None else y + (1 if beta is None else beta) * c
        if activation == "LeakyRelu":
            return (np.where(y < 0, activation_alpha * y, y),)
        return ({"Relu": lambda v: np.maximum(v, 0), "Tanh": np.tanh}[activation](y),)


class SkipLayerNormalization(MicrosoftOp):
    def _run(self, x, skip, gamma, beta=None, bias=None, epsilon=None):
        total = x + skip + (0 if bias is None else bias)
        mean = total.mean(axis=-1, keepdims=True)
        root = np.sqrt(total.var(axis=-1, keepdims=True) + epsilon)
        y = (total - mean) / root * gamma + (0 if beta is None else beta)
        return (y, mean, 1 / root, total)[: len(self.onnx_node.output)]


def replacements(opset):
    chosen = [
        Erf, Gelu, LpNormalization, LRN, ConvTranspose, GroupNormalization, LpPool,
        GlobalLpPool, GridSample, AffineGrid, DeformConv, Scatter, Upsample, RNN, GRU,
        LSTM, LinearAttention, CausalConvWithState, BiasGelu, FastGelu, QuickGelu,
        MicrosoftGelu, FusedMatMul, FusedConv, FusedGemm, SkipLayerNormalization,
        GlobalMaxPool, MaxUnpool, MeanVarianceNormalization, Loop, Scan,
    ]
    if opset < 16:
        chosen.append(RoiAlign)
    if opset < 14:
        chosen.append(BatchNormalization)
    if opset >= 11:
        chosen.append(Pad)
    if opset < 13:
        chosen.append(Softmax)
    return chosen


def to_float64(model, kinds=(TensorProto.FLOAT, TensorProto.FLOAT16)):
    """A copy of the model in which all float tensors and types are float64."""
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
    """Runs a float64 copy of a model, and returns its first output."""

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
    """The gradient d run(x)[i, target[i]] / d x[i] of every row i."""
    gradient = np.zeros(x.shape)
    for i, row in enumerate(x):
        offsets = np.eye(row.size).reshape((row.size,) + row.shape) * step
        up = run(row + offsets)[:, target[i]]
        down = run(row - offsets)[:, target[i]]
        gradient[i] = ((up - down) / (2 * step)).reshape(row.shape)
    return gradient


class Rejected(Exception):
    """The data of this seed is not usable; the next seed is tried."""


def row_by_row(run, x):
    return np.concatenate([run(x[k : k + 1]) for k in range(len(x))])


def numbers(model, x, path=None, flat=False, runner="onnxruntime"):
    """Input, logits, target and gradient of a model. Raises Rejected."""
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
        logits = exact(wide).astype(x.dtype)
        alone = row_by_row(exact, wide)
        assert np.allclose(logits, alone, atol=1e-5), "the rows are not independent"
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
    """Registers a builder, a function from a Graph and its input to the logits.

    The input is normal noise, or uniform from `low` to `low + 1` if `low` is given.
    `runner` is "onnx.reference" if onnxruntime lacks the operator. `batch` is 1 if
    the rows would not be independent.
    """

    def keep(build):
        MODELS.append((name, build, shape, opset, optional, low, options))
        return build

    return keep


# Convolutions. Height and width differ, so swapping them is detected.


@model("conv-same-upper", shape=(3, 7, 6))
def _(g, x):
    # Stride 2 and kernel 3: the odd height is padded on both sides, the even
    # width only at its end. Kernel 2 then pads the odd size at its end only.
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
    # Both sizes odd, kernel 4: one more row or column of padding at the end.
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
    # The convolution has two consumers: folding must not change the second.
    y = g.conv(x, 3, 4)
    return g.head(g.op("Add", g.op("Relu", batch_norm(g, y, 4)), y))


@model("batchnorm-before-conv")
def _(g, x):
    # The convolution pads with zeros after the normalisation.
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
    # The decomposition that exporters write for opset 17, which has no
    # GroupNormalization.
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
    # In each operation the broadcast operand depends on the input.
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
    """Converts [N, 3, 4, 6] to six tokens [N, 6, width], as a vision transformer."""
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
    # The product has a second consumer, which must not receive the bias.
    product = g.op("MatMul", x, g.normal(8, 6, scale=0.4))
    biased = g.op("Relu", g.op("Add", product, g.normal(6)))
    return g.linear(g.op("Mul", biased, g.op("Sigmoid", product)))


@model("matmul-add-output-shared", shape=(3, 4, 6))
def _(g, x):
    # The same on three axes. The addition is not a bias, because it differs
    # between tokens.
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
    """A query, key or value, split into heads."""
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


# Reductions. With axes as an attribute: two axes, which are removed. With axes
# as an input: a negative axis, kept by default. The result is not flat, so a
# wrong axis is detected.

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
    # flatten(2) as some exporters write it: height times width from Shape.
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
    # One channel is selected twice, so its gradient is a sum.
    x = g.op("Gather", x, g.const([2, 0, 2, 1]), axis=1)
    return g.head(g.op("Relu", g.conv(x, 4, 3)))


@model("gather-table", shape=(3, 4, 6))
def _(g, x):
    # A lookup in a position table by constant indices, as in windowed attention.
    index = g.const(g.rng.integers(0, 7, size=(6, 6)))
    bias = g.op("Gather", g.normal(7, 2), index, axis=0)
    bias = g.op("Unsqueeze", g.op("Transpose", bias, perm=[2, 0, 1]), g.const([0]))
    return g.head(attention(g, tokens(g, x), lambda s: g.op("Add", s, bias)))


def batch_of(g, x):
    """The batch size as a vector of one element."""
    rows = g.op("Gather", g.op("Shape", x), g.const(np.int64(0)), axis=0)
    return g.op("Unsqueeze", rows, g.const([0]))


@model("gather-elements", shape=(3, 4, 4))
def _(g, x):
    # The indices are constant except for the batch axis.
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
    # The export of expand(n, -1, -1): sizes of -1 are replaced by 1.
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


# Operators after a convolution, which the CPU computes in one segment.


def tokens(g, x):
    """The pixels of a convolution as a sequence `[N, 12, 4]`."""
    x = g.conv(x, 3, 4, strides=[2, 2], pads=[1, 1, 1, 1])
    return g.op("Transpose", g.op("Reshape", x, g.const([0, 4, -1])), perm=[0, 2, 1])


@model("tokens-padded-in-front", shape=(3, 7, 6))
def _(g, x):
    # The padded axis precedes the batch axis.
    x = g.op("Transpose", tokens(g, x), perm=[1, 0, 2])
    x = g.op("Pad", x, g.const([1, 0, 0, 0, 0, 1]), g.const(0.3))
    return g.head(g.op("Tanh", g.op("Transpose", x, perm=[1, 0, 2])))


@model("tokens-batch-second", shape=(3, 7, 6))
def _(g, x):
    # Linear layers as in a multi-head attention whose batch axis is the second.
    x = g.op("Transpose", tokens(g, x), perm=[1, 0, 2])
    y = g.linear(g.op("Reshape", x, g.const([-1, 4])), outputs=6)
    y = g.op("Reshape", y, g.const([12, -1, 6]))
    return g.head(g.op("Transpose", g.op("Tanh", y), perm=[1, 2, 0]))


@model("tokens-last-of-a-sequence", shape=(3, 7, 6))
def _(g, x):
    x = g.op("Transpose", g.op("Tanh", tokens(g, x)), perm=[1, 0, 2])
    last = g.op("Gather", x, g.const(-1), axis=0)
    first = g.op("Unsqueeze", g.op("Gather", x, g.const(0), axis=0), g.const([0]))
    both = g.op("Add", last, g.op("Squeeze", first, g.const([0])))
    return g.linear(both)


@model("tokens-windows", shape=(3, 7, 6))
def _(g, x):
    # Attention within windows that are merged into the batch axis, followed by a
    # roll and a selection of every other token.
    x = g.op("Reshape", tokens(g, x), g.const([-1, 2, 2, 3, 4]))
    x = g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3, 4]), g.const([-1, 6, 4]))
    scores = g.op("MatMul", x, g.op("Transpose", x, perm=[0, 2, 1]))
    scores = g.op("Add", g.op("Mul", scores, g.const(0.5)), g.normal(1, 6, 6))
    x = g.op("MatMul", g.op("Softmax", scores, axis=-1), x)
    x = g.op("Reshape", x, g.const([-1, 12, 4]))
    ends = [(5, 12), (0, 5)]
    parts = [g.op("Slice", x, g.const([a]), g.const([b]), g.const([1])) for a, b in ends]
    x = g.op("Concat", *parts, axis=1)
    steps = [g.const([1]), g.const([100]), g.const([1]), g.const([2])]
    return g.head(g.op("Tanh", g.op("Slice", x, *steps)))


@model("tokens-broadcast", shape=(3, 7, 6), low=0.3)
def _(g, x):
    # Broadcasting along axes of size 1, and norms and means over axes other than
    # the last.
    x = tokens(g, x)
    x = g.op("Sub", x, g.op("ReduceMean", x, axes=[1], keepdims=1))
    length = g.op("ReduceL2", x, axes=[2], keepdims=1)
    x = g.op("Div", x, g.op("Add", length, g.const(0.5)))
    x = g.op("Mul", x, g.op("Sigmoid", g.op("ReduceSum", x, g.const([1]), keepdims=1)))
    x = g.op("Add", g.op("Pow", x, g.const(2.0)), g.op("Sub", g.const(0.25), x))
    return g.head(g.op("Mul", x, g.normal(12, 1)))


@model("tokens-cut-to-nothing", shape=(3, 7, 6))
def _(g, x):
    x = g.op("Tanh", tokens(g, x))
    none = g.op("Slice", x, g.const([3]), g.const([3]), g.const([1]))
    return g.head(g.op("Concat", g.op("Relu", none), x, axis=1))


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
    # Sizes whose batch and channels are read by Shape, with fractional scales.
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


# Patterns of exporters.


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
    # Two layers share their weights: the second reads them through Identity.
    weight, bias = g.weight(4, 4, 3, 3), g.normal(4, scale=0.3)
    x = g.op("Relu", g.op("Conv", x, weight, bias, pads=[1, 1, 1, 1]))
    again = [g.op("Identity", weight), g.op("Identity", bias)]
    x = g.op("Relu", g.op("Conv", x, *again, pads=[1, 1, 1, 1]))
    return g.pooled_head(x)


@model("weights-among-inputs", shape=(3, 5, 4), after="inputs")
def _(g, x):
    # Older exporters also list every initializer as a graph input.
    return g.pooled_head(g.op("Relu", g.conv(x, 3, 4)))


@model("weights-as-float-data", shape=(3, 5, 4), after="float_data")
def _(g, x):
    # Weights in float_data and int64_data instead of raw_data.
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
    # A conversion from TensorFlow, with an NHWC input.
    x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    return g.head(g.op("Relu", g.conv(x, 3, 4)))


@model("unused-node", shape=(3, 5, 4))
def _(g, x):
    x = g.conv(x, 3, 4)
    g.op("Tanh", x)
    return g.pooled_head(g.op("Relu", x))


@model("external-data", shape=(3, 5, 4), after="external")
def _(g, x):
    # All but tiny weights are stored in weights.bin beside the model.
    return g.head(g.op("Relu", g.conv(x, 3, 4)))


# Operators that are rare in image classifiers, by family. The number of axes
# varies within a family. If an operator has several differentiable inputs, all
# of them depend on the image in at least one of its models.


def mixed(g, x, columns):
    """The product of the last axis with a random matrix."""
    rows = g.size(x)[-1]
    return g.op("MatMul", x, g.normal(rows, columns, scale=1.2 / np.sqrt(rows)))


def pointwise(g, x, columns):
    """A pointwise convolution over any number of spatial axes."""
    size = g.size(x)
    return g.op("Conv", x, g.weight(columns, size[1], *[1] * (len(size) - 2)))


def repeated(g, x, array):
    """A constant, repeated for each row of the batch."""
    array = np.asarray(array)
    rows = g.op("Gather", g.op("Shape", x), g.const([0]), axis=0)
    if array.ndim == 0:
        return g.op("Expand", g.const(array[None]), rows)
    shape = g.op("Concat", rows, g.const(list(array.shape)), axis=0)
    return g.op("Expand", g.const(array[None]), shape)


def rows_last(g, x):
    """Moves the batch axis behind all others."""
    rank = len(g.size(x))
    return g.op("Transpose", x, perm=[*range(1, rank), 0])


def rows_first(g, x):
    rank = len(g.size(x))
    return g.op("Transpose", x, perm=[rank - 1, *range(rank - 1)])


for kind, shape, low in [
    ("Acos", (8,), -0.5), ("Asin", (4, 5), -0.5), ("Atan", (3, 4, 4), None),
    ("Acosh", (4, 5), 1.2), ("Asinh", (3, 4, 4), None), ("Atanh", (8,), -0.5),
    ("Cosh", (8,), None), ("Sinh", (4, 5), None), ("Tan", (3, 4, 4), -0.5),
]:

    @model("arith-" + kind.lower(), shape=shape, low=low)
    def _(g, x, kind=kind):
        return g.head(g.op(kind, x))


for name, shape, divisor in [("mod", (4, 5), 0.7), ("mod-tensor", (3, 4, 4), None)]:

    @model("arith-" + name, shape=shape)
    def _(g, x, divisor=divisor):
        # The remainder has the sign of the dividend.
        by = g.positive(3, 1, 4) if divisor is None else g.const(np.float32(divisor))
        return g.head(g.op("Mod", x, by, fmod=1))


@model("arith-pow-computed", shape=(3, 4), low=0.4)
def _(g, x):
    return g.head(g.op("Pow", x, mixed(g, x, 4)))


@model("act-prelu-computed", shape=(3, 4, 3))
def _(g, x):
    slope = g.op("ReduceMean", mixed(g, x, 3), axes=[2, 3])
    return g.head(g.op("PRelu", x, slope))


@model("cast-like", shape=(4, 5))
def _(g, x):
    return g.head(g.op("CastLike", g.op("Tanh", x), g.normal(1)))


for name, opset, shape, apply in [
    ("shrink", 17, (3, 4, 4), single("Shrink", lambd=0.4, bias=0.2)),
    ("shrink-default", 17, (4, 5), single("Shrink")),
    ("swish-operator", 24, (3, 4, 4), single("Swish")),
    ("swish-operator-alpha", 24, (8,), single("Swish", alpha=1.7)),
    ("quick-gelu", 17, (4, 5), single("QuickGelu", domain=MICROSOFT)),
    ("quick-gelu-alpha", 17, (8,), single("QuickGelu", domain=MICROSOFT, alpha=0.8)),
    ("fast-gelu", 17, (3, 4, 4), single("FastGelu", domain=MICROSOFT)),
    ("gelu-fused", 17, (4, 5), single("Gelu", domain=MICROSOFT)),
]:

    @model("act-" + name, shape=shape, opset=opset)
    def _(g, x, apply=apply):
        return g.head(apply(g, x))


for name, kind in [("fast-gelu-bias", "FastGelu"), ("bias-gelu", "BiasGelu")]:

    @model("act-" + name, shape=(4, 5))
    def _(g, x, kind=kind):
        return g.head(g.op(kind, mixed(g, x, 6), g.normal(6), domain=MICROSOFT))


for name, shape, attributes in [
    ("swiglu", (4, 5), {}), ("swiglu-alpha", (8,), dict(alpha=1.6)),
]:

    # onnxruntime expands SwiGLU to Swish, which it lacks in this opset.
    @model("act-" + name, shape=shape, opset=28, runner="onnx.reference")
    def _(g, x, attributes=attributes):
        return g.head(g.op("SwiGLU", mixed(g, x, 4), mixed(g, x, 4), **attributes))


# Convolution and pooling over one and three spatial axes.


@model("conv-3d", shape=(2, 4, 3, 4))
def _(g, x):
    x = g.op(
        "Conv", x, g.weight(4, 1, 2, 2, 3), g.normal(4, scale=0.3), group=2,
        kernel_shape=[2, 2, 3], strides=[2, 1, 1], dilations=[1, 1, 2],
        pads=[0, 1, 1, 1, 0, 2],
    )
    return g.head(g.op("Relu", x))


@model("conv-1d-groups-same", shape=(4, 7))
def _(g, x):
    x = g.op("Conv", x, g.weight(6, 2, 4), group=2, strides=[2], auto_pad="SAME_LOWER")
    return g.head(g.op("Relu", x))


@model("conv-transpose-1d", shape=(3, 5))
def _(g, x):
    x = g.op(
        "ConvTranspose", x, g.weight(3, 2, 3), g.normal(2), kernel_shape=[3],
        strides=[2], pads=[1, 0], output_padding=[1],
    )
    return g.head(g.op("Relu", x))


@model("conv-transpose-3d", shape=(2, 2, 3, 2))
def _(g, x):
    x = g.op(
        "ConvTranspose", x, g.weight(2, 3, 2, 2, 3), kernel_shape=[2, 2, 3],
        strides=[1, 2, 1], pads=[1, 0, 1, 0, 1, 0],
    )
    return g.head(g.op("Relu", x))


@model("conv-transpose-dilated", shape=(2, 4, 3))
def _(g, x):
    x = g.op(
        "ConvTranspose", x, g.weight(2, 3, 2, 2), dilations=[2, 1], strides=[1, 2],
        pads=[1, 0, 0, 1],
    )
    return g.head(g.op("Relu", x))


for name, activation, params, add in [
    ("relu", "Relu", None, False), ("leaky-relu", "LeakyRelu", [0.2], False),
    ("clip", "Clip", [-0.4, 0.6], False), ("sum", "Tanh", None, True),
]:

    @model("fused-conv-" + name, shape=(3, 5, 4))
    def _(g, x, activation=activation, params=params, add=add):
        inputs = [x, g.weight(4, 3, 3, 3), g.normal(4, scale=0.3)]
        if add:
            inputs.append(g.conv(x, 3, 4, kernel=1))
        more = {"activation_params": params} if params else {}
        return g.head(g.op(
            "FusedConv", *inputs, domain=MICROSOFT, kernel_shape=[3, 3],
            pads=[1, 1, 1, 1], activation=activation, **more,
        ))


for name, activation, attributes in [
    ("relu", "Relu", dict(transB=1)), ("tanh", "Tanh", dict(alpha=0.5, beta=2.0)),
    ("leaky-relu", "LeakyRelu", dict(transB=1, activation_alpha=0.2)),
]:

    @model("fused-gemm-" + name, shape=(2, 3, 2))
    def _(g, x, activation=activation, attributes=attributes):
        weight = g.normal(*((5, 12) if "transB" in attributes else (12, 5)), scale=0.3)
        x = g.op(
            "FusedGemm", g.op("Flatten", x), weight, g.normal(5, scale=0.3),
            domain=MICROSOFT, activation=activation, **attributes,
        )
        return g.head(x)


@model("deform-conv", shape=(2, 5, 4), opset=19)
def _(g, x):
    # The offsets and the mask depend on the image.
    offset = g.op("Mul", g.conv(x, 2, 8, kernel=2), g.const(np.float32(0.4)))
    mask = g.op("Sigmoid", g.conv(x, 2, 4, kernel=2))
    x = g.op(
        "DeformConv", x, g.weight(3, 2, 2, 2), offset, g.normal(3), mask,
        kernel_shape=[2, 2],
    )
    return g.head(x)


@model("deform-conv-groups", shape=(4, 5, 4), opset=22)
def _(g, x):
    # Two groups of offsets; some sampling positions lie outside the image.
    offset = g.conv(x, 4, 16, strides=[2, 1], pads=[1, 1, 1, 1])
    x = g.op(
        "DeformConv", x, g.weight(4, 2, 2, 2), offset, offset_group=2, group=2,
        strides=[2, 1], dilations=[2, 1], pads=[1, 1, 1, 0],
    )
    return g.head(x)


for name, kind, shape, opset, attributes in [
    ("maxpool-1d", "MaxPool", (3, 9), 17,
     dict(kernel_shape=[3], strides=[2], pads=[1, 0], dilations=[2])),
    ("maxpool-3d", "MaxPool", (2, 4, 3, 4), 17,
     dict(kernel_shape=[2, 2, 3], strides=[2, 1, 1], pads=[0, 1, 1, 1, 0, 0])),
    ("averagepool-1d", "AveragePool", (3, 8), 17,
     dict(kernel_shape=[3], strides=[2], pads=[1, 0])),
    ("averagepool-3d", "AveragePool", (2, 4, 3, 4), 17,
     dict(kernel_shape=[2, 2, 3], strides=[2, 1, 1], pads=[0, 1, 1, 1, 0, 0])),
    ("averagepool-3d-include-pad", "AveragePool", (2, 3, 3, 4), 17,
     dict(kernel_shape=[2, 2, 2], strides=[2, 1, 2], pads=[0, 1, 1, 1, 0, 0],
          count_include_pad=1)),
    ("averagepool-dilated", "AveragePool", (3, 6, 5), 19,
     dict(kernel_shape=[2, 3], dilations=[2, 1], pads=[1, 1, 0, 1])),
    ("lppool", "LpPool", (3, 6, 5), 17,
     dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])),
    ("lppool-1d", "LpPool", (3, 9), 11, dict(kernel_shape=[3], strides=[2], p=1)),
    ("lppool-3d", "LpPool", (2, 4, 3, 4), 22,
     dict(kernel_shape=[2, 2, 2], strides=[2, 1, 2], p=3)),
    ("lppool-dilated-ceil", "LpPool", (3, 6, 5), 18,
     dict(kernel_shape=[2, 2], strides=[2, 2], dilations=[2, 1], ceil_mode=1, p=2)),
    ("global-lp-pool", "GlobalLpPool", (3, 4, 3), 17, {}),
    ("global-lp-pool-1d", "GlobalLpPool", (3, 6), 17, dict(p=1)),
    ("global-lp-pool-3d", "GlobalLpPool", (3, 2, 3, 2), 17, dict(p=3)),
    ("global-average-pool-1d", "GlobalAveragePool", (3, 6), 17, {}),
    ("global-max-pool-3d", "GlobalMaxPool", (3, 2, 3, 2), 17, {}),
]:

    @model(name, shape=shape, opset=opset)
    def _(g, x, kind=kind, attributes=attributes):
        columns = 5 if kind.startswith("Global") else 2
        return g.head(g.op(kind, pointwise(g, x, columns), **attributes))


for name, shape, attributes in [
    ("max-unpool", (2, 6, 4), dict(kernel_shape=[2, 2], strides=[2, 2])),
    ("max-unpool-1d", (3, 8), dict(kernel_shape=[2], strides=[2])),
]:

    @model(name, shape=shape)
    def _(g, x, attributes=attributes):
        y, places = g.op("MaxPool", x, outputs=2, **attributes)
        return g.head(g.op("MaxUnpool", g.op("Tanh", y), places, **attributes))


def regions(g, x, **attributes):
    """Two regions of each image, with their values concatenated."""
    rows = g.op("Gather", g.op("Shape", x), g.const(np.int64(0)), axis=0)
    row = g.op("Range", g.const(np.int64(0)), rows, g.const(np.int64(1)))
    both = g.op("Concat", batch_of(g, x), g.const([2]), axis=0)
    row = g.op("Expand", g.op("Unsqueeze", row, g.const([1])), both)
    boxes = repeated(g, x, [[0.4, 0.7, 7.3, 9.1], [-2.0, 3.2, 12.5, 8.0]])
    y = g.op(
        "RoiAlign", g.conv(x, 3, 2, kernel=1), g.op("Reshape", boxes, g.const([-1, 4])),
        g.op("Reshape", row, g.const([-1])), output_height=2, output_width=3,
        spatial_scale=0.5, **attributes,
    )
    return g.linear(g.op("Reshape", y, g.const([-1, 24])))


for name, opset, attributes in [
    ("half-pixel", 16, dict(sampling_ratio=2)),
    ("adaptive", 16, dict(coordinate_transformation_mode="output_half_pixel")),
    ("10", 13, dict(sampling_ratio=2)),
    ("max", 16, dict(sampling_ratio=2, mode="max")),
]:

    @model("roi-align-" + name, shape=(3, 6, 5), opset=opset)
    def _(g, x, attributes=attributes):
        return regions(g, x, **attributes)


# Normalisation over various axes.


@model("batchnorm-1d", shape=(3, 6))
def _(g, x):
    return g.head(g.op("Tanh", batch_norm(g, pointwise(g, x, 4), 4)))


@model("batchnorm-vectors-9", shape=(8,), opset=9)
def _(g, x):
    return g.linear(g.op("Tanh", batch_norm(g, x, 8, epsilon=1e-2)))


@model("batchnorm-3d", shape=(2, 2, 3, 3))
def _(g, x):
    return g.head(g.op("Tanh", batch_norm(g, pointwise(g, x, 3), 3)))


for name, shape in [("1d", (3, 6)), ("3d", (2, 2, 3, 3))]:

    @model("instancenorm-" + name, shape=shape)
    def _(g, x):
        x = pointwise(g, x, 4)
        x = g.op("InstanceNormalization", x, g.positive(4), g.normal(4))
        return g.head(g.op("Tanh", x))


for name, shape in [("1d", (3, 6)), ("3d", (2, 2, 3, 2))]:

    @model("groupnorm-" + name, shape=shape, opset=21)
    def _(g, x):
        x = pointwise(g, x, 4)
        x = g.op("GroupNormalization", x, g.positive(4), g.normal(4), num_groups=2)
        return g.head(g.op("Tanh", x))


for name, shape, axis, weights in [
    ("vectors", (8,), -1, (8,)), ("tokens", (4, 5), 2, (5,)),
    ("all-axes", (3, 4, 3), 1, (3, 4, 3)), ("five-axes", (2, 2, 3, 3), 3, (3, 3)),
]:

    @model("layernorm-" + name, shape=shape)
    def _(g, x, axis=axis, weights=weights):
        weights = g.positive(*weights), g.normal(*weights)
        return g.head(g.op("Tanh", g.op("LayerNormalization", x, *weights, axis=axis)))


for name, shape, weights, attributes in [
    ("vectors", (8,), (8,), {}), ("tokens", (4, 5), (5,), dict(epsilon=1e-2)),
    ("two-axes", (3, 4, 3), (4, 3), dict(axis=2)),
]:

    @model("rmsnorm-" + name, shape=shape, opset=23)
    def _(g, x, weights=weights, attributes=attributes):
        x = g.op("RMSNormalization", x, g.positive(*weights), **attributes)
        return g.head(g.op("Tanh", x))


for name, shape, axes in [("two-axes", (3, 4, 3), [2, 3]), ("tokens", (4, 5), [2])]:

    @model("mean-variance-" + name, shape=shape)
    def _(g, x, axes=axes):
        return g.head(g.op("Tanh", g.op("MeanVarianceNormalization", x, axes=axes)))


@model("skip-layernorm", shape=(4, 5))
def _(g, x):
    x = g.op(
        "SkipLayerNormalization", x, mixed(g, g.op("Tanh", x), 5), g.positive(5),
        g.normal(5), g.normal(5), domain=MICROSOFT, epsilon=1e-3,
    )
    return g.head(g.op("Tanh", x))


@model("skip-layernorm-sum", shape=(4, 5))
def _(g, x):
    # Without a bias, and with the sum before the normalisation as an output.
    y, total = g.op(
        "SkipLayerNormalization", x, mixed(g, x, 5), g.positive(5), domain=MICROSOFT,
        epsilon=1e-3, outputs=["y", "", "", "sum"],
    )
    return g.head(g.op("Mul", g.op("Tanh", y), total))


# Matrix products and attention.


@model("fused-matmul", shape=(4, 5))
def _(g, x):
    y = g.op("FusedMatMul", mixed(g, x, 3), x, domain=MICROSOFT, transA=1, alpha=0.4)
    return g.head(g.op("Tanh", y))


@model("fused-matmul-transposed-b", shape=(2, 3, 4))
def _(g, x):
    y = g.op("FusedMatMul", x, mixed(g, x, 4), domain=MICROSOFT, transB=1)
    return g.head(g.op("Tanh", y))


@model("fused-matmul-batch", shape=(3, 4))
def _(g, x):
    # The first axis of both factors belongs between the batch and the columns.
    y = g.op("Transpose", x, perm=[1, 0, 2])
    z = g.op("Transpose", mixed(g, x, 4), perm=[2, 0, 1])
    y = g.op("FusedMatMul", y, z, domain=MICROSOFT, transBatchA=1, transBatchB=1)
    return g.head(g.op("Tanh", y))


@model("fused-matmul-batch-transposed", shape=(3, 4))
def _(g, x):
    y = g.op("Transpose", x, perm=[2, 0, 1])
    z = g.op("Transpose", mixed(g, x, 4), perm=[1, 0, 2])
    y = g.op(
        "FusedMatMul", y, z, domain=MICROSOFT, transBatchA=1, transBatchB=1, transA=1,
        transB=1,
    )
    return g.head(g.op("Tanh", y))


@model("matmul-vector", shape=(3, 4, 5))
def _(g, x):
    # A product with a vector removes the last axis.
    return g.head(g.op("MatMul", g.op("Tanh", x), g.normal(5)))


@model("matmul-broadcast", shape=(2, 3, 4))
def _(g, x):
    # Rank 4 times rank 3, then times one matrix that both channels share.
    scores = g.op("Tanh", g.op("MatMul", x, g.normal(2, 4, 3)))
    return g.head(g.op("MatMul", scores, g.op("ReduceMean", x, axes=[1])))


for name, shape, equation in [
    ("outer", (3, 4), "bi,bj->bij"), ("scores", (2, 3, 4), "bhqd,bhkd->bhqk"),
    ("implicit", (3, 4), "bij,jk"), ("ellipsis", (2, 3, 4), "b...i,ij->b...j"),
    ("diagonal", (3, 3), "bii->bi"), ("sum", (3, 2, 4), "bchw->bwc"),
    ("three", (3, 4), "bij,bik,jk->bi"),
]:

    @model("einsum-" + name, shape=shape)
    def _(g, x, name=name, equation=equation):
        x = g.op("Tanh", x)
        if name == "outer":
            inputs = [g.linear(g.op("Flatten", x), 4), g.linear(g.op("Flatten", x), 3)]
        elif name == "scores":
            inputs = [x, mixed(g, x, 4)]
        elif name in ("implicit", "ellipsis"):
            inputs = [x, g.normal(4, 3)]
        elif name == "three":
            inputs = [x, mixed(g, x, 3), g.normal(4, 3)]
        else:
            inputs = [x]
        return g.head(g.op("Einsum", *inputs, equation=equation))


def query_key_value(g, x, *widths):
    return [mixed(g, x, width) for width in widths]


@model("attention-4d", shape=(2, 4, 5), opset=23)
def _(g, x):
    q, k, v = query_key_value(g, x, 4, 4, 3)
    q = sliced(g, q, [1], [4], [2])
    return g.head(g.op("Attention", q, k, v))


@model("attention-3d-causal", shape=(4, 5), opset=23)
def _(g, x):
    q, k, v = query_key_value(g, x, 6, 6, 6)
    return g.head(g.op(
        "Attention", q, k, v, q_num_heads=2, kv_num_heads=2, is_causal=1,
    ))


@model("attention-mask-softcap", shape=(2, 4, 5), opset=23)
def _(g, x):
    q, k, v = query_key_value(g, x, 4, 4, 3)
    return g.head(g.op(
        "Attention", q, k, v, g.normal(4, 4), softcap=1.5, scale=0.8,
    ))


@model("attention-mask-computed", shape=(2, 4, 5), opset=23)
def _(g, x):
    q, k, v = query_key_value(g, x, 4, 4, 3)
    return g.head(g.op("Attention", q, k, v, mixed(g, x, 4)))


@model("attention-boolean-mask", shape=(4, 5), opset=23)
def _(g, x):
    q, k, v = query_key_value(g, x, 6, 6, 6)
    mask = g.rng.random((4, 4)) < 0.6
    mask[:, 1] = True
    return g.head(g.op(
        "Attention", q, k, v, g.const(mask), q_num_heads=3, kv_num_heads=3,
    ))


@model("attention-grouped", shape=(4, 5), opset=23)
def _(g, x):
    # Grouped-query attention: two query heads for each key and value head.
    q, k, v = query_key_value(g, x, 8, 4, 6)
    return g.head(g.op("Attention", q, k, v, q_num_heads=4, kv_num_heads=2))


@model("attention-past", shape=(2, 3, 4), opset=23)
def _(g, x):
    q, k, v, past_k, past_v = query_key_value(g, x, 4, 4, 3, 4, 3)
    made = g.op("Attention", q, k, v, "", past_k, past_v, outputs=3)
    made = [g.op("Flatten", g.op("Tanh", value)) for value in made]
    return g.head(g.op("Concat", *made, axis=1))


@model("rotary", shape=(2, 3, 4), opset=23)
def _(g, x):
    # The angles depend on the image, too.
    angle = mixed(g, g.op("ReduceMean", x, g.const([1]), keepdims=0), 2)
    y = g.op("RotaryEmbedding", x, g.op("Cos", angle), g.op("Sin", angle))
    return g.head(g.op("Tanh", y))


@model("rotary-interleaved", shape=(3, 8), opset=23)
def _(g, x):
    angle = g.rng.normal(size=(5, 2))
    places = repeated(g, x, [2, 0, 4])
    y = g.op(
        "RotaryEmbedding", x, g.const(np.cos(angle)), g.const(np.sin(angle)), places,
        interleaved=1, num_heads=2,
    )
    return g.head(g.op("Tanh", y))


for name, interleaved in [("", 0), ("-interleaved", 1)]:

    @model("rotary-partial" + name, shape=(2, 3, 6), opset=23)
    def _(g, x, interleaved=interleaved):
        angle = g.rng.normal(size=(3, 2))
        places = repeated(g, x, [0, 1, 2])
        y = g.op(
            "RotaryEmbedding", x, g.const(np.cos(angle)), g.const(np.sin(angle)),
            places, rotary_embedding_dim=4, interleaved=interleaved,
        )
        return g.head(g.op("Tanh", y))


for rule in ("linear", "gated", "delta", "gated_delta"):

    @model("linear-attention-" + rule.replace("_", "-"), shape=(3, 5), opset=27)
    def _(g, x, rule=rule):
        # Two rules have grouped heads, one has an initial state.
        grouped = rule in ("gated", "delta")
        q = mixed(g, x, 8 if grouped else 4)
        k, v = mixed(g, x, 4), mixed(g, x, 6)
        inputs = [q, k, v, "", "", ""]
        if rule in ("linear", "gated_delta"):
            state = g.linear(g.op("Flatten", x), 12)
            inputs[3] = g.op("Reshape", g.op("Tanh", state), g.const([-1, 2, 2, 3]))
        if "gated" in rule:
            decay = g.op("Sigmoid", mixed(g, x, 4 if rule == "gated" else 2))
            inputs[4] = g.op("Neg", decay)
        if "delta" in rule:
            inputs[5] = g.op("Sigmoid", mixed(g, x, 1 if rule == "delta" else 2))
        while inputs[-1] == "":
            inputs.pop()
        y, state = g.op(
            "LinearAttention", *inputs, q_num_heads=4 if grouped else 2,
            kv_num_heads=2, update_rule=rule, outputs=2,
        )
        if rule == "gated_delta":
            y = g.op("Concat", g.op("Flatten", y), g.op("Flatten", state), axis=1)
        return g.head(g.op("Tanh", y))


@model("causal-conv", shape=(3, 5), opset=27)
def _(g, x):
    y, _state = g.op("CausalConvWithState", x, g.normal(3, 1, 3), outputs=2)
    return g.head(g.op("Tanh", y))


@model("causal-conv-state", shape=(3, 5), opset=27)
def _(g, x):
    y, state = g.op(
        "CausalConvWithState", g.op("Tanh", x), g.normal(3, 1, 3), g.normal(3),
        mixed(g, x, 2), activation="silu", outputs=2,
    )
    return g.head(g.op("Concat", y, state, axis=2))


# Losses as layers. The mean and the sum include the rows, so these models have
# a batch size of one.


def classes_of(g, x, array):
    return repeated(g, x, np.asarray(array, np.int64))


@model("nll-loss", shape=(4, 3))
def _(g, x):
    x = g.op("LogSoftmax", pointwise(g, x, 6), axis=1)
    classes = classes_of(g, x, [2, 0, 5])
    return g.head(g.op(
        "NegativeLogLikelihoodLoss", x, classes, g.positive(6), reduction="none",
    ))


@model("nll-loss-ignored", shape=(3, 2, 3))
def _(g, x):
    x = g.op("LogSoftmax", pointwise(g, x, 4), axis=1)
    classes = classes_of(g, x, [[2, 0, 1], [1, 3, 2]])
    return g.head(g.op(
        "NegativeLogLikelihoodLoss", x, classes, reduction="none", ignore_index=1,
    ))


@model("nll-loss-mean", shape=(4, 3), batch=1)
def _(g, x):
    x = g.op("LogSoftmax", pointwise(g, x, 6), axis=1)
    loss = g.op(
        "NegativeLogLikelihoodLoss", x, g.const([[2, 0, 5]]), g.positive(6),
        reduction="mean",
    )
    return g.linear(g.op("Reshape", loss, g.const([1, 1])))


@model("softmax-loss", shape=(6,))
def _(g, x):
    losses = [
        g.op("SoftmaxCrossEntropyLoss", mixed(g, x, 4), classes_of(g, x, k),
             reduction="none")
        for k in (3, 1)
    ]
    losses = [g.op("Unsqueeze", loss, g.const([1])) for loss in losses]
    return g.linear(g.op("Concat", *losses, axis=1))


@model("softmax-loss-probabilities", shape=(3, 2, 3))
def _(g, x):
    x = pointwise(g, x, 4)
    classes = classes_of(g, x, [[2, 0, 1], [1, 3, 2]])
    loss, log = g.op(
        "SoftmaxCrossEntropyLoss", x, classes, g.positive(4), reduction="none",
        ignore_index=1, outputs=2,
    )
    return g.head(g.op("Mul", g.op("Unsqueeze", loss, g.const([1])), log))


@model("softmax-loss-sum", shape=(4, 3), batch=1)
def _(g, x):
    loss = g.op(
        "SoftmaxCrossEntropyLoss", pointwise(g, x, 4), g.const([[2, 0, 3]]),
        reduction="sum",
    )
    return g.linear(g.op("Reshape", loss, g.const([1, 1])))


@model("softmax-loss-mean", shape=(4, 3), batch=1)
def _(g, x):
    loss = g.op(
        "SoftmaxCrossEntropyLoss", pointwise(g, x, 4), g.const([[2, 0, 3]]),
        g.positive(4), ignore_index=0,
    )
    return g.linear(g.op("Reshape", loss, g.const([1, 1])))


# Reductions.


@model("reduce-l1-attribute", shape=(3, 4, 3), opset=13)
def _(g, x):
    return g.head(g.op("ReduceL1", g.conv(x, 3, 4, kernel=1), axes=[2, 3], keepdims=0))


@model("reduce-l1-input", shape=(4, 5), opset=18)
def _(g, x):
    return g.head(g.op("ReduceL1", x, g.const([-2])))


@model("reduce-logsum-attribute", shape=(3, 4, 3), opset=13, low=0.3)
def _(g, x):
    x = g.op("Sigmoid", g.conv(x, 3, 4, kernel=1))
    return g.head(g.op("ReduceLogSum", x, axes=[2, 3], keepdims=0))


@model("reduce-logsum-input", shape=(4, 5), opset=18, low=0.3)
def _(g, x):
    return g.head(g.op("ReduceLogSum", x, g.const([-2])))


@model("reduce-l2-vectors", shape=(8,), opset=18)
def _(g, x):
    parts = [g.op("ReduceL2", mixed(g, x, 4), g.const([1])) for _ in range(3)]
    return g.linear(g.op("Concat", *parts, axis=1))


@model("reduce-l2-five-axes", shape=(2, 3, 2, 3), opset=18)
def _(g, x):
    return g.head(g.op("ReduceL2", x, g.const([2, -1]), keepdims=0))


@model("reduce-nothing", shape=(4, 5), opset=18)
def _(g, x):
    # Without axes, and with noop_with_empty_axes: nothing is reduced.
    y = g.op("ReduceSum", g.op("Tanh", x), g.const(np.zeros(0, np.int64)),
             noop_with_empty_axes=1)
    return g.head(y)


@model("cumprod", shape=(3, 3, 3), opset=26)
def _(g, x):
    x = g.op("CumProd", x, g.const(np.int64(2)))
    x = g.op("CumProd", g.op("Tanh", x), g.const(np.int64(-1)), exclusive=1, reverse=1)
    return g.head(x)


# Gather and scatter operators.


@model("compress", shape=(3, 4, 3))
def _(g, x):
    keep = g.const(np.array([True, False, True, True]))
    return g.head(g.op("Compress", g.op("Tanh", x), keep, axis=2))


@model("compress-negative-axis", shape=(3, 5))
def _(g, x):
    # The condition may be shorter than the axis.
    return g.head(g.op("Compress", g.op("Tanh", x), g.const([False, True, True]), axis=-1))


@model("gather-nd", shape=(3, 4, 2))
def _(g, x):
    # The first two axes are indexed, with one element twice. The batch axis is
    # the last.
    index = g.const([[0, 1], [-1, 2], [0, 1], [1, -4]])
    y = g.op("GatherND", rows_last(g, g.op("Tanh", x)), index)
    return g.head(rows_first(g, y))


@model("gather-nd-batch", shape=(3, 4, 2))
def _(g, x):
    index = repeated(g, x, [[[0, 1], [2, 2]], [[0, 1], [1, 3]]])
    return g.head(g.op("GatherND", g.op("Tanh", x), index, batch_dims=1))


@model("gather-nd-two-batch-axes", shape=(3, 4))
def _(g, x):
    index = repeated(g, x, [[[0], [1]], [[3], [-2]], [[2], [2]]])
    return g.head(g.op("GatherND", g.op("Tanh", x), index, batch_dims=2))


for reduction, shape, axis, count in [
    ("none", (2, 4, 3), 2, 2), ("add", (4, 5), -1, 7), ("mul", (3, 4), 1, 5),
    ("max", (2, 4, 3), -2, 5), ("min", (6,), 1, 8),
]:

    @model("scatter-elements-" + reduction, shape=shape, opset=18)
    def _(g, x, reduction=reduction, shape=shape, axis=axis, count=count):
        # Data and updates depend on the image. An index occurs twice only with a
        # reduction.
        length = ((2,) + shape)[axis]
        places = list(shape)
        places[axis - 1 if axis > 0 else axis] = count
        if reduction == "none":
            index = g.rng.random(shape).argsort(axis=1)[:, :count]
        else:
            index = g.rng.integers(-length, length, size=places)
        updates = g.linear(g.op("Flatten", x), int(np.prod(places)))
        updates = g.op("Reshape", updates, g.const([-1, *places]))
        more = {} if reduction == "none" else {"reduction": reduction}
        return g.head(g.op(
            "ScatterElements", g.op("Tanh", x), repeated(g, x, index), updates,
            axis=axis, **more,
        ))


for opset in (9, 10):

    @model(f"scatter-{opset}", shape=(3, 4) if opset == 9 else (3, 4, 2), opset=opset)
    def _(g, x):
        size = g.size(x)[1:]
        index = g.rng.random(size).argsort(axis=1)[:, :2]
        updates = g.op("Mul", g.op("Slice", x, starts=[1], ends=[3], axes=[2]) if
                       g.opset == 9 else sliced(g, x, [1], [3], [2]), g.const([1.7]))
        y = g.op("Scatter", g.op("Tanh", x), repeated(g, x, index), updates, axis=2)
        return g.head(y)


for reduction, shape in [
    ("none", (3, 4, 2)), ("add", (3, 4)), ("mul", (3, 4)), ("max", (3, 4, 2)),
    ("min", (5,)),
]:

    @model("scatter-nd-" + reduction, shape=shape, opset=18)
    def _(g, x, reduction=reduction, shape=shape):
        # The batch axis is the last, so the indices do not include it.
        index = {
            (3, 4, 2): [[0, 1], [-1, 2], [1, -1]], (3, 4): [[2, 1], [0, 3], [2, 1]],
            (5,): [[3], [0], [-2], [2]],
        }[shape]
        if reduction == "max":
            index[2] = index[0]
        places = [len(index), *shape[len(index[0]):]]
        updates = g.linear(g.op("Flatten", x), int(np.prod(places)))
        updates = g.op("Reshape", updates, g.const([-1, *places]))
        more = {} if reduction == "none" else {"reduction": reduction}
        y = g.op(
            "ScatterND", rows_last(g, g.op("Tanh", x)), g.const(index),
            rows_last(g, updates), **more,
        )
        return g.head(rows_first(g, y))


@model("scatter-nd-rows", shape=(4, 3))
def _(g, x):
    # The indices include the row, which Range computes.
    rows = g.op("Gather", g.op("Shape", x), g.const(np.int64(0)), axis=0)
    row = g.op("Range", g.const(np.int64(0)), rows, g.const(np.int64(1)))
    row = g.op("Unsqueeze", row, g.const([1, 2]))
    both = g.op("Concat", batch_of(g, x), g.const([2, 1]), axis=0)
    place = repeated(g, x, [[3], [1]])
    index = g.op("Concat", g.op("Expand", row, both), place, axis=2)
    updates = sliced(g, mixed(g, x, 3), [0], [2], [1])
    return g.head(g.op("ScatterND", g.op("Tanh", x), index, updates))


for name, opset, shape, attributes in [
    ("topk", 17, (3, 4, 3), {}), ("topk-smallest", 17, (5, 3), dict(axis=1, largest=0)),
    ("topk-vectors", 24, (8,), dict(axis=1)), ("topk-attribute", 9, (5, 3), dict(axis=1)),
]:

    @model(name, shape=shape, opset=opset)
    def _(g, x, opset=opset, attributes=attributes):
        if opset == 9:
            attributes = dict(attributes, k=3)
        inputs = [x] if opset == 9 else [x, g.const([2])]
        values, places = g.op("TopK", *inputs, outputs=2, **attributes)
        if opset == 17:
            # Elements of another tensor at the same indices.
            other = g.op("Tanh", mixed(g, x, 3))
            other = g.op(
                "GatherElements", other, places, axis=attributes.get("axis", 3)
            )
            values = g.op("Mul", values, other)
        return g.head(values)


@model("reverse-sequence", shape=(4, 3))
def _(g, x):
    lengths = repeated(g, x, 3)
    return g.head(g.op("ReverseSequence", x, lengths, batch_axis=0, time_axis=1))


@model("reverse-sequence-default", shape=(4, 3, 2))
def _(g, x):
    # Time is the first axis and the batch the second.
    x = g.op("Transpose", g.op("Tanh", x), perm=[1, 0, 2, 3])
    x = g.op("ReverseSequence", x, repeated(g, g.x, 2))
    return g.head(g.op("Transpose", x, perm=[1, 0, 2, 3]))


@model("center-crop-pad", shape=(3, 6, 3), opset=18)
def _(g, x):
    x = g.op("CenterCropPad", g.op("Tanh", x), g.const([3, 6]), axes=[2, -1])
    return g.head(g.op("Relu", g.conv(x, 3, 3)))


@model("center-crop-pad-all-axes", shape=(4, 3), opset=18)
def _(g, x):
    shape = g.op("Concat", batch_of(g, x), g.const([5, 2]), axis=0)
    return g.head(g.op("CenterCropPad", g.op("Tanh", x), shape))


@model("tensor-scatter", shape=(2, 4, 3), opset=24)
def _(g, x):
    update = sliced(g, mixed(g, x, 3), [0], [2], [2])
    return g.head(g.op("TensorScatter", g.op("Tanh", x), update, repeated(g, x, 1)))


@model("tensor-scatter-circular", shape=(4, 3), opset=24)
def _(g, x):
    update = sliced(g, mixed(g, x, 3), [0], [2], [1])
    return g.head(g.op(
        "TensorScatter", g.op("Tanh", x), update, repeated(g, x, 3), axis=1,
        mode="circular",
    ))


@model("tensor-scatter-at-start", shape=(4, 3), opset=24)
def _(g, x):
    update = sliced(g, mixed(g, x, 3), [0], [2], [1])
    return g.head(g.op("TensorScatter", g.op("Tanh", x), update))


for name, shape, image, block, attributes in [
    ("col2im", (8, 6), [3, 4], [2, 2], {}),
    ("col2im-strided", (6, 6), [5, 5], [3, 2],
     dict(pads=[1, 0, 1, 1], strides=[2, 2], dilations=[1, 2])),
    ("col2im-1d", (6, 4), [6], [3], {}),
    ("col2im-3d", (4, 4), [2, 3, 2], [2, 2, 1], {}),
]:

    @model(name, shape=shape, opset=18)
    def _(g, x, image=image, block=block, attributes=attributes):
        x = g.op("Col2Im", g.op("Tanh", x), g.const(image), g.const(block), **attributes)
        return g.head(x)


# Sampling at computed positions.


def places_for(g, x, *size, scale=0.8):
    """Positions in about -1 to 1, computed from the image."""
    places = g.linear(g.op("Flatten", x), int(np.prod(size)))
    places = g.op("Mul", g.op("Tanh", places), g.const(np.float32(1.2 * scale)))
    return g.op("Reshape", places, g.const([-1, *size]))


@model("grid-sample", shape=(2, 4, 3), opset=20)
def _(g, x):
    return g.head(g.op("GridSample", x, places_for(g, x, 2, 3, 2)))


@model("grid-sample-border-aligned", shape=(2, 4, 3), opset=16)
def _(g, x):
    grid = repeated(g, x, g.rng.uniform(-1.3, 1.3, size=(2, 3, 2)).astype(np.float32))
    return g.head(g.op(
        "GridSample", x, grid, mode="bilinear", padding_mode="border", align_corners=1,
    ))


@model("grid-sample-border-computed", shape=(2, 4, 3), opset=20)
def _(g, x):
    return g.head(g.op(
        "GridSample", x, places_for(g, x, 2, 3, 2, scale=1.1), padding_mode="border",
    ))


@model("grid-sample-reflection", shape=(2, 4, 3), opset=20)
def _(g, x):
    return g.head(g.op(
        "GridSample", x, places_for(g, x, 2, 3, 2, scale=1.2),
        padding_mode="reflection", align_corners=1,
    ))


@model("grid-sample-cubic", shape=(2, 4, 3), opset=20)
def _(g, x):
    return g.head(g.op("GridSample", x, places_for(g, x, 2, 2, 2), mode="cubic"))


@model("grid-sample-nearest", shape=(2, 4, 3), opset=20)
def _(g, x):
    grid = repeated(g, x, g.rng.uniform(-1.1, 1.1, size=(3, 3, 2)).astype(np.float32))
    return g.head(g.op("GridSample", x, grid, mode="nearest"))


@model("grid-sample-3d", shape=(1, 2, 3, 4), opset=20)
def _(g, x):
    return g.head(g.op("GridSample", x, places_for(g, x, 2, 1, 3, 3)))


@model("affine-grid", shape=(3, 3), opset=20)
def _(g, x):
    theta = g.op("Reshape", g.linear(g.op("Flatten", x), 6), g.const([-1, 2, 3]))
    size = g.op("Concat", batch_of(g, x), g.const([1, 3, 2]), axis=0)
    return g.head(g.op("Tanh", g.op("AffineGrid", theta, size)))


@model("affine-grid-3d", shape=(3, 3), opset=20)
def _(g, x):
    theta = g.op("Reshape", g.linear(g.op("Flatten", x), 12), g.const([-1, 3, 4]))
    size = g.op("Concat", batch_of(g, x), g.const([1, 2, 3, 2]), axis=0)
    return g.head(g.op("Tanh", g.op("AffineGrid", theta, size, align_corners=1)))


@model("spatial-transformer", shape=(2, 4, 3), opset=20)
def _(g, x):
    theta = g.op("Tanh", g.linear(g.op("Flatten", x), 6))
    theta = g.op("Reshape", theta, g.const([-1, 2, 3]))
    grid = g.op("AffineGrid", theta, g.op("Shape", x))
    return g.head(g.op("GridSample", x, grid))


for name, opset, mode in [("nearest", 9, "nearest"), ("linear", 9, "linear"),
                          ("scales-attribute", 8, "nearest")]:

    @model("upsample-" + name, shape=(2, 3, 4), opset=opset)
    def _(g, x, opset=opset, mode=mode):
        scales = [1.0, 1.0, 2.0, 3.0]
        x = g.op("Tanh", x)
        if opset == 9:
            y = g.op("Upsample", x, g.const(scales), mode=mode)
        else:
            y = g.op("Upsample", x, scales=scales, mode=mode)
        return g.pooled_head(g.op("Relu", g.conv(y, 2, 3)))


for name, opset, shape, scales, sizes, attributes in [
    ("antialias-linear", 18, (2, 7, 6), [1, 1, 0.5, 0.6], None,
     dict(mode="linear", antialias=1)),
    ("antialias-cubic", 18, (2, 7, 6), None, [4, 3],
     dict(mode="cubic", antialias=1)),
    ("antialias-cubic-outside", 18, (2, 7, 6), [1, 1, 0.5, 0.6], None,
     dict(mode="cubic", antialias=1, exclude_outside=1, cubic_coeff_a=-0.5)),
    ("cubic", 17, (2, 4, 3), [1, 1, 2, 1.7], None, dict(mode="cubic")),
    ("cubic-outside", 17, (2, 4, 3), [1, 1, 1.5, 2], None,
     dict(mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5,
          coordinate_transformation_mode="asymmetric")),
    ("linear-1d", 17, (3, 5), [1, 1, 1.6], None, dict(mode="linear")),
    ("linear-3d", 17, (2, 2, 3, 2), [1, 1, 2, 1.5, 2], None,
     dict(mode="linear", coordinate_transformation_mode="pytorch_half_pixel")),
    ("linear-symmetric", 19, (2, 4, 3), [1, 1, 1.6, 2.3], None,
     dict(mode="linear", coordinate_transformation_mode="half_pixel_symmetric")),
    ("nearest-ceil", 17, (2, 4, 3), [1, 1, 1.6, 2], None,
     dict(mode="nearest", nearest_mode="ceil",
          coordinate_transformation_mode="half_pixel")),
    ("nearest-prefer-ceil", 17, (3, 5), None, [3],
     dict(mode="nearest", nearest_mode="round_prefer_ceil",
          coordinate_transformation_mode="align_corners")),
    ("not-larger", 18, (2, 4, 3), None, [7, 5],
     dict(mode="linear", keep_aspect_ratio_policy="not_larger")),
]:

    @model("resize-" + name, shape=shape, opset=opset)
    def _(g, x, opset=opset, scales=scales, sizes=sizes, attributes=attributes):
        x = g.op("Tanh", x)
        if scales:
            y = g.op("Resize", x, "", g.const(np.array(scales, np.float32)), **attributes)
        elif opset == 18:
            y = g.op("Resize", x, "", "", g.const(sizes), axes=[2, 3], **attributes)
        else:
            front = g.op("Slice", g.op("Shape", x), g.const([0]), g.const([2]))
            sizes = g.op("Concat", front, g.const(sizes), axis=0)
            y = g.op("Resize", x, "", "", sizes, **attributes)
        return g.head(y)


@model("resize-crop", shape=(2, 5, 4), opset=17)
def _(g, x):
    # A region that lies partly outside the image.
    roi = g.const([0.0, 0.0, 0.1, 0.3, 1.0, 1.0, 0.8, 1.2])
    scales = g.const([1.0, 1.0, 0.8, 1.25])
    return g.head(g.op(
        "Resize", g.op("Tanh", x), roi, scales, mode="linear", extrapolation_value=0.4,
        coordinate_transformation_mode="tf_crop_and_resize",
    ))


# Fourier transforms and determinants.


@model("dft", shape=(5, 1))
def _(g, x):
    return g.head(g.op("Tanh", g.op("DFT", g.op("Tanh", x), axis=1)))


@model("dft-onesided", shape=(2, 6, 1), opset=20)
def _(g, x):
    y = g.op("DFT", g.op("Tanh", x), "", g.const(np.int64(2)), onesided=1)
    return g.head(g.op("Tanh", y))


@model("dft-inverse", shape=(4, 3, 2), opset=20)
def _(g, x):
    y = g.op("DFT", g.op("Tanh", x), "", g.const(np.int64(1)), inverse=1)
    return g.head(g.op("Tanh", y))


@model("dft-inverse-onesided", shape=(4, 2), opset=20)
def _(g, x):
    y = g.op("DFT", g.op("Tanh", x), "", g.const(np.int64(1)), inverse=1, onesided=1)
    return g.head(g.op("Tanh", y))


@model("dft-longer", shape=(3, 5, 2))
def _(g, x):
    # Padded along one axis, then cropped along another.
    y = g.op("DFT", g.op("Tanh", x), g.const(np.int64(8)), axis=2)
    y = g.op("DFT", y, g.const(np.int64(2)), axis=1)
    return g.head(g.op("Tanh", y))


@model("stft", shape=(12,))
def _(g, x):
    x = g.op("Unsqueeze", g.op("Tanh", x), g.const([2]))
    y = g.op(
        "STFT", x, g.const(np.int64(3)), g.positive(6), g.const(np.int64(6)),
        onesided=1,
    )
    return g.head(g.op("Tanh", y))


@model("stft-complex", shape=(8, 2))
def _(g, x):
    # Two-sided, as required for complex signals, and without a window.
    y = g.op("STFT", g.op("Tanh", x), g.const(np.int64(2)), "", g.const(np.int64(4)),
             onesided=0)
    return g.head(g.op("Tanh", y))


@model("stft-both-sides", shape=(10, 1))
def _(g, x):
    y = g.op("STFT", g.op("Tanh", x), g.const(np.int64(2)), g.positive(5), onesided=0)
    return g.head(g.op("Tanh", y))


# Recurrent layers. Time is the first axis and the batch the second.


def recurrent(g, x, kind, size=3, ways=1, bias=True, initial=False, lengths=None,
              peepholes=False, outputs=1, time_first=True, **attributes):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    columns = g.size(x)[-1]
    flat = g.op("Flatten", x)
    inputs = [
        g.op("Transpose", x, perm=[1, 0, 2]) if time_first else x,
        g.normal(ways, gates * size, columns, scale=0.7),
        g.normal(ways, gates * size, size, scale=0.7),
        g.normal(ways, 2 * gates * size, scale=0.3) if bias else "",
        repeated(g, x, np.int32(lengths)) if lengths else "",
    ]
    for _ in range(2 if kind == "LSTM" else 1):
        state = ""
        if initial:
            state = g.op("Tanh", g.linear(flat, ways * size))
            state = g.op("Reshape", state, g.const([-1, ways, size]))
            if time_first:
                state = g.op("Transpose", state, perm=[1, 0, 2])
        inputs.append(state)
    inputs.append(g.normal(ways, 3 * size, scale=0.7) if peepholes else "")
    while inputs[-1] == "":
        inputs.pop()
    made = g.op(kind, *inputs, hidden_size=size, outputs=outputs, **attributes)
    made = [made] if isinstance(made, str) else made
    parts = []
    for k, value in enumerate(made):
        if time_first:
            perm = [1, 0, 2]
            if k == 0 and not isinstance(outputs, list):
                perm = [2, 0, 1, 3]
            value = g.op("Transpose", value, perm=perm)
        parts.append(g.op("Flatten", value))
    return g.linear(parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=1))


BOTH = dict(ways=2, direction="bidirectional")

for name, kind, options in [
    ("rnn", "RNN", dict(size=4)),
    ("rnn-bidirectional", "RNN", dict(initial=True, outputs=2, **BOTH)),
    ("rnn-reverse-relu", "RNN", dict(bias=False, direction="reverse",
                                     activations=["Relu"])),
    ("rnn-lengths", "RNN", dict(lengths=3, outputs=2, **BOTH)),
    ("gru", "GRU", dict(bias=False)),
    ("gru-initial", "GRU", dict(initial=True, outputs=2)),
    ("gru-bidirectional", "GRU", dict(initial=True, linear_before_reset=1,
                                      outputs=["", "last"], **BOTH)),
    ("gru-reverse-lengths", "GRU", dict(lengths=2, direction="reverse", outputs=2)),
    ("lstm", "LSTM", dict()),
    ("lstm-initial", "LSTM", dict(initial=True, outputs=3, size=2)),
    ("lstm-bidirectional", "LSTM", dict(initial=True, size=2, outputs=3, **BOTH)),
    ("lstm-peepholes", "LSTM", dict(peepholes=True, direction="reverse")),
    ("lstm-lengths", "LSTM", dict(lengths=3, outputs=3, size=2, **BOTH)),
    ("lstm-activations", "LSTM", dict(activations=["Sigmoid", "Relu", "Tanh"],
                                      bias=False)),
]:

    @model(name, shape=(4, 3))
    def _(g, x, kind=kind, options=options):
        return recurrent(g, x, kind, **options)


for kind in ("RNN", "GRU", "LSTM"):

    # onnxruntime does not support the batch-first layout.
    @model(kind.lower() + "-batch-first", shape=(4, 3), runner="onnx.reference")
    def _(g, x, kind=kind):
        return recurrent(
            g, x, kind, size=2, initial=True, time_first=False, layout=1, outputs=2,
            **BOTH,
        )


# Control flow.


def body(g, name, build, inputs, outputs):
    """A subgraph for an attribute. `build` adds its nodes and returns its outputs.

    Inputs and outputs are tuples (type, shape).
    """
    around, g.nodes = g.nodes, []
    names = [g.fresh(name + "_in") for _ in inputs]
    results = build(*names)
    nodes, g.nodes = g.nodes, around

    def infos(values, kinds):
        return [
            helper.make_tensor_value_info(value, kind, shape)
            for value, (kind, shape) in zip(values, kinds)
        ]

    return helper.make_graph(
        nodes, name, infos(names, inputs), infos(results, outputs)
    )


FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


@model("if-shape", shape=(3, 4, 4))
def _(g, x):
    # The branch depends only on the number of channels.
    x = g.conv(x, 3, 4)
    channels = g.op("Gather", g.op("Shape", x), g.const(np.int64(1)), axis=0)
    test = g.op("Equal", channels, g.const(np.int64(4)))
    outputs = [(FLOAT, None)]
    scale = g.normal(4, 1, 1)
    yes = body(g, "yes", lambda: [g.op("Mul", g.op("Tanh", x), scale)], [], outputs)
    no = body(g, "no", lambda: [g.op("Relu", x)], [], outputs)
    return g.head(g.op("If", test, then_branch=yes, else_branch=no))


@model("if-shape-else", shape=(4, 3))
def _(g, x):
    # Two outputs, by the branch of a false condition.
    columns = g.op("Gather", g.op("Shape", x), g.const(np.int64(2)), axis=0)
    test = g.op("Greater", columns, g.const(np.int64(5)))
    outputs = [(FLOAT, None), (FLOAT, None)]
    yes = body(g, "yes", lambda: [g.op("Relu", x), g.op("Neg", x)], [], outputs)
    no = body(g, "no", lambda: [g.op("Tanh", x), g.op("Sin", x)], [], outputs)
    first, second = g.op("If", test, then_branch=yes, else_branch=no, outputs=2)
    return g.head(g.op("Mul", first, second))


@model("loop", shape=(6,))
def _(g, x):
    # Three steps of one layer, whose weights are outside of the loop.
    matrix, bias = g.normal(6, 6, scale=0.5), g.normal(6)
    state = ("N", 6)

    def step(_count, goes_on, h):
        h = g.op("Tanh", g.op("Add", g.op("MatMul", h, matrix), bias))
        return [g.op("Identity", goes_on), h]

    inside = body(
        g, "step", step, [(INT64, []), (BOOL, []), (FLOAT, state)],
        [(BOOL, []), (FLOAT, state)],
    )
    y = g.op("Loop", g.const(np.int64(3)), g.const(np.bool_(True)), x, body=inside)
    return g.linear(y)


@model("loop-counted", shape=(3, 4))
def _(g, x):
    # Each step reads the slice of the image with its number, and adds one slice
    # to the second output.
    state = ("N", 4)
    start = g.op("ReduceMean", x, axes=[1], keepdims=0)

    def step(count, goes_on, h):
        part = g.op("Gather", x, count, axis=1)
        h = g.op("Tanh", g.op("Add", g.op("Mul", h, weight), part))
        return [g.op("Identity", goes_on), h, g.op("Mul", h, part)]

    weight = g.normal(4)
    inside = body(
        g, "step", step, [(INT64, []), (BOOL, []), (FLOAT, state)],
        [(BOOL, []), (FLOAT, state), (FLOAT, state)],
    )
    last, each = g.op("Loop", g.const(np.int64(3)), "", start, body=inside, outputs=2)
    each = g.op("Flatten", g.op("Transpose", each, perm=[1, 0, 2]))
    return g.linear(g.op("Concat", last, each, axis=1))


@model("scan", shape=(4, 3))
def _(g, x):
    # A layer that sums along the second axis; the initial state depends on the
    # image.
    matrix = g.normal(3, 3, scale=0.7)
    start = g.op("ReduceMean", x, axes=[1], keepdims=0)

    def step(h, part):
        h = g.op("Tanh", g.op("Add", g.op("MatMul", h, matrix), part))
        return [h, g.op("Mul", h, part)]

    row = (FLOAT, ("N", 3))
    inside = body(g, "step", step, [row, row], [row, row])
    last, each = g.op(
        "Scan", start, x, body=inside, num_scan_inputs=1, scan_input_axes=[1],
        scan_output_axes=[1], outputs=2,
    )
    return g.linear(g.op("Concat", last, g.op("Flatten", each), axis=1))


@model("scan-reverse", shape=(4, 3))
def _(g, x):
    # Two inputs, one of them scanned backwards, along the default first axis.
    first = g.op("Transpose", x, perm=[1, 0, 2])
    second = g.op("Tanh", mixed(g, first, 3))
    start = g.op("Mul", sliced(g, x, [0], [1], [1]), g.const([0.0]))
    start = g.op("Squeeze", start, g.const([1]))

    def step(h, a, b):
        h = g.op("Add", g.op("Mul", h, g.op("Sigmoid", a)), b)
        return [h, g.op("Tanh", h)]

    row = (FLOAT, ("N", 3))
    inside = body(g, "step", step, [row, row, row], [row, row])
    _last, each = g.op(
        "Scan", start, first, second, body=inside, num_scan_inputs=2,
        scan_input_directions=[0, 1], scan_output_directions=[1], outputs=2,
    )
    return g.head(g.op("Transpose", each, perm=[1, 0, 2]))


def apply_after(made, after):
    """Changes the serialized form of the model, which a builder cannot do."""
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
    """The reference data of the first seed that is not rejected."""
    for attempt in range(200):
        try:
            return make(attempt)
        except Rejected:
            pass
    raise SystemExit(f"{name}: every seed was rejected")


def write_operators(out, index, only=None):
    for name, build, shape, opset, optional, low, options in MODELS:
        if only and name not in only:
            continue
        folder = out / "operators" / name
        folder.mkdir(parents=True, exist_ok=True)
        after = options.get("after")
        batch = options.get("batch", "N")
        runner = options.get("runner", "onnxruntime")

        def make(attempt):
            seed = [zlib.crc32(name.encode()), attempt, 0]
            g = Graph(seed, shape, opset, batch=batch, runner=runner)
            made = g.finish(build(g, g.x))
            apply_after(made, after)
            onnx.checker.check_model(made, full_check=True)
            x = input_for(name, attempt, shape, low)
            return made, numbers(made, x, runner=runner)

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
            index_line(f"operators/{name}/model.onnx", made, runner, optional)
        )
        print(name, flush=True)


# --- invalid and unusual models ----------------------------------------------

BAD_SHAPE = (3, 5, 4)


def plain(g, x=None):
    """A convolution, Relu, global average pooling and a linear layer."""
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
    # exp(exp(10 x)) overflows float32 from x = 0.449 on.
    big = g.op("Exp", g.op("Exp", g.op("Mul", g.x, g.const(np.float32(10)))))
    big = g.linear(g.op("Flatten", g.op("GlobalAveragePool", big)))
    return g.finish(g.op("Add", plain(g), g.op("Mul", big, g.const(np.float32(0.1)))))


def odd_constant_output(g):
    # The output depends on the batch size of the input only.
    shape = g.op("Concat", batch_of(g, g.x), g.const([CLASSES]), axis=0)
    return g.finish(g.op("Expand", g.normal(1, CLASSES), shape))


def odd_constant_output_zero(g):
    # The logits depend on the input times zero.
    return g.finish(plain(g, g.op("Mul", g.x, g.const(np.float32(0)))))


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
    # name, builder, options of Graph, lower bound of the input, runner
    ("batch1", odd_batch1, dict(batch=1), None, "onnxruntime"),
    ("batch1-reshape", odd_batch1_reshape, dict(batch=1), None, "onnxruntime"),
    ("two-outputs", odd_two_outputs, {}, None, "onnxruntime"),
    ("softmax-end", odd_softmax_end, {}, None, "onnxruntime"),
    ("overflow", odd_overflow, {}, -0.85, "onnxruntime"),
    ("constant-output", odd_constant_output, {}, None, "onnxruntime"),
    ("constant-output-zero", odd_constant_output_zero, {}, None, "onnxruntime"),
    ("dynamic-size", odd_dynamic_size, {}, None, "onnxruntime"),
    ("float16", odd_float16, {}, None, "onnxruntime"),
    ("double", odd_double, {}, None, "onnx.reference"),
]


def write_odd(folder, index):
    """Writes valid models that need special care or may be refused."""
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
    """A model with QuantizeLinear, QLinearConv, DequantizeLinear and int8 weights."""
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


def if_on_values():
    """A model whose branch depends on the largest value of the batch."""
    g = bad_graph("if")
    x = g.conv(g.x, 3, 4)
    test = g.op("Greater", g.op("ReduceMax", x, keepdims=0), g.const(np.float32(1)))
    branches = {}
    for branch, kind in (("then_branch", "Relu"), ("else_branch", "Tanh")):
        node = helper.make_node(kind, [x], [branch + "_out"], name=f"{branch}_{kind}")
        result = helper.make_tensor_value_info(branch + "_out", TensorProto.FLOAT, None)
        branches[branch] = helper.make_graph([node], branch, [], [result])
    return g.finish(g.pooled_head(g.op("If", test, name="choice", **branches)))


def external(name, location):
    """A model whose first weight tensor is in an external file that does not exist."""
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
        ("if", if_on_values(), True, True),
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
            except Exception as error:  # each library raises its own types
                happened = False
                reason = error
            if expected is not None and happened != expected:
                raise SystemExit(f"{name}: {reason if expected else 'was accepted'}")
        index.append(index_line(f"bad/{name}.onnx", made, ""))
        print("bad", name, flush=True)

    # The quantized model is piecewise constant, so it has no reference gradient.
    x = input_for("int8-quantized", 0, BAD_SHAPE)
    logits = session(quantized()).run(None, {"image": x})[0]
    np.save(folder / "int8-quantized.input.npy", x)
    np.save(folder / "int8-quantized.logits.npy", logits)
    write_odd(folder, index)


# --- pictures ----------------------------------------------------------------


def drawing(width=64, height=48, shift=0):
    """A colour gradient with a disc, a box and a line, without any symmetry."""
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

    # 16 bits per pixel, with information in the low bytes.
    grey = np.asarray(rgb.convert("L")).astype(np.uint32)
    ramp = np.arange(64, dtype=np.uint32)[None, :]
    deep = (grey * 256 + ramp * 4).astype(np.uint16)
    Image.fromarray(deep).save(folder / "grey16.png")

    # Transparent outside a disc, and partly transparent along its edge.
    y, x = np.mgrid[0:48, 0:64]
    distance = np.hypot(x - 32, y - 24)
    alpha = np.clip((24 - distance) / 6, 0, 1) * 255
    rgba = np.dstack([np.asarray(rgb), np.round(alpha).astype(np.uint8)])
    Image.fromarray(rgba, "RGBA").save(folder / "alpha.png", optimize=True)

    rgb.quantize(16, dither=Image.Dither.NONE).save(folder / "palette.png")
    rgb.save(folder / "rgb.jpg", quality=92, subsampling=0)

    # Orientation 6: turning the stored picture clockwise restores rgb.png.
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
