"""Writes ONNX files that need far more memory than their size, for tests/tests/fuzzed.rs.

    python -m venv VENV && VENV/bin/pip install onnx numpy
    VENV/bin/python tests/data/fuzzed.py tests/data/fuzzed/model

Each of their tensors has an acceptable size; together they exhaust the memory.
"""

import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

COUNT = 60
SIZE = 1 << 26


def write(path, nodes, initializers):
    sample = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph(nodes, "graph", [sample], [scores], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def scalar(name, value):
    return helper.make_tensor(name, TensorProto.FLOAT, [], [float(value)])


def ints(name, values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def main(folder):
    names = [str(at) for at in range(COUNT)]
    numbers = [scalar(f"c{name}", 1 + at) for at, name in enumerate(names)]
    # Constants: constant folding computes all of them before the sum.
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["zeros"])]
    nodes += [helper.make_node("Add", ["zeros", f"c{name}"], [f"t{name}"]) for name in names]
    nodes += [
        helper.make_node("Sum", [f"t{name}" for name in names], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], keepdims=0),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    write(folder / "constants-of-gigabytes.onnx", nodes, [*numbers, ints("size", [SIZE])])
    # The same with values that depend on the input.
    nodes = [helper.make_node("Tile", ["x", "times"], ["long"])]
    nodes += [helper.make_node("Mul", ["long", f"c{name}"], [f"t{name}"]) for name in names]
    nodes += [
        helper.make_node("Sum", [f"t{name}" for name in names], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    write(folder / "values-of-gigabytes.onnx", nodes, [*numbers, ints("times", [1, SIZE // 4])])


main(Path(sys.argv[1]))
