# SPDX-License-Identifier: Apache-2.0
"""Makes bilstm/: a small classifier as Keras stores one, with random weights, and its logits by PyTorch's LSTM in float64.

usage: make_bilstm_goldens.py      (needs numpy, h5py, torch; the outputs are committed)
"""
import json
import pathlib

import h5py
import numpy
import torch

HERE = pathlib.Path(__file__).parent / "bilstm"
LENGTH = 100
N_DIMS, N_UNITS, N_HIDDEN, N_CLASSES = 6, 5, 7, 6
FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
WORDS = ["the", "fox", "hen", "you're", "ate", "été", "straße", "a", "of", "42", "x\r", "größe"]
TEXTS = ["", "the fox ate the hen", "The FOX, ate!the-hen", "unknown words only", "You're of STRASSE straße ÉTÉ", "a\tx\r 42\nof",
         "a hen " * 49 + "fox", "fox " + "hen " * 120, "ate " * 100]


def ids_of(text):
    """What Keras 3 does: lower case, filters to blanks, split at blanks; the last LENGTH ids, padded in front with 0."""
    words = text.lower().translate(str.maketrans(dict.fromkeys(FILTERS, " "))).split(" ")
    ids = [WORDS.index(word) + 1 for word in words if word in WORDS]
    return [0] * (LENGTH - len(ids)) + ids[-LENGTH:]


def main():
    HERE.mkdir(exist_ok=True)
    random = numpy.random.default_rng(5)
    array = lambda *shape: (random.standard_normal(shape) * 0.7).astype(numpy.float32)
    arrays = {"layers/embedding/vars/0": array(len(WORDS) + 1, N_DIMS)}
    for direction in ("forward", "backward"):
        cell = f"layers/bidirectional/{direction}_layer/cell/vars/"
        arrays |= {cell + "0": array(N_DIMS, 4 * N_UNITS), cell + "1": array(N_UNITS, 4 * N_UNITS), cell + "2": array(4 * N_UNITS)}
    arrays |= {"layers/dense/vars/0": array(2 * N_UNITS, N_HIDDEN), "layers/dense/vars/1": array(N_HIDDEN),
               "layers/dense_1/vars/0": array(N_HIDDEN, N_CLASSES), "layers/dense_1/vars/1": array(N_CLASSES)}
    with h5py.File(HERE / "model.weights.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file["optimizer/vars/0"] = numpy.int64(3)  # there is more in such files, and it does not matter
    with h5py.File(HERE / "odd.h5", "w") as file:  # what the reader refuses
        file["chunked"] = file.create_dataset("chunks", data=array(4), chunks=(2,))
        file["whole"] = array(4)
        file["double"] = numpy.zeros(4)
        file["nan"] = numpy.float32([1, numpy.nan])
        file["soft"] = h5py.SoftLink("/whole")
        file["circle"] = h5py.SoftLink("/circle")
        file["elsewhere"] = h5py.ExternalLink("model.weights.h5", "layers/dense/vars/1")
        file.create_group("group")
    (HERE / "words.json").write_text(json.dumps({"filters": FILTERS, "words": WORDS}, ensure_ascii=False), encoding="utf-8")

    tensor = {name: torch.from_numpy(values).double() for name, values in arrays.items()}
    lstm = torch.nn.LSTM(N_DIMS, N_UNITS, bidirectional=True, batch_first=True).double()
    with torch.no_grad():
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            cell = f"layers/bidirectional/{direction}_layer/cell/vars/"
            getattr(lstm, "weight_ih_l0" + suffix).copy_(tensor[cell + "0"].T)
            getattr(lstm, "weight_hh_l0" + suffix).copy_(tensor[cell + "1"].T)
            getattr(lstm, "bias_ih_l0" + suffix).copy_(tensor[cell + "2"])
            getattr(lstm, "bias_hh_l0" + suffix).zero_()
        states, _ = lstm(tensor["layers/embedding/vars/0"][torch.tensor([ids_of(text) for text in TEXTS])])
        hidden = torch.relu(states.amax(1) @ tensor["layers/dense/vars/0"] + tensor["layers/dense/vars/1"])
        logits = hidden @ tensor["layers/dense_1/vars/0"] + tensor["layers/dense_1/vars/1"]
    cases = [{"text": text, "n_words": sum(i > 0 for i in ids_of(text)), "logits": row} for text, row in zip(TEXTS, logits.tolist())]
    (HERE / "cases.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
