#!/usr/bin/env python3
"""Computes the parameter gradients of three models of the zoo with PyTorch.

    pip install torch onnx numpy
    python parameter_gradients.py        # writes files beside each model

Files beside `zoo/<name>/model.onnx`:
    parameters.txt            the names of the parameters in the order of the model file, one per line
    parameter_gradients.npy   float32, flat: the gradients of the sum of both rows' target logits with respect
                              to all parameters, concatenated in that order

The nodes of the model are run one by one with torch.nn.functional in float64; the stored tensors are leaves.
The logits are checked against the reference before the files are written.
"""
import pathlib

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

NAMES = ["lenet", "densenet-tiny", "convnext-tiny"]


def pads(attributes):
    begin_end = attributes.get("pads", [0, 0, 0, 0])
    assert begin_end[:2] == begin_end[2:], "symmetric padding"
    return begin_end[:2]


def conv(a, x, w, b=None):
    return F.conv2d(x, w, b, a.get("strides", 1), pads(a), a.get("dilations", 1), a.get("group", 1))


def gemm(a, x, w, b=None):
    x = x.T if a.get("transA", 0) else x
    w = w.T if a.get("transB", 0) else w
    y = a.get("alpha", 1.0) * (x @ w)
    return y if b is None else y + a.get("beta", 1.0) * b


def average_pool(a, x):
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), pads(a), False, bool(a.get("count_include_pad", 0)))


def layer_norm(a, x, w, b=None):
    assert a.get("axis", -1) in (-1, x.dim() - 1)
    return F.layer_norm(x, x.shape[-1:], w, b, a.get("epsilon", 1e-5))


OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "BatchNormalization": lambda a, x, w, b, m, v: F.batch_norm(x, m, v, w, b, eps=a.get("epsilon", 1e-5)),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Conv": conv,
    "Div": lambda a, x, y: x / y,
    "Erf": lambda a, x: torch.erf(x),
    "Flatten": lambda a, x: torch.flatten(x, a.get("axis", 1)),
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Identity": lambda a, x: x,
    "LayerNormalization": layer_norm,
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": lambda a, x: F.max_pool2d(x, a["kernel_shape"], a.get("strides", 1), pads(a)),
    "Mul": lambda a, x, y: x * y,
    "Relu": lambda a, x: F.relu(x),
    "Transpose": lambda a, x: x.permute(a["perm"]),
}


def double(tensor):
    array = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    return array.double() if array.is_floating_point() else array


def run(folder):
    graph = onnx.load(folder / "model.onnx").graph
    statistics = {n.input[i] for n in graph.node if n.op_type == "BatchNormalization" for i in (3, 4)}
    values, parameters = {}, {}
    for tensor in graph.initializer:
        values[tensor.name] = double(tensor)
        if values[tensor.name].is_floating_point() and tensor.dims and tensor.name not in statistics:
            parameters[tensor.name] = values[tensor.name].requires_grad_(True)
    values[graph.input[0].name] = torch.from_numpy(np.load(folder / "input.npy")).double()
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            values[node.output[0]] = double(attributes["value"])
            continue
        inputs = [values[name] for name in node.input if name]
        values[node.output[0]] = OPERATORS[node.op_type](attributes, *inputs)
    logits = values[graph.output[0].name]
    expected = np.load(folder / "logits.npy")
    assert np.abs(logits.detach().numpy() - expected).max() <= 1e-4 * np.abs(expected).max(), folder
    targets = torch.from_numpy(np.load(folder / "target.npy").astype(np.int64))
    score = logits.gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(score, list(parameters.values()))
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients]).float().numpy()
    np.save(folder / "parameter_gradients.npy", flat)
    (folder / "parameters.txt").write_text("\n".join(parameters) + "\n")
    print(folder.name, len(parameters), "parameters,", flat.size, "values")


for name in NAMES:
    run(pathlib.Path(__file__).parent / "zoo" / name)
