"""Writes a model of the zoo in the form of TensorFlow exports: NHWC, byte inputs, internal normalization.

    python -m venv VENV && VENV/bin/pip install onnx numpy
    VENV/bin/python tests/data/layouts.py tests/data

The script writes layouts/nhwc.onnx, with a float input [N, height, width, channels], and
layouts/nhwc-uint8.onnx, with a byte input that is first cast, transposed, and normalized with ImageNet's mean
and standard deviation.
"""

import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper
import numpy as np

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def wrap(model, element, preamble, constants):
    """Replaces the NCHW input of `model` by an NHWC input of the type `element`, followed by `preamble`."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    inner = graph.input[0]
    batch, channels, height, width = [axis.dim_value for axis in inner.type.tensor_type.shape.dim]
    outer = helper.make_tensor_value_info("picture", element, ["N", height, width, channels])
    nodes = list(graph.node)
    del graph.node[:], graph.input[:]
    graph.node.extend([*preamble(inner.name), *nodes])
    graph.input.append(outer)
    graph.initializer.extend(constants)
    onnx.checker.check_model(model)
    return model


def main(data):
    model = onnx.load(data / "zoo/resnet-tiny/model.onnx")
    folder = data / "layouts"
    folder.mkdir(exist_ok=True)

    def float_preamble(name):
        return [helper.make_node("Transpose", ["picture"], [name], perm=[0, 3, 1, 2])]

    def byte_preamble(name):
        return [
            helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["first"], perm=[0, 3, 1, 2]),
            helper.make_node("Sub", ["first", "byte_mean"], ["centred"]),
            helper.make_node("Div", ["centred", "byte_std"], [name]),
        ]

    onnx.save(wrap(model, TensorProto.FLOAT, float_preamble, []), folder / "nhwc.onnx")
    constants = [
        numpy_helper.from_array(np.float32(np.reshape(values, (1, 3, 1, 1))) * 255, name)
        for values, name in [(MEAN, "byte_mean"), (STD, "byte_std")]
    ]
    onnx.save(wrap(model, TensorProto.UINT8, byte_preamble, constants), folder / "nhwc-uint8.onnx")


main(Path(sys.argv[1]))
