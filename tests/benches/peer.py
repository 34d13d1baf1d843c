"""Times AdaptGrad maps of 50 samples by PyTorch, in its fastest setting, and by attriburn, on the same model.

    python -m venv PEER && PEER/bin/pip install torch torchvision timm onnx onnxscript
    PEER/bin/python tests/benches/peer.py [--rounds 5] [--models DIR] [--device cuda] [NAME ...]

Run it on an idle machine from the root of the repository. The models have seeded random weights. In each
round, every setting of PyTorch and attriburn compute one map in turn. The script prints medians, and the
ratio of attriburn to the fastest setting of PyTorch. The settings are

    one by one         batches of one sample, as in the published AdaptGrad code
    NCHW, b            batches of b samples
    channels_last, b   batches of b samples in the channels-last memory layout
    TF32, ...          on a GPU: TF32 is allowed in float32 matrix products and convolutions; otherwise
                       PyTorch computes in float32 throughout

With --memory, the script prints the peak memory of a process that computes one map instead, for attriburn and
for PyTorch with the same batch size.
"""

import argparse
import json
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import timm
import torch
import torchvision

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "efficientnet_lite0", "mobilenet_v2", "vgg16", "resnet50", "vit_b_16", "convnext_tiny",
    "efficientnet_b0",
]
LOW, HIGH = -2.0, 2.0
SAMPLES = 50
BATCHES = {"cpu": [1, 10, 25], "cuda": [10, 25, 50]}


def build(name):
    """The PyTorch model with seeded random weights."""
    torch.manual_seed(0)
    if name in timm.list_models() and not hasattr(torchvision.models, name):
        model = timm.create_model(name, exportable=True)
    else:
        model = getattr(torchvision.models, name)(weights=None)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def export(name, folder):
    """Exports the model, unless it exists already, and returns its path."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        batch = {0: torch.export.Dim("batch")}
        torch.onnx.export(
            build(name), (torch.randn(2, 3, 224, 224),), path, dynamo=True,
            dynamic_shapes=(batch,), input_names=["input"], output_names=["logits"],
            external_data=False,
        )
    return path


def gradient(model, batch):
    """The gradient of logit 0 with respect to each sample."""
    batch = batch.detach().requires_grad_(True)
    return torch.autograd.grad(model(batch)[:, 0].sum(), batch)[0]


def adaptgrad(model, x, batch, layout):
    distance = torch.minimum((x - LOW).abs(), (x - HIGH).abs())
    sigma = distance / (math.sqrt(2) * torch.erfinv(torch.tensor((1 + 0.95) / 2)))
    total = torch.zeros_like(x)
    for start in range(0, SAMPLES, batch):
        count = min(batch, SAMPLES - start)
        points = x + sigma * torch.randn(count, *x.shape[1:], device=x.device)
        points = points.contiguous(memory_format=layout)
        total += gradient(model, points).sum(0, keepdim=True)
    return (total / SAMPLES).cpu()


def settings(name, device):
    """Yields each setting of PyTorch: its name, and model, batch size, layout, whether TF32 is allowed."""
    nchw = build(name).to(device)
    channels_last = build(name).to(device, memory_format=torch.channels_last)
    layouts = {"NCHW": (nchw, torch.contiguous_format), "channels_last": (channels_last, torch.channels_last)}
    for tf32 in [False, True] if device == "cuda" else [False]:
        for layout, (model, memory) in layouts.items():
            for batch in BATCHES[device]:
                prefix = "TF32, " if tf32 else ""
                one_by_one = batch == 1 and layout == "NCHW"
                setting = "one by one" if one_by_one else f"{prefix}{layout}, {batch}"
                yield setting, (model, batch, memory, tf32)


def allow_tf32(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def program():
    """Builds the benchmark `map`, and returns its path."""
    build = ["cargo", "bench", "--bench", "map", "--no-run", "--message-format", "json"]
    lines = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in lines.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "map" and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo did not build the benchmark `map`")


def peak(name, batch):
    """The peak memory of this process after one map, in MB."""
    x = torch.rand(1, 3, 224, 224) * (HIGH - LOW) + LOW
    adaptgrad(build(name), x, batch, torch.contiguous_format)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def memory(names, folder, ours):
    """Prints the peak memory of attriburn and PyTorch for each model."""
    for name in names:
        path = export(name, folder)
        output = subprocess.run(
            [ours, "memory", str(SAMPLES), path, "cpu"], check=True, capture_output=True, text=True
        ).stdout
        size = int(output.split()[-1])
        child = [sys.executable, __file__, "--peak", str(size), name]
        theirs = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        own = float(output.split()[0]) / 1e3
        print(f"{name}, batches of {size}: attriburn {own:.0f} MB, PyTorch {theirs:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=Path, default=ROOT / "target" / "peer")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=list(BATCHES), default="cpu")
    parser.add_argument("--program", help="path of the benchmark `map`, if it is built already")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        return print(peak(arguments.names[0], arguments.peak))
    ours = arguments.program or program()
    if arguments.memory:
        return memory(arguments.names, arguments.models, ours)
    device = arguments.device
    card = torch.cuda.get_device_name() if device == "cuda" else f"{arguments.threads} threads"
    torch.backends.cudnn.benchmark = True
    print(f"PyTorch {torch.__version__}, {card}")
    for name in arguments.names:
        path = export(name, arguments.models)
        x = (torch.rand(1, 3, 224, 224) * (HIGH - LOW) + LOW).to(device)
        theirs = dict(settings(name, device))
        seconds = {setting: [] for setting in [*theirs, "attriburn"]}
        for model, batch, layout, tf32 in theirs.values():
            allow_tf32(tf32)
            gradient(model, x.repeat(batch, 1, 1, 1).contiguous(memory_format=layout))
        for _ in range(arguments.rounds):
            for setting, (model, batch, layout, tf32) in theirs.items():
                allow_tf32(tf32)
                start = time.perf_counter()
                adaptgrad(model, x, batch, layout)
                seconds[setting].append(time.perf_counter() - start)
            once = [ours, "--once", device, path]
            output = subprocess.run(once, check=True, capture_output=True, text=True)
            seconds["attriburn"].append(float(re.findall(r"[\d.e-]+", output.stdout)[-1]))
        medians = {setting: statistics.median(own) for setting, own in seconds.items()}
        own = medians.pop("attriburn")
        best = min(medians, key=medians.get)
        print(f"{name}: attriburn {own / SAMPLES * 1e3:.2f} ms per gradient, "
              f"{own / medians[best]:.2f} times PyTorch's fastest setting ({best})")
        for setting, own in medians.items():
            print(f"    {setting:<24} {own / SAMPLES * 1e3:.2f} ms")


main()
