"""The document that coverage.py writes."""

# Relative L2 errors of a gradient.
AGREE = 1e-3
EXACT = 1e-4
EXPORTERS = ["TorchScript", "dynamo"]

VERDICTS = {
    "kinks": "attriburn is within 1e-4 of the float64 gradient on at least one image. On the other "
    "images, a unit is on the other side of a kink in attriburn or in PyTorch's float32 model.",
    "comparable": "No image is free of kinks, but the distance of attriburn's gradient from the "
    "float64 gradient is at most three times that of PyTorch's float32 gradient.",
    "PyTorch": "attriburn is within 1e-3 of the float64 gradient on every image, PyTorch's float32 "
    "gradient on none: PyTorch's float32 gradient is wrong.",
    "wrong": "None of the above: attriburn's gradient is wrong.",
}

TOP = """# Model coverage

{models} image classifiers of torchvision and timm, at least one from every module of both
libraries, are exported to ONNX by both exporters of PyTorch: TorchScript
(`torch.onnx.export(dynamo=False)`) and dynamo (`torch.onnx.export(dynamo=True)`). For each file:
does attriburn load the file, do its logits agree with ONNX Runtime, and does its gradient agree
with PyTorch?

{summary}

## How this was measured

All programs ran on a CPU. To measure again, from the root of the repository:

    pip install {requirements}
    cargo build --release --workspace --example differentiate
    python tests/coverage/coverage.py measure target/coverage
    python tests/coverage/coverage.py table target/coverage > docs/coverage.md

`measure` skips models that are already measured. Models that are named are measured again:
`measure target/coverage timm/resnet18`. `tests/coverage/models.txt` lists the models and the sizes
of their images.

- **Files** have the exporter's default opset ({opsets}) and a free batch axis. If an exporter
  cannot leave the batch axis free, the batch size is one, and the tables say so.
- **Weights** are random (seed 0). Parameters that are initialized to a constant, such as the scales
  of normalizations and layer scales, are drawn from uniform(0.5, 1.5), or around zero if the
  constant is zero, so that every branch contributes. BatchNorm has the statistics of a batch of
  noise.
- **Images** are standard normal noise. There are two to nineteen images per model; smaller images
  have more. If none of them is free of kinks (see below), new images are drawn, up to five times.
- **Logits**: the largest absolute difference from ONNX Runtime's logits, divided by the largest
  absolute logit.
- **Gradient**: the derivative of one logit, the largest of the first image, with respect to the
  image. The error is `||a - b|| / ||b||`, where `b` is PyTorch's float32 gradient. The tables have
  the largest error over all images.

A ReLU network has kinks. A unit whose input lies within rounding of zero can be active in one
program and inactive in another, and one such unit changes the gradient of an image by 1e-3 to 5e-2.
Neither program is wrong. Such differences occur on some images and not on others, and an image
without them agrees within 1e-5. A wrong derivative, in contrast, shows on every image. Gradients
that differ from PyTorch's by more than 1e-3 are therefore compared with the gradient of the same
PyTorch model in float64, image by image. The tables have the verdicts:

| verdict | meaning |
|---|---|
{verdicts}
"""

SUMMARY = """\
- **{loaded} of {exported} files load** ({of_each}). For {missing} further exports,
  there is no file that ONNX Runtime runs.
- The largest error of the logits is {logits} ({whose_logits}).
  There, ONNX Runtime and PyTorch differ by {others}.
- {agree} gradients agree with PyTorch's within 1e-3 on every image, {closely} of them within 1e-4.
- The other {differ} gradients have one of the verdicts explained below:
  {words}.
  The largest difference is {gradient} ({whose}; verdict: {why})."""

STORED = """\
The small models of `tests/data/zoo` and the built-in EfficientNet-Lite0 with its trained weights.
The reference is PyTorch's gradient of the largest logit of every image, which is stored with each
model. There is no float64 gradient to compare with.
"""

DETAILS = """\
The errors are the smallest and the largest over the images, relative to the float64 gradient. The
cosine is the smallest with PyTorch's gradient. The slopes are derivatives in the direction in which
attriburn and PyTorch differ the most: by central differences of the float64 model, and by each of
the three gradients.
"""

FAILURES = {
    "refusal": "Refused by attriburn",
    "export": "Exports without a file that ONNX Runtime runs",
    "batch_reason": "Exports with a fixed batch size of one",
    "crash": "Not measured",
}


def is_decided(r):
    """Whether all gradients agree with PyTorch's, or one image agrees with the float64 gradient."""
    return max(r["gradient"]) <= AGREE or min(r["from_float64"]["attriburn"]) <= EXACT


def verdict(r):
    """Why the gradient differs from PyTorch's; None if it agrees, or without a float64 gradient."""
    if max(r["gradient"]) <= AGREE or "from_float64" not in r:
        return None
    ours, torchs = r["from_float64"]["attriburn"], r["from_float64"]["torch"]
    if max(ours) <= AGREE < min(torchs):
        return "PyTorch"
    if min(ours) <= EXACT:
        return "kinks"
    return "comparable" if max(ours) <= 3 * max(torchs) else "wrong"


def of(results):
    results = list(results)
    made = [r for r in results if r["exporter"] in EXPORTERS]
    parts = [
        *top(made),
        *section("torchvision", [r for r in made if r["name"].startswith("torchvision/")]),
        *section("timm", [r for r in made if r["name"].startswith("timm/")]),
        *stored([r for r in results if r["exporter"] == "stored"]),
        *failures(made),
        *details(made),
    ]
    return "\n".join(parts).rstrip()


def top(made):
    versions = made[0]["versions"].items()
    yield TOP.format(
        models=len({r["name"] for r in made}),
        summary=summary(made),
        requirements=" ".join(f"{name}=={version}" for name, version in versions),
        opsets=", ".join(map(str, sorted({r["opset"] for r in made if "opset" in r}))),
        verdicts=table_rows(VERDICTS.items()),
    )


def summary(made):
    exported = [r for r in made if "opset" in r]
    loaded = [r for r in exported if "gradient" in r]
    of_each = [
        f"{exporter} {sum(r['exporter'] == exporter for r in loaded)} of"
        f" {sum(r['exporter'] == exporter for r in exported)}"
        for exporter in EXPORTERS
    ]
    worst = max(loaded, key=lambda r: r["logits"])
    agree = [max(r["gradient"]) for r in loaded if max(r["gradient"]) <= AGREE]
    words = [f"{word} {sum(verdict(r) == word for r in loaded)}" for word in VERDICTS]
    farthest = max(loaded, key=lambda r: max(r["gradient"]))
    return SUMMARY.format(
        loaded=len(loaded),
        exported=len(exported),
        of_each=", ".join(of_each),
        missing=len(made) - len(exported),
        logits=number(worst["logits"]),
        whose_logits=f"{worst['name']}, {worst['exporter']}",
        others=number(worst["onnxruntime_torch"]),
        agree=len(agree),
        closely=sum(error <= EXACT for error in agree),
        differ=len(loaded) - len(agree),
        words=", ".join(words),
        gradient=number(max(farthest["gradient"])),
        whose=f"{farthest['name']}, {farthest['exporter']}",
        why=verdict(farthest),
    )


def section(library, made):
    yield f"## {library}\n"
    errors = [f"{exporter}: {kind}" for exporter in EXPORTERS for kind in ["logits", "gradient"]]
    yield header("model", "image", "parameters", *errors)
    rows = []
    for name in dict.fromkeys(r["name"] for r in made):
        pair = {r["exporter"]: r for r in made if r["name"] == name}
        known = next(iter(pair.values()))
        size = f"{known['parameters'] / 1e6:.1f} M" if "parameters" in known else ""
        errors = [cell for exporter in EXPORTERS for cell in cells(pair.get(exporter))]
        rows.append([name.split("/")[1], known.get("side", ""), size, *errors])
    yield table_rows(rows) + "\n"


def cells(r):
    """The cells of one export: the errors of the logits and of the gradient."""
    if r is None or "gradient" not in r:
        words = {"refusal": "refused", "export": "not exported"}
        return [next((word for key, word in words.items() if r and key in r), "not measured"), ""]
    fixed = " (batch of one)" if r["batch"] == "fixed" else ""
    return [number(r["logits"]) + fixed, f"{number(max(r['gradient']))} {verdict(r) or ''}".strip()]


def stored(results):
    yield "## The models in this repository\n"
    yield STORED
    yield header("model", "opset", "logits", "gradient")
    yield table_rows([r["name"].split("/")[1], r["opset"], *cells(r)] for r in results) + "\n"


def failures(made):
    for key, title in FAILURES.items():
        failed = [r for r in made if key in r and not (key == "batch_reason" and "export" in r)]
        if failed:
            yield f"## {title}\n"
            yield header("model", "exporter", "reason")
            yield table_rows([r["name"], r["exporter"], short(r[key])] for r in failed) + "\n"


def details(made):
    differ = [r for r in made if "gradient" in r and verdict(r) not in (None, "kinks")]
    if not differ:
        return
    yield "## Gradients without an image free of kinks\n"
    yield DETAILS
    errors = [f"error of {name}" for name in ["attriburn", "PyTorch"]]
    slopes = [f"slope: {name}" for name in ["differences", "attriburn", "PyTorch", "float64"]]
    yield header("model", "exporter", "verdict", *errors, "cosine", *slopes)
    yield table_rows(detail(r) for r in differ)


def detail(r):
    errors = [f"{number(min(e))} to {number(max(e))}" for e in r["from_float64"].values()]
    slope = r["slopes"][1]
    along = [f"{slope[key]:.3g}" for key in ["differences", "attriburn", "torch", "float64"]]
    return [r["name"], r["exporter"], verdict(r), *errors, f"{min(r['cosine']):.5f}", *along]


def header(*names):
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def table_rows(rows):
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def number(value):
    """1.2e-7 rather than 1.2e-07."""
    return f"{value:.1e}".replace("e-0", "e-")


def short(text, length=200):
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= length else text[:length] + " ..."


def line(r):
    """A measurement in one line, for the progress output."""
    found = [f"{key} {short(str(r[key]))}" for key in [*FAILURES, "logits", "seconds"] if key in r]
    if "gradient" in r:
        found.append(f"gradient {number(max(r['gradient']))} {verdict(r) or ''}")
    return f"{r['name']} {r['exporter']}: {', '.join(found)}"
