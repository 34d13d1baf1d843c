"""Writes ONNX's own conformance cases as files.

    python conformance.py OUT

Needs onnx; version 1.23.2 wrote the committed cases and the list conformance.tsv. Each folder OUT/KIND/NAME/
receives model.onnx, and input_0.pb, ..., output_0.pb, ... of the case's first data set. Cases are skipped if
an input or output is not a tensor (a sequence, an optional value, a map), or has a string, float8 or
sub-4-bit type.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

KINDS = ["node", "simple", "pytorch-operator", "pytorch-converted", "light"]
TYPES = {
    TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16,
    TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16,
    TensorProto.DOUBLE, TensorProto.UINT32, TensorProto.UINT64, TensorProto.BFLOAT16,
    TensorProto.UINT4, TensorProto.INT4,
}


def tensors(values, infos):
    """Converts arrays to tensors named by the graph's inputs or outputs."""
    for value, info in zip(values, infos):
        if isinstance(value, TensorProto):
            yield value
            continue
        tensor = numpy_helper.from_array(np.asarray(value), info.name)
        yield tensor


def has_supported_types(model):
    """Whether all inputs and outputs are tensors of a supported type."""
    values = list(model.graph.input) + list(model.graph.output)
    return all(v.type.HasField("tensor_type") and v.type.tensor_type.elem_type in TYPES for v in values)


def stored_tensors(folder, prefix):
    """Reads PREFIX_0.pb, PREFIX_1.pb, ... in their order."""
    files = sorted(folder.glob(f"{prefix}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
    for file in files:
        yield TensorProto.FromString(file.read_bytes())


def main(out):
    for kind in KINDS:
        count = 0
        for case in load_model_tests(kind=kind):
            if case.model is not None:
                model = case.model
                inputs, outputs = case.data_sets[0]
                if not has_supported_types(model):
                    continue
                inputs = list(tensors(inputs, model.graph.input))
                outputs = list(tensors(outputs, model.graph.output))
            else:
                folder = Path(case.model_dir or "")
                if not (folder / "model.onnx").exists():
                    continue
                model = onnx.load(folder / "model.onnx")
                if not has_supported_types(model):
                    continue
                data = folder / "test_data_set_0"
                inputs, outputs = list(stored_tensors(data, "input")), list(stored_tensors(data, "output"))
            target = out / kind / case.name
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            (target / "model.onnx").write_bytes(model.SerializeToString())
            for name, values in [("input", inputs), ("output", outputs)]:
                for index, value in enumerate(values):
                    (target / f"{name}_{index}.pb").write_bytes(value.SerializeToString())
            count += 1
        print(kind, count)


main(Path(sys.argv[1]))
