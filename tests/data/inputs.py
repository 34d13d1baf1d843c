"""Writes a model with several inputs, and the same model with stored values instead of all inputs but one.

    python -m venv VENV && VENV/bin/pip install onnx numpy
    VENV/bin/python tests/data/inputs.py tests/data/inputs

several.onnx has four inputs: images x [n, 3, 6, 6], a condition [n, 4] that is concatenated to the features,
a temperature [1], and integer classes [n] whose embedding is added. stored.onnx stores the values of
condition.npy, temperature.npy and class.npy instead. The condition and the class are those of one sample, and
are expanded to the batch.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(5)
CONDITION = RANDOM.standard_normal((1, 4)).astype(np.float32)
TEMPERATURE = np.float32([1.7])
CLASS = np.int64([2])


def weight(name, *shape):
    return numpy_helper.from_array(RANDOM.standard_normal(shape).astype(np.float32), name)


def graph(inputs, constants, expansion):
    nodes = [
        helper.make_node("Conv", ["x", "filters"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        *expansion,
        helper.make_node("Concat", ["f", "condition_n"], ["joined"], axis=1),
        helper.make_node("Gather", ["table", "class_n"], ["embedded"]),
        helper.make_node("Add", ["joined", "embedded"], ["sum"]),
        helper.make_node("MatMul", ["sum", "weights"], ["scores"]),
        helper.make_node("Div", ["scores", "temperature"], ["logits"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    return helper.make_graph(nodes, "inputs", [*inputs, x], [logits], constants)


def save(graph, path):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main(folder):
    folder.mkdir(exist_ok=True)
    weights = [weight("filters", 5, 3, 3, 3), weight("weights", 9, 3), weight("table", 6, 9)]
    others = [
        helper.make_tensor_value_info("condition", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("class", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("temperature", TensorProto.FLOAT, [1]),
    ]
    identities = [
        helper.make_node("Identity", ["condition"], ["condition_n"]),
        helper.make_node("Identity", ["class"], ["class_n"]),
    ]
    save(graph(others, weights, identities), folder / "several.onnx")
    stored = [
        numpy_helper.from_array(CONDITION, "condition"),
        numpy_helper.from_array(CLASS, "class_n"),
        numpy_helper.from_array(TEMPERATURE, "temperature"),
        numpy_helper.from_array(np.int64([0]), "zero"),
        numpy_helper.from_array(np.int64([1]), "one"),
        numpy_helper.from_array(np.int64([4]), "four"),
    ]
    expansion = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["rows"]),
        helper.make_node("Concat", ["rows", "four"], ["sizes"], axis=0),
        helper.make_node("Expand", ["condition", "sizes"], ["condition_n"]),
    ]
    save(graph([], [*weights, *stored], expansion), folder / "stored.onnx")
    for name, value in [("condition", CONDITION), ("temperature", TEMPERATURE), ("class", CLASS)]:
        np.save(folder / f"{name}.npy", value)


main(Path(sys.argv[1]))
