"""Maps from Python: those of the program, inputs of several libraries, signals and threads."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import attriburn
import numpy
import pytest


def program(*arguments, folder):
    """Runs the installed command on the CPU."""
    command = [os.path.join(os.path.dirname(sys.executable), "attriburn"), *arguments, "--device", "cpu"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


METHODS = ["gradient", "smoothgrad", "adaptgrad", "a-ig-black", "grad-cam", "smoothdiff", "ng"]


def test_maps_equal_those_of_the_program_bit_for_bit(tmp_path):
    """Every kind of method, with the built-in model and picture."""
    arguments = ["--samples", "3", "--steps", "4", "--weight-samples", "2", "--seed", "7", "--preprocess", "imagenet"]
    program("explain", "--method", ",".join(METHODS), *arguments, "--target", "285", folder=tmp_path)
    for name in METHODS:
        settings = {"samples": 3, "steps": 4, "weight_samples": 2, "seed": 7}
        used = {
            key: value
            for key, value in settings.items()
            if (key == "samples" and name in ("smoothgrad", "adaptgrad", "a-ig-black", "smoothdiff"))
            or (key == "steps" and "ig" in name.split("-"))
            or (key == "weight_samples" and name == "ng")
            or (key == "seed" and name not in ("gradient", "grad-cam"))
        }
        plan = attriburn.plan(name, **used)
        # The program keeps the parameters apart for all methods if one of them needs it.
        model = attriburn.Model(attriburn.example_model(), device="cpu", parameters=True)
        input = attriburn.Preprocess("imagenet", model.input_shape).input(attriburn.example_picture())
        map = model.explain(input, target=285, plan=plan)
        expected = numpy.load(next(tmp_path.glob(f"attriburn-out/**/{name}.npy")))
        assert map.values.dtype == numpy.float32
        numpy.testing.assert_array_equal(map.values, expected, err_msg=name)


def test_ten_lines(model, input):
    map = model.explain(input, plan=attriburn.adaptgrad(samples=4))
    assert map.values.shape == map.standard_error.shape == (3, 224, 224)
    assert map.prediction.class_index == map.class_index == 285
    assert attriburn.imagenet_labels()[285] == "Egyptian cat"
    assert map.prediction.probabilities[285] == pytest.approx(map.prediction.probability(285))
    assert map.prediction.top(3)[0] == 285
    assert 0 < map.relative_standard_error and map.gradients == map.samples == 4
    assert numpy.asarray(map) is map.values
    assert "285" in repr(map) and "0." in repr(map.prediction)


def test_inputs_of_several_libraries(model, input):
    plan = attriburn.gradient()
    expected = model.explain(input, plan=plan).values
    values = input.values
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(values).requires_grad_()
    for x in (values, values.astype(float), numpy.asfortranarray(values), values.tolist(), tensor):
        numpy.testing.assert_array_equal(model.explain(x, plan=plan).values, expected)
    assert model.explain(tensor.to(torch.bfloat16), plan=plan).values.shape == expected.shape


def test_pictures_of_several_libraries(model, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    preprocess = attriburn.Preprocess("imagenet", model.input_shape)
    bytes = attriburn.example_picture()
    path = tmp_path / "picture.png"
    path.write_bytes(bytes)
    image = Image.open(io.BytesIO(bytes))
    expected = preprocess.input(bytes).values
    for picture in (path, str(path), image, numpy.asarray(image.convert("RGB"))):
        numpy.testing.assert_array_equal(preprocess.input(picture).values, expected)
    lower, upper = preprocess.domain
    assert preprocess.input(bytes).domain == (lower, upper) and lower[0] == pytest.approx(-0.485 / 0.229)


def test_targets(model, input):
    plan = attriburn.gradient()
    maps = {target: model.explain(input, target, plan).values for target in (285, 281, (285, 281))}
    numpy.testing.assert_allclose(maps[285, 281], maps[285] - maps[281], atol=1e-6)
    against = model.explain(input, attriburn.Target.against(285), plan).values
    numpy.testing.assert_array_equal(against, -maps[285])
    assert model.explain(input, numpy.int64(281), plan).class_index == 281
    both = model.explain_all([input, input], [285, 281], plan)
    numpy.testing.assert_allclose(both[1].values, maps[281], atol=1e-6)


def test_plans():
    plan = attriburn.smoothgrad(samples=20, sigma=0.1, seed=3)
    assert plan == attriburn.plan("smoothgrad", samples=20, sigma=0.1, seed=3) != attriburn.smoothgrad()
    assert plan.gradients == 20 and json.loads(plan.to_json())["seed"] == 3
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert attriburn.integrated_gradients(numpy.zeros((3, 4, 4)), steps=5).gradients == 5
    names = [name for name, _ in attriburn.methods()]
    assert "a-ig-black" in names and all(sentence for _, sentence in attriburn.methods())


@pytest.mark.parametrize(
    "call, error, part",
    [
        (lambda model, x: attriburn.plan("nothing"), ValueError, "attriburn.methods()"),
        (lambda model, x: attriburn.adaptgrad(sample=3), TypeError, '"sample"; the settings are samples'),
        (lambda model, x: attriburn.adaptgrad(samples=0), ValueError, "samples is 0"),
        (lambda model, x: attriburn.gradient(samples=3), ValueError, "does not use"),
        (lambda model, x: attriburn.smoothgrad(kernel="round"), ValueError, "gaussian"),
        (lambda model, x: model.explain(x.values), ValueError, "domain=(lower, upper)"),
        (lambda model, x: model.explain(x.values[:, :5], plan=attriburn.gradient()), ValueError, "shape"),
        (lambda model, x: model.explain("x", plan=attriburn.gradient()), TypeError, "array of numbers"),
        (lambda model, x: model.explain(x, 1000), ValueError, "1000"),
        (lambda model, x: model.explain(x, "cat"), TypeError, "pair of classes"),
        (lambda model, x: model.explain(x, plan=attriburn.noisegrad()), ValueError, "parameters"),
        (lambda model, x: model.explain_all([x, x], [1]), ValueError, "2 inputs and 1 targets"),
        (lambda model, x: attriburn.Model("no.onnx"), attriburn.Error, "no.onnx"),
        (lambda model, x: attriburn.Model(b"no"), attriburn.Error, ""),
        (lambda model, x: attriburn.Model(b"no", device="no"), ValueError, "no"),
        (lambda model, x: attriburn.Preprocess("no", [3, 8, 8]), ValueError, "imagenet"),
        (lambda model, x: attriburn.Preprocess("unit", [3, 8, 8]).input(3), TypeError, "Pillow"),
    ],
)
def test_what_is_wrong_is_said(model, input, call, error, part):
    with pytest.raises(error, match=None) as raised:
        call(model, input)
    assert part in str(raised.value), raised.value


def test_threads_share_a_model_and_the_interpreter_is_free(model, input):
    plan = attriburn.smoothgrad(samples=8)
    expected = model.explain(input, plan=plan).values
    maps, ticks, done = [], 0, threading.Event()
    threads = [threading.Thread(target=lambda: maps.append(model.explain(input, plan=plan))) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ticks += 1
        done.wait(0.001)
    assert ticks > 10
    for map in maps:
        numpy.testing.assert_array_equal(map.values, expected)


SLOW = """
import attriburn
model = attriburn.Model(attriburn.example_model(), device="cpu")
x = attriburn.Preprocess("imagenet", model.input_shape).input(attriburn.example_picture())
print("ready", flush=True)
try:
    model.explain(x, plan=attriburn.smoothgrad(samples=1_000_000))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_ends_a_computation():
    process = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"
    assert process.returncode == 0


def test_metrics(model, input):
    map = model.explain(input, plan=attriburn.smoothgrad(samples=4))
    assert 0 < attriburn.metrics.sparseness(map) < 1
    assert attriburn.metrics.cosine(map, map) == pytest.approx(1)
    assert attriburn.metrics.rank_correlation(map, -map.values)[0] == pytest.approx(-1)
    assert attriburn.metrics.ssim(map, map) == pytest.approx(1)
    assert attriburn.metrics.overlap(map, map) == 1
    assert attriburn.metrics.pointing_game(map, [[0, 0, 224, 224]], k=10) == 1
    scores = attriburn.metrics.pixel_scores(map)
    numpy.testing.assert_allclose(scores, numpy.abs(map.values.sum(0)).ravel(), atol=1e-6)
    fill = numpy.zeros(model.input_shape, numpy.float32)
    insertion = model.insertion(input, 285, map, fill)
    deletion = model.deletion(input, 285, map, fill)
    assert 0 <= deletion <= 1 and 0 <= insertion <= 1
    assert attriburn.metrics.paired_t_test([1, 2, 3.5], [0, 1, 2])[0] == pytest.approx(7 / 6)


def test_metrics_equal_those_of_the_program(model, input, tmp_path):
    plan = attriburn.smoothgrad(samples=3)
    (tmp_path / "picture.png").write_bytes(attriburn.example_picture())
    arguments = ["--methods", "smoothgrad", "--samples", "3", "--preprocess", "imagenet", "--images", "picture.png"]
    program("evaluate", "sparseness", *arguments, "--out", "out", folder=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    (value,) = [record["value"] for record in records if record.get("metric") == "sparseness"]
    assert value == attriburn.metrics.sparseness(model.explain(input, 285, plan))


def test_shapes_that_differ_are_refused(model, input):
    map = model.explain(input, plan=attriburn.gradient()).values
    turned = map.transpose(1, 2, 0)
    fill = numpy.zeros(model.input_shape, numpy.float32)
    for call in (
        lambda: attriburn.metrics.cosine(map, turned),
        lambda: attriburn.metrics.ssim(map[:, :9, :16], map[:, :16, :9]),
        lambda: attriburn.metrics.pointing_game(map[None], [[0, 0, 224, 224]]),
        lambda: model.insertion(input, 285, turned, fill),
        lambda: model.insertion(input, 285, numpy.full_like(map, numpy.nan), fill),
        lambda: model.explain(input, plan=attriburn.integrated_gradients(turned, steps=2)),
        lambda: model.explain_all([input, input], (3, 4), attriburn.gradient()),
    ):
        with pytest.raises(ValueError):
            call()
    one = model.explain_all([input, input], numpy.int64(3), attriburn.gradient())
    assert [map.class_index for map in one] == [3, 3]


def test_turned_and_deep_pictures(model):
    Image = pytest.importorskip("PIL.Image")
    preprocess = attriburn.Preprocess("imagenet", model.input_shape)
    image = Image.open(io.BytesIO(attriburn.example_picture())).convert("RGB")
    exif = image.getexif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, quality=95)
    by_file = preprocess.input(file.getvalue()).values
    by_pillow = preprocess.input(Image.open(io.BytesIO(file.getvalue()))).values
    # The decoders of JPEG round differently.
    assert numpy.abs(by_file - by_pillow).max() < 0.2
    with pytest.raises(ValueError, match="8 bits"):
        preprocess.input(Image.new("I;16", (8, 8)))


FORKED = """
import multiprocessing, sys
import attriburn
model = attriburn.Model(attriburn.example_model(), device="cpu")
x = attriburn.Preprocess("imagenet", model.input_shape).input(attriburn.example_picture())
model.explain(x, plan=attriburn.gradient())

def work(_):
    try:
        model.explain(x, plan=attriburn.gradient())
    except attriburn.Error as error:
        return str(error)

with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map(work, [0])[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_process_says_what_to_do():
    output = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert "spawn" in output.stdout, output.stdout + output.stderr


def test_warnings_reach_the_logger(caplog):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3), torch.nn.Softmax(-1))
    with caplog.at_level("INFO", logger="attriburn"):
        model = attriburn.from_torch(module, torch.zeros(1, 3, 2, 2), device="cpu")
    assert model.link == "softmax"
    assert "ends in a softmax" in caplog.text
