"""Trains small classifiers in four toolchains and exports them to ONNX. The classes are colours of a disc.

    for kind in tensorflow keras paddle pytorch; do python -m venv V-$kind; done
    V-tensorflow/bin/pip install tensorflow-cpu==2.21 tf2onnx==1.17 pillow==12.0.0    (keras: the same)
    V-paddle/bin/pip install paddlepaddle==3.3 paddle2onnx==2.1 setuptools pillow==12.0.0
    V-pytorch/bin/pip install torch onnx onnxscript pillow==12.0.0
    V-KIND/bin/python tests/data/toolchains.py KIND tests/data/toolchains

Each model is trained on the same random pictures. Its input format is the usual one of its toolchain:

    tensorflow.onnx        NHWC, floats from 0 to 255, which the model scales to -1 to 1
    tensorflow-uint8.onnx  NHWC, bytes; otherwise as tensorflow.onnx
    keras.onnx             NHWC of any size, floats from 0 to 255, which a Rescaling layer scales to 0 to 1
    paddle.onnx            NCHW, ImageNet's mean and standard deviation
    pytorch/model.onnx     NCHW in BGR order, mean and standard deviation 0.5, as in preprocessor_config.json;
                           config.json names the classes

The pictures red.png, green.png and blue.png have other sizes than the models' inputs. NAME.json holds the
logits of each picture that the toolchain itself computes, after preprocessing with Pillow.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = 32
COLOURS = {"red": (200, 60, 50), "green": (70, 180, 60), "blue": (50, 80, 210)}


def picture(rng, colour, height=SIZE, width=SIZE):
    """A disc of the colour on a noisy grey background."""
    grey = rng.integers(60, 200)
    noise = rng.integers(-25, 25, (height, width, 3))
    image = Image.fromarray(np.clip(grey + noise, 0, 255).astype(np.uint8))
    side = min(height, width)
    radius = side * rng.uniform(0.25, 0.4)
    x, y = width / 2 + rng.uniform(-3, 3), height / 2 + rng.uniform(-3, 3)
    shade = tuple(int(np.clip(c + rng.integers(-30, 30), 0, 255)) for c in colour)
    ImageDraw.Draw(image).ellipse([x - radius, y - radius, x + radius, y + radius], fill=shade)
    return image


def training():
    """The training images and their classes."""
    rng = np.random.default_rng(7)
    colours = list(COLOURS.values())
    classes = rng.integers(0, 3, 1200)
    images = np.stack([np.asarray(picture(rng, colours[c])) for c in classes])
    return images.astype(np.float32), classes.astype(np.int64)


def test_pictures(folder):
    """The test pictures, which are written if they do not exist."""
    rng = np.random.default_rng(11)
    shapes = [(40, 48), (64, 44), (33, 57)]
    for (name, colour), (height, width) in zip(COLOURS.items(), shapes):
        path = folder / f"{name}.png"
        if not path.exists():
            picture(rng, colour, height, width).save(path)
        yield name, Image.open(path).convert("RGB")


def prepared(image):
    """The resized picture, with byte values."""
    return np.asarray(image.resize((SIZE, SIZE), Image.BILINEAR)).astype(np.float32)


def write_scores(folder, name, predict):
    """Writes the scores of the test pictures, which must be classified correctly."""
    all_scores = {}
    for colour, image in test_pictures(folder):
        scores = np.asarray(predict(prepared(image))).reshape(-1)
        assert int(scores.argmax()) == list(COLOURS).index(colour), (name, colour, scores)
        all_scores[colour] = [float(score) for score in scores]
    (folder / f"{name}.json").write_text(json.dumps(all_scores, indent=1) + "\n")


def tensorflow(folder):
    import tensorflow as tf
    import tf2onnx

    images, classes = training()
    tf.keras.utils.set_random_seed(3)
    body = tf.keras.Sequential([
        tf.keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(3),
    ])
    body.build((None, SIZE, SIZE, 3))

    def forward(x):
        return body(x / 127.5 - 1.0)

    optimizer = tf.keras.optimizers.Adam(0.02)
    for step in range(300):
        at = np.random.default_rng(step).integers(0, len(images), 64)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=classes[at], logits=forward(images[at])))
        optimizer.apply_gradients(zip(
            tape.gradient(loss, body.trainable_variables), body.trainable_variables))
    for name, dtype in [("tensorflow", tf.float32), ("tensorflow-uint8", tf.uint8)]:
        signature = [tf.TensorSpec([None, SIZE, SIZE, 3], dtype, name="image")]
        model = tf.function(lambda image: forward(tf.cast(image, tf.float32)), input_signature=signature)
        tf2onnx.convert.from_function(
            model, input_signature=signature, opset=17, output_path=str(folder / f"{name}.onnx"))
        write_scores(folder, name, lambda x: model(tf.cast(x[None], dtype)).numpy())


def keras(folder):
    import tensorflow as tf
    import tf2onnx

    images, classes = training()
    tf.keras.utils.set_random_seed(4)
    model = tf.keras.Sequential([
        tf.keras.Input((None, None, 3)),
        tf.keras.layers.Rescaling(1 / 255),
        tf.keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(3, activation="softmax"),
    ])
    model.compile(tf.keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(images, classes, epochs=15, batch_size=64, verbose=0)
    signature = [tf.TensorSpec([None, None, None, 3], tf.float32, name="keras_tensor")]
    function = tf.function(lambda image: model(image), input_signature=signature)
    tf2onnx.convert.from_function(
        function, input_signature=signature, opset=17, output_path=str(folder / "keras.onnx"))
    # Logits are written, because attriburn explains the inputs of the final softmax.
    body = tf.keras.Model(model.inputs, model.layers[-2].output)
    weights, bias = model.layers[-1].get_weights()
    write_scores(folder, "keras", lambda x: body(x[None]).numpy() @ weights + bias)


MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])


def paddle(folder):
    import paddle
    import paddle.nn as nn

    images, classes = training()
    images = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    paddle.seed(5)
    model = nn.Sequential(
        nn.Conv2D(3, 8, 5, stride=2), nn.BatchNorm2D(8), nn.ReLU(), nn.AdaptiveAvgPool2D(1),
        nn.Flatten(), nn.Linear(8, 3))
    optimizer = paddle.optimizer.Adam(0.02, parameters=model.parameters())
    for step in range(300):
        at = np.random.default_rng(step).integers(0, len(images), 64)
        loss = nn.functional.cross_entropy(
            model(paddle.to_tensor(images[at])), paddle.to_tensor(classes[at]))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    model.eval()
    spec = paddle.static.InputSpec([None, 3, SIZE, SIZE], "float32", "x")
    paddle.onnx.export(model, str(folder / "paddle"), input_spec=[spec], opset_version=17)

    def predict(x):
        x = ((x / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
        return model(paddle.to_tensor(x)).numpy()

    write_scores(folder, "paddle", predict)


def pytorch(folder):
    import torch
    from torch import nn

    images, classes = training()
    # BGR order.
    images = torch.tensor((images / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).flip(1).contiguous()
    classes = torch.tensor(classes)
    torch.manual_seed(6)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.BatchNorm2d(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for step in range(300):
        at = np.random.default_rng(step).integers(0, len(images), 64)
        loss = nn.functional.cross_entropy(model(images[at]), classes[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    subfolder = folder / "pytorch"
    subfolder.mkdir(exist_ok=True)
    torch.onnx.export(
        model, (torch.zeros(1, 3, SIZE, SIZE),), str(subfolder / "model.onnx"), dynamo=False,
        input_names=["pixel_values"], output_names=["logits"],
        dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17)
    config = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": SIZE, "width": SIZE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_flip_channel_order": True,
    }
    (subfolder / "preprocessor_config.json").write_text(json.dumps(config, indent=1) + "\n")
    labels = {"id2label": {str(at): name for at, name in enumerate(COLOURS)}}
    (subfolder / "config.json").write_text(json.dumps(labels, indent=1) + "\n")

    def predict(x):
        x = torch.tensor((x / 255 - 0.5) / 0.5).permute(2, 0, 1).flip(0)[None]
        with torch.no_grad():
            return model(x).numpy()

    write_scores(folder, "pytorch", predict)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    {"tensorflow": tensorflow, "keras": keras, "paddle": paddle, "pytorch": pytorch}[sys.argv[1]](folder)
