"""The networks of tests/library/interop.rs in PyTorch, for the files that both write.

    python interop.py FOLDER

FOLDER has, for each network NAME below, `NAME.safetensors` with weights that
bilro has written and `NAME.inputs.safetensors` with inputs `x`; and
`body.safetensors`, those of `digits` renamed for an `nn.Sequential` called
`body`. This writes

- `NAME.outputs.safetensors`: `ours`, the outputs of a module with bilro's
  weights, and `theirs`, those of a module with PyTorch's own; `ours.f64` and
  `theirs.f64`, the same computed in float64;
- `NAME.torch.safetensors`, PyTorch's own weights, with batch normalisation's
  counters of batches; and without those, `NAME.f32.safetensors`,
  `NAME.f64.safetensors`, `NAME.f16.safetensors`, `NAME.bf16.safetensors`, in
  these types;
- `NAME.f16.rounded.safetensors` and `NAME.bf16.rounded.safetensors`: what
  those are as F32;
- `NAME.txt`: the module as PyTorch prints it;
- `sequential.safetensors`: the weights of `digits` in an `nn.Sequential`;
- `versions.txt`.
"""

import copy
import pathlib
import sys

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class Mixed(nn.Module):
    """Square weights, whose transpose has the same shape; a layer without bias; a
    parameter of its own; layers named by a chain."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 6))
        self.mix = nn.Linear(6, 6, bias=False)
        self.linear1 = nn.Linear(6, 5)
        self.tanh1 = nn.Tanh()
        self.linear2 = nn.Linear(5, 3)
        self.softmax1 = nn.Softmax(dim=-1)

    def forward(self, x):
        x = self.mix(x @ self.w)
        return self.softmax1(self.linear2(self.tanh1(self.linear1(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4096, 120)
        self.fc2 = nn.Linear(120, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


class Words(nn.Module):
    """A table, and running statistics; inputs are integers."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(20, 6)
        self.flat = nn.Flatten()
        self.batch_norm = nn.BatchNorm1d(24, momentum=0.3)
        self.fc1 = nn.Linear(24, 8)
        self.layer_norm = nn.LayerNorm(8)
        self.fc2 = nn.Linear(8, 3)
        self.relu1 = nn.ReLU()

    def forward(self, x):
        x = self.fc1(self.batch_norm(self.flat(self.emb(x.long()))))
        return self.fc2(self.relu1(self.layer_norm(x)))


NETWORKS = {"digits": Digits, "mixed": Mixed, "net": Net, "words": Words}


def main(folder):
    torch.manual_seed(20)
    for name, module in NETWORKS.items():
        x = load_file(folder / f"{name}.inputs.safetensors")["x"]

        model = module().eval()
        # Strict: unexpected and missing names are errors.
        model.load_state_dict(load_file(folder / f"{name}.safetensors"))
        other = module()
        with torch.no_grad():
            # Training changes the running statistics.
            for _ in range(3):
                other(x)
        other.eval()
        save_file(other.state_dict(), folder / f"{name}.torch.safetensors")
        weights = {key: value for key, value in other.state_dict().items() if value.is_floating_point()}
        types = {
            "f32": torch.float32,
            "f64": torch.float64,
            "f16": torch.float16,
            "bf16": torch.bfloat16,
        }
        for short, dtype in types.items():
            converted = {key: value.to(dtype) for key, value in weights.items()}
            save_file(converted, folder / f"{name}.{short}.safetensors")
            rounded = {key: value.to(torch.float32) for key, value in converted.items()}
            save_file(rounded, folder / f"{name}.{short}.rounded.safetensors")
        (folder / f"{name}.txt").write_text(f"{other}\n")

        with torch.no_grad():
            outputs = {"ours": model(x), "theirs": other(x)}
            outputs["ours.f64"] = copy.deepcopy(model).double()(x.double())
            outputs["theirs.f64"] = copy.deepcopy(other).double()(x.double())
        save_file(outputs, folder / f"{name}.outputs.safetensors")

        if name == "digits":
            sequential = nn.Sequential(other.fc1, nn.ReLU(), other.fc2, nn.ReLU(), other.fc3)
            save_file(sequential.state_dict(), folder / "sequential.safetensors")
            # Saved by bilro under the names of a module with a body: also strict, and equal.
            whole = nn.Module()
            whole.body = copy.deepcopy(sequential)
            whole.load_state_dict(load_file(folder / "body.safetensors"))
            ours = [model.fc1, model.fc2, model.fc3]
            for mine, theirs in zip(ours, [whole.body[0], whole.body[2], whole.body[4]]):
                assert torch.equal(mine.weight, theirs.weight)
                assert torch.equal(mine.bias, theirs.bias)

    versions = f"torch {torch.__version__}, safetensors {safetensors.__version__}"
    (folder / "versions.txt").write_text(versions)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
