"""A measurement compares the logits and gradients of one model by attriburn, ONNX Runtime and PyTorch."""

import os
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxscript  # noqa: F401: imported once here instead of in every measurement
import timm
import torch
import torchvision
from document import AGREE, is_decided

warnings.filterwarnings("ignore")

EXPORTERS = ["TorchScript", "dynamo"]
THREADS = int(os.environ.get("OMP_NUM_THREADS", 2))
PROGRAM_LIMIT = 150  # seconds for one run of attriburn
DRAWS = 6  # maximum number of image batches that are drawn until one image is free of kinks


def versions():
    modules = [torch, torchvision, timm, onnx, onnxscript, onnxruntime]
    return {module.__name__: module.__version__.split("+")[0] for module in modules}


# Models


def create(name, side):
    """Creates the model with random weights, and the images for its measurement."""
    torch.manual_seed(0)
    library, _, entry = name.partition("/")
    if library == "timm":
        model = timm.create_model(entry, num_classes=1000)
        side = side or model.pretrained_cfg["input_size"][-1]
    else:
        model = torchvision.models.get_model(entry, weights=None)
        weights = torchvision.models.get_model_weights(entry).DEFAULT
        side = side or weights.transforms().crop_size[0]
    enliven(model, side)
    return model.eval(), torch.randn(max(2, 80_000 // side**2), 3, side, side)


def enliven(model, side):
    """Randomizes constant parameters, and fits the running statistics of BatchNorm.

    With their initial values, norms would be identities, and layer scales of 1e-6 or 0 would hide branches.
    """
    for parameter in model.parameters():
        values = parameter.data
        if values.numel() == 0 or values.min() != values.max():
            continue
        if values.flatten()[0] != 0 or values.ndim == 0:
            values.uniform_(0.5, 1.5)
        elif values.ndim == 1:
            values.uniform_(-0.3, 0.3)
        else:
            values.normal_(0, 0.1)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(torch.randn(4, 3, side, side) * 1.3 + 0.2)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


def export(model, images, path, exporter, free):
    """Exports the model with a free batch axis, or with the batch size of `images`."""
    if exporter == "TorchScript":
        axes = {"images": {0: "batch"}, "logits": {0: "batch"}} if free else None
        names = {"input_names": ["images"], "output_names": ["logits"]}
        torch.onnx.export(model, (images,), path, dynamic_axes=axes, dynamo=False, **names)
    else:
        shapes = ({0: torch.export.Dim("batch")},) if free else None
        torch.onnx.export(model, (images,), path, dynamic_shapes=shapes, dynamo=True, verbose=False)


def exported(model, images, path, exporter):
    """Exports a file that ONNX Runtime can run, with a free batch axis if possible, and returns the outcome.

    The export uses three images and the check two, so a file with a hard-coded batch size fails.
    """
    try:
        export(model, torch.cat([images, images])[:3], path, exporter, free=True)
        run_onnx(path, images[:2])
        return {"batch": "free"}
    except Exception as error:
        reason = first_line(error).replace(str(path), path.name)
    try:
        export(model, images[:1], path, exporter, free=False)
        run_onnx(path, images[:1])
        return {"batch": "fixed", "batch_reason": reason}
    except Exception as error:
        return {"export": first_line(error).replace(str(path), path.name)}


# The three programs


def run_onnx(path, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = [value.name for value in session.get_inputs()]
    return torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def run_torch(model, images, target=None):
    """Logits, and the gradient of the logit `target` (default: the largest logit of the first image)."""
    images = images.clone().requires_grad_(True)
    logits = model(images)
    target = logits[0].argmax().item() if target is None else target
    (gradient,) = torch.autograd.grad(logits[:, target].sum(), images)
    return logits.detach(), gradient, target


def run_attriburn(program, path, images, target):
    """Logits and gradient by attriburn. Raises the program's error message if it fails."""
    folder = path.parent
    np.save(folder / "images.npy", images.numpy())
    command = [program, path, folder / "images.npy", str(target), folder]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(THREADS)}
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=PROGRAM_LIMIT, env=environment
    )
    if result.returncode != 0:
        reason = result.stderr.strip() or f"exit code {result.returncode}"
        raise RuntimeError(reason.replace(str(path), path.name))
    return [torch.from_numpy(np.load(folder / f"{part}.npy")) for part in ["scores", "gradient"]]


# Comparisons


def relative_maximum(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def relative_l2(a, b):
    """Relative L2 error of each image."""
    a, b = a.double().flatten(1), b.double().flatten(1)
    return ((a - b).norm(dim=1) / b.norm(dim=1)).tolist()


def cosine(a, b):
    """Cosine similarity of each image."""
    a, b = a.double().flatten(1), b.double().flatten(1)
    return torch.nn.functional.cosine_similarity(a, b).tolist()


def first_line(error):
    """The type and the first line of the root cause of `error`."""
    while error.__cause__:
        error = error.__cause__
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def slopes(model, image, target, gradients, step=1e-8):
    """Directional derivatives at an image by the float64 model's central differences and by each gradient.

    There are two directions: a random one, and the difference of the gradients by attriburn and PyTorch.
    """
    random = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).double()
    for direction in [random, gradients["attriburn"].double() - gradients["torch"].double()]:
        direction = direction / direction.norm()
        with torch.no_grad():
            ahead, behind = (model(image + s * direction)[0, target].item() for s in [step, -step])
        along = {name: (g.double() * direction).sum().item() for name, g in gradients.items()}
        yield {"differences": (ahead - behind) / (2 * step), **along}


# Measurements. Each yields its results step by step.


def of_exported(name, exporter, side, program):
    torch.set_num_threads(THREADS)
    yield {"versions": versions()}
    model, images = create(name, side)
    yield {"side": images.shape[-1], "parameters": sum(p.numel() for p in model.parameters())}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        found = exported(model, images, path, exporter)
        yield found
        if "batch" in found:
            size = len(images) if found["batch"] == "free" else 1
            yield from of_file(path, model, images, size, program)


def of_file(path, model, images, size, program):
    opsets = onnx.load(path, load_external_data=False).opset_import
    yield {"opset": next(opset.version for opset in opsets if opset.domain in ("", "ai.onnx"))}
    for _ in range(DRAWS):
        found = {}
        for piece in compared(path, model, images, size, program):
            found.update(piece)
            yield piece
        if "from_float64" not in found or is_decided(found):
            return
        images = torch.randn_like(images)
        model = model.float()


def compared(path, model, images, size, program):
    logits, gradient, target = run_torch(model, images)
    expected = torch.cat([run_onnx(path, part) for part in images.split(size)])
    yield {"onnxruntime_torch": relative_maximum(expected, logits)}
    try:
        parts = [run_attriburn(program, path, part, target) for part in images.split(size)]
        scores, ours = map(torch.cat, zip(*parts))
    except Exception as error:
        yield {"refusal": str(error)}
        return
    yield {"logits": relative_maximum(scores, expected)}
    yield {"gradient": relative_l2(ours, gradient), "cosine": cosine(ours, gradient)}
    yield from in_double(model, images, target, {"attriburn": ours, "torch": gradient})


def in_double(model, images, target, gradients):
    try:
        images = images.double()
        _, exact, _ = run_torch(model.double(), images, target)
    except Exception as error:
        yield {"float64": first_line(error)}
        return
    yield {"from_float64": {name: relative_l2(g, exact) for name, g in gradients.items()}}
    differences = relative_l2(gradients["attriburn"], gradients["torch"])
    worst = max(range(len(images)), key=differences.__getitem__)
    if differences[worst] > AGREE:
        at = {name: g[[worst]] for name, g in {**gradients, "float64": exact}.items()}
        yield {"slopes": list(slopes(model, images[[worst]], target, at))}


def stored(root):
    """The ONNX files of the repository whose logits and gradients by PyTorch are stored beside them."""
    data = root / "tests/data"
    zoo = {f"zoo/{path.name}": (path / "model.onnx", path) for path in sorted(data.glob("zoo/*"))}
    lite = root / "cli/assets/efficientnet-lite0.onnx", data / "efficientnet-lite0"
    return {**zoo, "built-in/efficientnet-lite0": lite}


def of_stored(name, exporter, files, program):
    path, folder = files
    yield {"versions": versions()}
    images, logits, gradient, targets = (
        torch.from_numpy(np.load(folder / f"{part}.npy"))
        for part in ["input", "logits", "gradient", "target"]
    )
    opsets = onnx.load(path).opset_import
    yield {"side": images.shape[-1], "batch": "free", "opset": opsets[0].version}
    expected = run_onnx(path, images)
    yield {"onnxruntime_torch": relative_maximum(expected, logits)}
    with tempfile.TemporaryDirectory() as working:
        model = Path(working) / "model.onnx"
        model.symlink_to(path)
        try:
            rows = zip(images.split(1), targets.flatten().tolist())
            parts = [run_attriburn(program, model, *row) for row in rows]
        except Exception as error:
            yield {"refusal": str(error)}
            return
    scores, ours = map(torch.cat, zip(*parts))
    yield {"logits": relative_maximum(scores, expected)}
    yield {"gradient": relative_l2(ours, gradient), "cosine": cosine(ours, gradient)}
