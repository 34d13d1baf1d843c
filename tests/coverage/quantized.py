"""Compares attriburn's scores with ONNX Runtime's on full-sized classifiers that ONNX Runtime quantizes.

    python tests/coverage/quantized.py OUT PICTURES [--program PROGRAM] [NAME ...]

Needs torch, torchvision, onnx, onnxruntime, numpy and pillow. `cargo build --release --workspace
--example differentiate` builds the program. For each model and each quantization method the script prints the
largest difference of a score from ONNX Runtime's, in quantization levels of the last quantized tensor, and
whether the top class agrees for every picture in the folder PICTURES. MobileNet-v2, ResNet-50 and ViT-B/16
have seeded random weights, and BatchNorm statistics of the pictures; EfficientNet-Lite0 has trained weights.
"""

import argparse
import contextlib
import io
import logging
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from onnxruntime.quantization import (
    CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
METHODS = {
    "qdq": dict(quant_format=QuantFormat.QDQ),
    "qdq, channels": dict(quant_format=QuantFormat.QDQ, per_channel=True),
    "qoperator": dict(quant_format=QuantFormat.QOperator),
    "qoperator, channels": dict(quant_format=QuantFormat.QOperator, per_channel=True),
    "dynamic": None,
}


def pictures(folder):
    """The pictures in a folder, with ImageNet's resizing, crop and normalization."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    paths = sorted(folder.glob("*.png")) + sorted(folder.glob("*.jpg"))
    rows = []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        scale = 256 / min(picture.size)
        picture = picture.resize([round(side * scale) for side in picture.size], Image.BILINEAR)
        left, top = ((side - 224) // 2 for side in picture.size)
        values = np.asarray(picture.crop((left, top, left + 224, top + 224))) / 255
        rows.append(((values - mean) / std).transpose(2, 0, 1).astype(np.float32))
    return np.stack(rows)


class Rows(CalibrationDataReader):
    """Calibration data: one picture at a time."""

    def __init__(self, name, rows):
        self.rows = iter([{name: row[None]} for row in rows])

    def get_next(self):
        return next(self.rows, None)


def model(name, folder, rows):
    """Exports the model, unless it exists already, and returns its path."""
    path = folder / f"{name}.onnx"
    if name == "efficientnet-lite0":
        return ROOT / "cli/assets/efficientnet-lite0.onnx"
    if not path.exists():
        torch.manual_seed(0)
        network = getattr(torchvision.models, name)(weights=None)
        for module in network.modules():
            if isinstance(module, torch.nn.Linear) and module.weight.abs().max() == 0:
                torch.nn.init.normal_(module.weight, std=0.02)
        network.train()
        with torch.no_grad():
            # Running statistics of the pictures give activations a realistic scale.
            for _ in range(20):
                network(torch.as_tensor(rows) + 0.3 * torch.randn(len(rows), 3, 224, 224))
        network.eval()
        batch = {0: torch.export.Dim("batch")}
        torch.onnx.export(network, (torch.as_tensor(rows),), path, dynamo=True, dynamic_shapes=(batch,),
                          input_names=["input"], output_names=["logits"], external_data=False)
    return path


def quantize(source, method, target, rows):
    if target.exists():
        return
    ready = target.with_suffix(".ready.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        if METHODS[method] is None:
            convolves = any(node.op_type == "Conv" for node in onnx.load(ready).graph.node)
            # ONNX Runtime's CPU backend has no dynamically quantized convolution with signed weights.
            quantize_dynamic(ready, target, weight_type=QuantType.QUInt8 if convolves else QuantType.QInt8)
        else:
            name = onnxruntime.InferenceSession(ready).get_inputs()[0].name
            quantize_static(ready, target, Rows(name, rows), activation_type=QuantType.QUInt8,
                            weight_type=QuantType.QInt8, **METHODS[method])


def last_scale(path):
    """The scale of the last quantized tensor; 0 if it is only known at run time."""
    graph = onnx.load(path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in reversed(graph.node):
        index = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "QGemm": 7, "QLinearAdd": 6,
                 "QLinearGlobalAveragePool": 3, "QLinearSoftmax": 3}.get(node.op_type)
        if index is not None and index < len(node.input):
            return float(stored[node.input[index]].max())
    return 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("names", nargs="*", default=["mobilenet_v2", "resnet50", "vit_b_16", "efficientnet-lite0"])
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/differentiate"))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    rows = pictures(arguments.pictures)
    np.save(out / "input.npy", rows)
    for name in arguments.names:
        source = model(name, out, rows)
        for method in METHODS:
            target = out / f"{name}.{method.replace(', ', '-')}.onnx"
            quantize(source, method, target, rows)
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            session = onnxruntime.InferenceSession(target, options)
            input_name = session.get_inputs()[0].name
            expected = np.concatenate([session.run(None, {input_name: row[None]})[0] for row in rows])
            result = subprocess.run(
                [arguments.program, target, out / "input.npy", "0", out],
                capture_output=True, text=True,
            )
            if result.returncode:
                print(f"{name}, {method}: {result.stderr.strip()}")
                continue
            scores, gradient = np.load(out / "scores.npy"), np.load(out / "gradient.npy")
            scale = last_scale(target)
            error = np.abs(scores - expected).max()
            levels = f"{error / scale:.2f} levels" if scale else "no fixed scale"
            same = (scores.argmax(1) == expected.argmax(1)).all()
            print(f"{name}, {method}: {levels}, {error / np.abs(expected).max():.1e} of the largest score, "
                  f"top classes {'the same' if same else 'DIFFER'}, gradient {np.abs(gradient).mean():.1e}")


main()
