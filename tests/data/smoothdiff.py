#!/usr/bin/env python3
"""Writes small classifiers with the gradients of SmoothDiff (Hill et al., NeurIPS 2025).

    pip install torch onnx onnxscript numpy
    python smoothdiff.py           # writes folders smoothdiff/<name>/

Files in a folder:
    model.onnx                 exported with a free batch axis
    samples.npy [n, C, H, W]   the samples over which Jacobians are averaged
    target.txt                 the explained class
    smoothdiff.npy [C, H, W]   the product of mean Jacobians: each nonlinear operation's gradients of its inputs
                               are replaced by their mean over the samples, by hooks on the inputs
    mean.npy [C, H, W]         the mean gradient of the samples
    counted.npy [C, H, W]      of a model of ReLU and MaxPool: as the paper computes it, with one backward pass through
                               the shares of the samples in which a unit is active or an element is the largest
"""
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(2)
# What is done with the inputs of a nonlinear operation.
HOOK = None


def nonlinear(*values):
    """Marks the inputs of a nonlinear operation."""
    if HOOK is not None:
        for value in values:
            if value.requires_grad:
                value.register_hook(HOOK)
    return values[0] if len(values) == 1 else values


def fresh(value):
    """Returns a new tensor, so that a hook concerns one reader of the value only."""
    return value.view_as(value) if HOOK is not None else value


class Relu(nn.Module):
    def forward(self, x):
        return F.relu(nonlinear(fresh(x)))


class Pool(nn.Module):
    def forward(self, x):
        return F.max_pool2d(nonlinear(fresh(x)), 2)


class Convolutions(nn.Module):
    """A residual network of ReLU and MaxPool."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.norm, self.d, self.e = nn.BatchNorm2d(8), nn.Linear(8 * 16, 20), nn.Linear(20, 6)
        self.relu, self.pool = Relu(), Pool()

    def forward(self, x):
        x = self.pool(self.relu(self.norm(self.a(x))))
        x = self.relu(self.b(x) + self.c(x))
        return self.e(self.relu(self.d(self.pool(x).flatten(1))))


class Attention(nn.Module):
    """A transformer block with a class token behind a patch embedding."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.embed = heads, nn.Conv2d(3, width, 4, 4)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 17, width))
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.out, self.norm, self.last = nn.Linear(width, width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down, self.head = nn.Linear(width, 32), nn.Linear(32, width), nn.Linear(width, 5)
        # Sharp attention and hidden units that are rarely linear.
        for layer, factor in (self.q, 4), (self.k, 4), (self.up, 4), (self.down, 4):
            layer.weight.data *= factor

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        y = self.norm(nonlinear(fresh(x)))
        q, k, v = (self.split(f(y)) for f in (self.q, self.k, self.v))
        q, k = nonlinear(fresh(q), fresh(k.transpose(2, 3)))
        weights = torch.softmax(nonlinear(fresh(q @ k * 8 ** -0.5)), -1)
        weights, v = nonlinear(fresh(weights), fresh(v))
        x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
        x = x + self.down(F.gelu(nonlinear(fresh(self.up(x)))))
        return self.head(self.last(nonlinear(fresh(x)))[:, 0])


def gradient(model, samples, target, hook):
    """Returns the mean over the samples of the gradient."""
    global HOOK
    HOOK = hook
    x = samples.clone().requires_grad_()
    model(x)[:, target].mean().backward()
    HOOK = None
    return x.grad.sum(0).numpy()


def write(name, model, side, target, samples=7):
    torch.manual_seed(5)
    model.eval()
    if hasattr(model, "norm") and isinstance(model.norm, nn.BatchNorm2d):
        model.norm.running_mean.normal_(0, 0.1)
        model.norm.running_var.uniform_(0.5, 1.5)
    folder = pathlib.Path(__file__).parent / "smoothdiff" / name
    folder.mkdir(parents=True, exist_ok=True)
    x = torch.randn(1, 3, side, side) + 0.7 * torch.randn(samples, 3, side, side)
    torch.onnx.export(model, (x[:2],), folder / "model.onnx", opset_version=20, dynamo=True, external_data=False,
                      input_names=["input"], dynamic_shapes=[{0: torch.export.Dim.DYNAMIC}])
    smooth = gradient(model, x, target, lambda g: g.mean(0, keepdim=True).expand_as(g))
    mean = gradient(model, x, target, None)
    files = {"samples": x.numpy(), "smoothdiff": smooth, "mean": mean}
    if isinstance(model, Convolutions):
        files["counted"] = counted(model, x, target)
    for file, values in files.items():
        np.save(folder / f"{file}.npy", np.ascontiguousarray(values, np.float32))
    (folder / "target.txt").write_text(f"{target}\n")
    bias = np.linalg.norm(smooth - mean) / np.linalg.norm(mean)
    print(name, "bias", round(float(bias), 3), {k: v.shape for k, v in files.items()})
    if "counted" in files:
        print("  counted", np.abs(files["counted"] - smooth).max() / np.abs(smooth).max())


def counted(model, samples, target):
    """The paper's algorithm: shares from forward passes of the samples, then one backward pass of one point."""
    shares = []

    def windows(x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)

    def relu(self, x):
        shares.append((x > 0).float().mean(0, keepdim=True))
        return F.relu(x)

    def pool(self, x):
        shares.append(F.one_hot(windows(x).argmax(-1), 4).float().mean(0, keepdim=True))
        return windows(x).amax(-1)

    def linear_relu(self, x):
        return x * shares.pop(0)

    def linear_pool(self, x):
        return (windows(x) * shares.pop(0)).sum(-1)

    own = Relu.forward, Pool.forward
    Relu.forward, Pool.forward = relu, pool
    with torch.no_grad():
        model(samples)
    Relu.forward, Pool.forward = linear_relu, linear_pool
    x = samples[:1].clone().requires_grad_()
    model(x)[0, target].backward()
    Relu.forward, Pool.forward = own
    return x.grad[0].numpy()


if __name__ == "__main__":
    torch.manual_seed(3)
    write("convolutions", Convolutions(), 16, 2)
    write("attention", Attention(), 16, 1)
