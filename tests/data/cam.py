#!/usr/bin/env python3
"""Writes small classifiers with the class activation maps of pytorch-grad-cam.

    pip install torch torchvision grad-cam onnx onnxscript onnxruntime numpy
    python cam.py                  # writes folders cam/<name>/
    python cam.py OUT NAME ...     # the named architectures of torchvision, with random weights

Files in a folder:
    model.onnx                 exported with a free batch axis
    input.npy [2, C, H, W]     normal noise
    target.npy [2]             the explained classes: of the first four, those whose maps have the most positive values
    layer.txt                  the name of the layer's value in model.onnx
    <method>.npy [2, H, W]     the map before it is scaled: without negative values, enlarged by cv2.resize
    <method>.scaled.npy        the map as pytorch-grad-cam returns it, scaled to [0, 1]
"""
import pathlib
import sys
import warnings

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

warnings.filterwarnings("ignore")
torch.set_num_threads(2)

METHODS = {"grad-cam": GradCAM, "hires-cam": HiResCAM, "layer-cam": LayerCAM, "grad-cam++": GradCAMPlusPlus}


class Residual(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out))
        self.skip = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.f(x) + self.skip(x))


class ResNet(nn.Module):
    """Residual blocks and a global mean; a 1x1 skip connection bypasses the inner layers."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Residual(3, 8, 2), Residual(8, 16, 2), Residual(16, 24, 1))
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        return self.fc(self.blocks(x).mean((2, 3)))


class Net(nn.Module):
    """Convolutions and a hidden layer behind the flattened maps, for inputs that are not square."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(12 * 10 * 6, 16), nn.Tanh(), nn.Linear(16, 7))

    def forward(self, x):
        return self.head(self.features(x))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, tokens, width))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), Attention(width, 4), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer whose head reads the class token; there may be register tokens behind it."""

    def __init__(self, registers, width=32):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.extra = nn.Parameter(torch.randn(1, 1 + registers, width))
        self.position = nn.Parameter(torch.randn(1, 1 + registers + 16, width))
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.extra.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


def tokens(extra):
    """The transform of pytorch-grad-cam for tokens behind `extra` others."""

    def transform(x):
        side = int((x.shape[1] - extra) ** 0.5)
        return x[:, extra:].reshape(len(x), side, side, -1).permute(0, 3, 1, 2)

    return transform


def channels_last(x):
    return x.permute(0, 3, 1, 2)


def calibrate(model, shape):
    """Gives every BatchNorm nontrivial running statistics, scales and biases."""
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(8, *shape))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
    return model.eval()


def value_name(path, x, expected):
    """The name of the last value in the model that equals `expected`."""
    model = onnx.load(path)
    known = [output for node in model.graph.node for output in node.output if output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in known)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = session.run(known, {session.get_inputs()[0].name: x.numpy()})
    tolerance = 1e-4 * np.abs(expected).max()
    same = [name for name, value in zip(known, values)
            if value.shape == expected.shape and np.abs(value - expected).max() < tolerance]
    return same[-1]


def strip(path):
    """Removes the exporter's stack traces from the file."""
    model = onnx.load(path)
    for message in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output,
                    *model.graph.initializer, model.graph, model):
        del message.metadata_props[:]
        message.doc_string = ""
    del model.graph.value_info[:]
    onnx.save(model, path)


def maps(method, model, layer, transform, x, targets):
    """The maps of pytorch-grad-cam: of the layer's size, and as it returns them."""
    with method(model=model, target_layers=[layer], reshape_transform=transform) as cam:
        chosen = [ClassifierOutputTarget(target) for target in targets]
        scaled = cam(input_tensor=x, targets=chosen)
        hooks = cam.activations_and_grads
        raw = cam.get_cam_image(
            x, layer, chosen, hooks.activations[0].numpy(), hooks.gradients[0].numpy(), eigen_smooth=False)
    return raw, scaled


def choose_targets(model, layer, transform, x):
    """A class for each row none of whose maps is negative everywhere: such a map is 0."""
    targets = []
    for row in x:
        shares = []
        for method in METHODS.values():
            raw, _ = maps(method, model, layer, transform, row.expand(4, -1, -1, -1), range(4))
            shares.append(raw.max((1, 2)) / np.abs(raw).max((1, 2)))
        shares = np.min(shares, 0)
        assert shares.max() > 0.05, shares
        targets.append(int(shares.argmax()))
    return targets


def save(folder, model, shape, layer, transform=None, opset=18):
    folder.mkdir(parents=True, exist_ok=True)
    x = torch.randn(2, *shape)
    targets = choose_targets(model, layer, transform, x)
    names = {"input_names": ["input"], "output_names": ["logits"], "opset_version": opset, "verbose": False}
    if opset < 18:
        # Below opset 17 a layer normalization is composed of elementary operators.
        torch.onnx.export(
            model, (x,), folder / "model.onnx", dynamo=False, dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}},
            **names)
    else:
        torch.onnx.export(
            model, (x,), folder / "model.onnx", external_data=False,
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=64)},), **names)
    strip(folder / "model.onnx")
    np.save(folder / "input.npy", x.numpy())
    np.save(folder / "target.npy", np.array(targets))
    activation = []
    hook = layer.register_forward_hook(lambda _, __, output: activation.append(output.detach().numpy()))
    model(x)
    hook.remove()
    (folder / "layer.txt").write_text(value_name(folder / "model.onnx", x, activation[0]) + "\n")
    for name, method in METHODS.items():
        raw, scaled = maps(method, model, layer, transform, x, targets)
        size = (shape[2], shape[1])
        enlarged = np.stack([cv2.resize(np.maximum(row, 0).astype(np.float32), size) for row in raw])
        np.save(folder / f"{name}.npy", enlarged)
        np.save(folder / f"{name}.scaled.npy", scaled.astype(np.float32))
        print(f"{folder.name} {name}: {raw.shape[1:]}, largest {enlarged.max():.3e}")


# The layer of each architecture as the documentation of pytorch-grad-cam gives it, and its transform.
ARCHITECTURES = {
    "resnet18": (lambda m: m.layer4[-1], None),
    "vgg16": (lambda m: m.features[-1], None),
    "densenet121": (lambda m: m.features[-1], None),
    "efficientnet_b0": (lambda m: m.features[-1], None),
    "mobilenet_v3_large": (lambda m: m.features[-1], None),
    "convnext_tiny": (lambda m: m.features[-1], None),
    "swin_t": (lambda m: m.norm, channels_last),
    "vit_b_16": (lambda m: m.encoder.layers[-1].ln_1, tokens(1)),
}


def main():
    if len(sys.argv) > 2:
        for name in sys.argv[2:]:
            torch.manual_seed(0)
            layer, transform = ARCHITECTURES[name]
            model = getattr(torchvision.models, name)(weights=None).eval()
            # An activation that is computed in place would change the values that pytorch-grad-cam has kept.
            for module in model.modules():
                if hasattr(module, "inplace"):
                    module.inplace = False
            torch.nn.functional.relu = lambda x, inplace=False: torch.relu(x)
            calibrate(model, (3, 224, 224))
            if name == "vit_b_16":
                nn.init.normal_(model.heads.head.weight, std=0.02)
            save(pathlib.Path(sys.argv[1]) / name, model, (3, 224, 224), layer(model), transform)
        return
    root = pathlib.Path(__file__).parent / "cam"
    torch.manual_seed(20261127)
    model = calibrate(ResNet(), (3, 32, 32))
    save(root / "resnet", model, (3, 32, 32), model.blocks[-1])
    save(root / "resnet-inner", model, (3, 32, 32), model.blocks[1].f[2])
    model = Net().eval()
    save(root / "not-square", model, (3, 40, 24), model.features[-1])
    model = ViT(registers=0).eval()
    save(root / "vit", model, (3, 32, 32), model.blocks[-1].norm1, tokens(1))
    model = ViT(registers=3).eval()
    save(root / "vit-registers", model, (3, 32, 32), model.blocks[-1].norm1, tokens(4), opset=14)
    model = torchvision.models.SwinTransformer([4, 4], 12, [1, 1], [2, 4], [2, 2], num_classes=10).eval()
    save(root / "swin", model, (3, 32, 32), model.norm, channels_last)


main()
