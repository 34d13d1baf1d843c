"""Attribution maps of image classifiers.

>>> import attriburn
>>> model = attriburn.Model("resnet50.onnx")
>>> input = attriburn.Preprocess("imagenet", model.input_shape).input("photo.jpg")
>>> map = model.explain(input, plan=attriburn.adaptgrad(samples=50))
>>> map.values.shape, map.prediction.class_index
"""

from attriburn._native import (
    Error,
    Input,
    Map,
    Model,
    Plan,
    Prediction,
    Preprocess,
    Target,
    devices,
    example_model,
    example_picture,
    imagenet_labels,
    methods,
    plan,
    set_threads,
)
from attriburn._plans import (
    adaptgrad,
    gradient,
    grad_cam,
    integrated_gradients,
    noisegrad,
    smoothdiff,
    smoothgrad,
)
from attriburn._torch import from_torch
from attriburn import metrics
from attriburn._native import after_fork as _after_fork

import importlib as _importlib
import os as _os

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork)


def __getattr__(name):
    # The adapters need packages that attriburn does not.
    if name in ("captum", "quantus"):
        return _importlib.import_module(f"attriburn.{name}")
    raise AttributeError(f"module 'attriburn' has no attribute {name!r}")

__all__ = [
    "Error",
    "Input",
    "Map",
    "Model",
    "Plan",
    "Prediction",
    "Preprocess",
    "Target",
    "adaptgrad",
    "devices",
    "example_model",
    "example_picture",
    "from_torch",
    "grad_cam",
    "gradient",
    "imagenet_labels",
    "integrated_gradients",
    "methods",
    "metrics",
    "noisegrad",
    "plan",
    "set_threads",
    "smoothdiff",
    "smoothgrad",
]
