#!/usr/bin/env python3
"""Writes small models whose inputs are not images, or whose outputs are not one row of scores per sample.

    pip install torch onnx onnxruntime numpy
    python shapes.py          # writes folders shapes/<name>/

    model.onnx, input.npy [2, ...], target.npy [2]
    logits.npy [2, classes]   the mean over positions, or the inputs of the softmax if the model ends in one
    gradient.npy [2, ...]     the gradient of each row's target logit, by PyTorch in float64
    probability_gradient.npy  the gradient of the target's probability, for models that end in a softmax

The outputs are checked against ONNX Runtime.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).parent / "shapes"
RANDOM = np.random.default_rng(20261123)


def weight(name, *shape):
    return name, (RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)


def save(name, nodes, weights, shape, output_shape, forward, soft=False):
    """Writes one model with its data. `forward` computes the logits [2, classes] from x and the weights."""
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *output_shape])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    x = RANDOM.standard_normal((2, *shape)).astype(np.float32)
    output = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"x": x})[0]
    leaf = torch.from_numpy(x).double().requires_grad_(True)
    values = {key: torch.from_numpy(value).double() for key, value in weights.items() if value.dtype == np.float32}
    logits = forward(leaf, values)
    expected = torch.softmax(logits, 1) if soft else logits
    reduced = output.reshape(expected.shape) if output.size == expected.numel() else reduce(output)
    assert np.abs(expected.detach().numpy() - reduced).max() < 1e-5, name
    target = logits.argmax(1)
    np.save(folder / "input.npy", x)
    np.save(folder / "target.npy", target.numpy())
    np.save(folder / "logits.npy", logits.detach().float().numpy())
    scores = {"gradient": logits, **({"probability_gradient": expected} if soft else {})}
    for file, score in scores.items():
        gradient = torch.autograd.grad(score.gather(1, target[:, None]).sum(), leaf, retain_graph=True)[0]
        np.save(folder / f"{file}.npy", gradient.float().numpy())
    print(name, output.shape, "->", tuple(logits.shape))


def reduce(output):
    """The mean over positions: the middle axis of a sequence, or all axes after the classes."""
    return output.mean(1) if output.ndim == 3 else output.mean(tuple(range(2, output.ndim)))


def conv(x, v):
    return torch.nn.functional.conv2d(x, v["w"], v["b"], padding=1)


CONV = [node("Conv", "x w b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
w, b = weight("w", 5, 3, 3, 3), weight("b", 5, 1)
kernel = {"w": w[1], "b": b[1].reshape(5)}
save("spatial", CONV + [node("Tanh", "c", "y")], kernel, [3, 6, 7], [5, 6, 7],
     lambda x, v: torch.tanh(conv(x, v)).mean((2, 3)))
save("softmax-of-maps", CONV + [node("GlobalAveragePool", "c", "p"), node("Softmax", "p", "s", axis=1),
                                node("Flatten", "s", "y")],
     kernel, [3, 6, 7], [5], lambda x, v: conv(x, v).mean((2, 3)), soft=True)

save("softmax-cast-and-turned",
     CONV + [node("GlobalAveragePool", "c", "p"), node("Softmax", "p", "s", axis=1),
             node("Cast", "s", "f", to=TensorProto.FLOAT), node("Transpose", "f", "y", perm=[0, 2, 3, 1])],
     kernel, [3, 6, 7], [1, 1, 5], lambda x, v: conv(x, v).mean((2, 3)), soft=True)

first, second = weight("v", 8, 6), weight("u", 6, 4)
dense = {"v": first[1], "u": second[1]}
layers = [node("MatMul", "x v", "h"), node("Tanh", "h", "t")]
save("vector", layers + [node("MatMul", "t u", "y")], dense, [8], [4],
     lambda x, v: torch.tanh(x @ v["v"]) @ v["u"])
save("sequence", layers + [node("MatMul", "t u", "y")], dense, [5, 8], [5, 4],
     lambda x, v: (torch.tanh(x @ v["v"]) @ v["u"]).mean(1))
save("sequence-pooled", layers + [node("ReduceMean", "t", "m", axes=[1], keepdims=0), node("MatMul", "m u", "y")],
     dense, [5, 8], [4], lambda x, v: torch.tanh(x @ v["v"]).mean(1) @ v["u"])
constant = helper.make_node("Constant", [], ["v"], name="v", value=numpy_helper.from_array(first[1]))
save("weights-in-nodes",
     [constant, node("MatMul", "x v", "h"), node("Add", "h mask", "m"), node("Softmax", "m", "a", axis=1),
      node("Pow", "a two", "p"), node("MatMul", "p u", "y")],
     {"u": second[1], "mask": np.array([0, -np.inf, 0, 0, 0, 0], np.float32), "two": np.array([2], np.float32)},
     [8], [4],
     lambda x, v: torch.softmax(x @ torch.from_numpy(first[1]).double() + v["mask"], 1) ** 2 @ v["u"])
save("one-score", layers + [node("ReduceMean", "t", "y", axes=[1], keepdims=0)], {"v": first[1]}, [8], [],
     lambda x, v: torch.tanh(x @ v["v"]).mean(1, keepdim=True))
save("no-weights", [node("Tanh", "x", "y")], {}, [8], [8], lambda x, v: torch.tanh(x))
