"""Measures which image classifiers of torchvision and timm attriburn loads and differentiates correctly.

    python tests/coverage/coverage.py measure OUT [NAME ...]
    python tests/coverage/coverage.py table OUT > docs/coverage.md

`measure` exports every model of models.txt with both of PyTorch's ONNX exporters, and compares attriburn
with ONNX Runtime and PyTorch. Each measurement runs in a separate process and appends one line to
OUT/results.jsonl. Existing measurements are skipped unless their model is named. `table` prints the document.
Both need torch, torchvision, timm, onnx, onnxscript and onnxruntime.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import document
import measure

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAM = ROOT / "target/release/examples/differentiate"
LIMIT = 300  # seconds for one measurement


def listed():
    """The names in models.txt, each with the side of its input, or None for the model's default."""
    lines = (line.split("#")[0].split() for line in (HERE / "models.txt").read_text().splitlines())
    return {name: int(side[0]) if side else None for name, *side in filter(None, lines)}


def jobs(names=()):
    """Yields each job: a model, an exporter ("stored" for ONNX files of the repository), and arguments."""
    sides = listed()
    stored = measure.stored(ROOT)
    for name in names or [*sides, *stored]:
        if name in stored:
            yield name, "stored", (stored[name],)
        elif name in sides:
            yield from ((name, exporter, (sides[name],)) for exporter in measure.EXPORTERS)
        else:
            sys.exit(f"{name} is neither in models.txt nor one of {', '.join(stored)}")


def child(name, exporter, rest, program, note):
    """Measures one job in a child process.

    The results so far are written to `note` after every step, so a crash loses only the last step.
    """
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # exporters print whole graphs
    steps = measure.of_stored if exporter == "stored" else measure.of_exported
    found = {"name": name, "exporter": exporter}
    try:
        for piece in steps(name, exporter, *rest, program):
            found.update(piece)
            note.write_text(json.dumps(found))
    except Exception as error:
        note.write_text(json.dumps({**found, "crash": measure.first_line(error)}))


def run(job, program, note):
    """Runs one measurement in a separate process with a time limit."""
    name, exporter, _ = job
    note.write_text(json.dumps({"name": name, "exporter": exporter}))
    start = time.monotonic()
    arguments = (*job, program, note)
    process = multiprocessing.get_context("fork").Process(target=child, args=arguments, daemon=True)
    process.start()
    process.join(LIMIT)
    found = json.loads(note.read_text())
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        found["crash"] = f"more than {LIMIT} s"
    elif process.exitcode != 0:
        found["crash"] = f"exit code {process.exitcode}"
    return {**found, "seconds": round(time.monotonic() - start, 1)}


def results(out):
    """The latest result of every job."""
    path = out / "results.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = {(result["name"], result["exporter"]): result for result in map(json.loads, lines)}
    return {job[:2]: found[job[:2]] for job in jobs() if job[:2] in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["measure", "table"])
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as timm/resnet18")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="default: %(default)s")
    options = parser.parse_intermixed_args()
    if options.what == "table":
        print(document.of(results(options.out).values()))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    done = {} if options.names else results(options.out)
    for job in jobs(options.names):
        if job[:2] not in done:
            result = run(job, options.program.resolve(), options.out / "current.json")
            with open(options.out / "results.jsonl", "a") as file:
                file.write(json.dumps(result) + "\n")
            print(document.line(result), flush=True)


if __name__ == "__main__":
    main()
