"""Models of the ONNX format that packages of PyPI bring, beside onnxruntime: do they agree, and how fast are they?

    pip download --no-deps -d FOLDER magika==1.0.3 silero-vad==6.2.3 rapidocr-onnxruntime==1.4.4 rapidocr==3.10.0 nudenet==3.4.2
    for wheel in FOLDER/*.whl; do unzip -qo $wheel -d FOLDER/x; done
    python benches/python/onnx_models.py FOLDER/x [--threads 2] [--cpu] [words of the names of models]

The nine light networks of the onnx package come without a download. Both engines run in turns; the time of each is the
least of 15 medians. With `--cpu` it is the processor's time, which others on the machine disturb less. Prints each
model's largest difference in parts of the largest output, both times and their ratio, above 1 where oxiflux is ahead,
and the geometric mean of the ratios. The exit status is 1 where a difference is above 1e-3.
"""

import argparse
import glob
import os
import sys
import time

import numpy as np
import onnx.backend.test
import onnxruntime

import oxiflux as flux
import oxiflux.onnx

RNG = np.random.default_rng(0)
LIGHT = os.path.join(os.path.dirname(onnx.backend.test.__file__), "data", "light")


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def magika(n):
    return lambda: [RNG.integers(0, 256, (n, 2048)).astype(np.int32)]


def silero(n, rate):
    return lambda: {
        "input": normal(1, n) / 10,
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(rate),
    }


def sequence():
    states = {name: np.zeros((1, 1, 128), np.float32) for name in "hc"}
    return {"input": normal(100, 576) / 10, **states}


def image(h, w):
    return lambda: [normal(1, 3, h, w)]


CASES = [
    ("magika", "magika/models/standard_v3_3/model.onnx", magika(1)),
    ("magika-32", "magika/models/standard_v3_3/model.onnx", magika(32)),
    ("silero", "silero_vad/data/silero_vad.onnx", silero(576, 16000)),
    ("silero-8k", "silero_vad/data/silero_vad.onnx", silero(288, 8000)),
    ("silero-op15", "silero_vad/data/silero_vad_16k_op15.onnx", silero(576, 16000)),
    ("silero-half", "silero_vad/data/silero_vad_half.onnx", silero(576, 16000)),
    ("silero-ifless", "silero_vad/data/silero_vad_op18_ifless.onnx", silero(576, 16000)),
    ("silero-openvino", "silero_vad/data/silero_vad_openvino_16k.onnx", silero(576, 16000)),
    ("silero-sequence", "silero_vad/data/silero_vad_16k_sequence.onnx", sequence),
    ("ocr4-det", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", image(320, 320)),
    ("ocr4-rec", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", image(48, 320)),
    ("ocr-cls", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", image(48, 192)),
    ("ocr6-det", "rapidocr/models/PP-OCRv6_det_small.onnx", image(320, 320)),
    ("ocr6-rec", "rapidocr/models/PP-OCRv6_rec_small.onnx", image(48, 320)),
    ("nudenet", "nudenet/320n.onnx", image(320, 320)),
    *((os.path.basename(path)[6:-5], path, image(224, 224)) for path in sorted(glob.glob(f"{LIGHT}/*.onnx"))),
]


def tuple_of(y):
    return y if isinstance(y, tuple) else (y,)


def times(runs, clock, seconds=0.03, rounds=15):
    """The least time of each of the runs, in turns."""
    counts = []
    for run in runs:
        start = clock()
        run()
        counts.append(max(1, int(seconds / max(clock() - start, 1e-6))))
    found = [[] for _ in runs]
    for _ in range(rounds):
        for run, n, row in zip(runs, counts, found, strict=True):
            start = clock()
            for _ in range(n):
                run()
            row.append((clock() - start) / n)
    return [min(row) for row in found]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_intermixed_args()
    flux.set_num_threads(given.threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = given.threads, 3
    ratios, worst = [], 0.0
    for name, path, make in CASES:
        if given.words and not any(word in name for word in given.words):
            continue
        path = os.path.join(given.folder, path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        model, inputs = oxiflux.onnx.load(path), make()
        if not isinstance(inputs, dict):
            inputs = dict(zip(model.inputs, inputs, strict=True))
        feed = {name: inputs[name] for name in model.inputs}
        args = list(feed.values())
        wanted, got = session.run(None, feed), tuple_of(model(*args))
        error = max(
            float(abs(a.numpy() - b).max() / max(abs(b).max(), 1e-9))
            for a, b in zip(got, wanted, strict=True)
        )
        clock = time.process_time if given.cpu else time.perf_counter
        theirs, ours = times([lambda: session.run(None, feed), lambda: model(*args)], clock)
        ratios.append(theirs / ours)
        worst = max(worst, error)
        print(
            f"{name:16} difference {error:.1e}  onnxruntime {theirs * 1e3:9.3f} ms  oxiflux {ours * 1e3:9.3f} ms"
            f"  ratio {theirs / ours:.2f}",
            flush=True,
        )
    print(f"geometric mean of {len(ratios)} ratios: {float(np.exp(np.mean(np.log(ratios)))):.2f}")
    return int(not worst < 1e-3)


if __name__ == "__main__":
    sys.exit(main())
