"""Writes the inputs that other libraries compute from a picture, for tests/tests/preprocessing.rs.

    python -m venv VENV && VENV/bin/pip install pillow==12.0.0 torch torchvision timm transformers numpy
    VENV/bin/python tests/data/preprocessing.py tests/data/preprocessing

Each case has a configuration in the format of its library, `NAME.json`, and the input that the library
computes from `picture.png` with it, `NAME.npy`. The libraries are timm, and transformers with the image
processors that use Pillow. For torchvision, the script writes its published values to
picture/src/preprocess/torchvision.csv, and the crops of some weights to `torchvision-N.png`.

Pillow 12 is required: from version 13 on, Pillow resizes columns first where this is faster, which changes
some bytes by one.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 20
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def timm_cases():
    def case(**changes):
        return {"input_size": [3, SIZE, SIZE], "mean": MEAN, "std": STD, "crop_pct": 0.875,
                "interpolation": "bicubic", "crop_mode": "center", **changes}

    yield "timm-bicubic", case()
    yield "timm-bilinear", case(interpolation="bilinear", crop_pct=0.95)
    yield "timm-lanczos", case(interpolation="lanczos", mean=[0.5] * 3, std=[0.5] * 3)
    yield "timm-nearest", case(interpolation="nearest")
    yield "timm-squash", case(crop_mode="squash", crop_pct=1.0)
    yield "timm-border", case(crop_mode="border", crop_pct=1.0)
    yield "timm-wide", case(input_size=[3, 18, 30])


def hugging_face_cases():
    both = {"image_mean": MEAN, "image_std": STD}
    yield "ViTImageProcessor", {"size": {"height": SIZE, "width": SIZE}, "resample": 2, **both}
    yield "CLIPImageProcessor", {
        "size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True,
        "resample": 3, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    yield "ConvNextImageProcessor", {
        "size": {"shortest_edge": SIZE}, "crop_pct": 0.875, "resample": 3, **both,
    }
    yield "DeiTImageProcessor", {
        "size": {"height": 24, "width": 24}, "crop_size": {"height": SIZE, "width": SIZE},
        "do_center_crop": True, "resample": 3, **both,
    }
    yield "MobileViTImageProcessor", {
        "size": {"shortest_edge": 24}, "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True,
        "do_flip_channel_order": True, "do_normalize": False, "resample": 2,
    }
    yield "BeitImageProcessor", {
        "size": {"height": 24, "width": 24}, "crop_size": {"height": 19, "width": 21}, "do_center_crop": True,
        "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    }
    yield "LevitImageProcessor", {
        "size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True,
        "resample": 3, **both,
    }
    yield "MobileNetV2ImageProcessor", {
        "size": {"shortest_edge": 25}, "crop_size": {"height": 22, "width": 22}, "do_center_crop": True,
        "resample": 2, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3,
    }


def torchvision_table(path):
    """Writes one row for each torchvision weight set that uses ImageNet's mean and standard deviation."""
    import torchvision

    rows = ["weights,resize,crop,interpolation"]
    for model in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(model):
            transform = weights.transforms()
            if (transform.mean, transform.std) == (MEAN, STD):
                [resize], [crop] = transform.resize_size, transform.crop_size
                rows.append(f"{weights},{resize},{crop},{transform.interpolation.value}")
    path.write_text("\n".join(rows) + "\n")


TORCHVISION = ["ResNet50_Weights.IMAGENET1K_V2", "MaxVit_T_Weights.IMAGENET1K_V1"]


def torchvision_crops(folder, picture):
    import torch
    import torchvision

    for at, name in enumerate(TORCHVISION):
        transform = torchvision.models.get_weight(name).transforms()
        values = transform(picture)
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
        crop = ((values * std + mean) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(crop).save(folder / f"torchvision-{at}.png")


def main(folder):
    folder.mkdir(exist_ok=True)
    source = Path(__file__).parents[2] / "cli/assets"
    picture = Image.open(next(source.glob("*.png"))).convert("RGB")
    picture = picture.resize((97, 71), Image.Resampling.LANCZOS)
    picture.save(folder / "picture.png")

    def write(name, config, values):
        (folder / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n")
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values, dtype=np.float32))
        print(name, values.shape)

    torchvision_table(Path(__file__).parents[2] / "picture/src/preprocess/torchvision.csv")
    torchvision_crops(folder, picture)
    import timm.data
    import transformers

    for name, config in timm_cases():
        transform = timm.data.create_transform(
            tuple(config["input_size"]), interpolation=config["interpolation"], mean=config["mean"],
            std=config["std"], crop_pct=config["crop_pct"], crop_mode=config["crop_mode"],
        )
        write(name, {"architecture": name, "pretrained_cfg": config}, transform(picture).numpy())
    for kind, config in hugging_face_cases():
        processor = getattr(transformers, f"{kind}Pil")(**config)
        config = {"image_processor_type": kind, **config}
        write(kind, config, processor(picture, return_tensors="np")["pixel_values"][0])


main(Path(sys.argv[1]))
