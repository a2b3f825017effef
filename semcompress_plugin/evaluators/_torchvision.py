"""torchvision's models: found by name, filled with weights from a file, never from the network unless told to fetch."""

from __future__ import annotations

import hashlib
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError

import torch

from semcompress_plugin.errors import ModelError, PluginError


def _versions() -> str:
    try:
        return f"torch {version('torch')} and torchvision {version('torchvision')}"
    except PackageNotFoundError:  # built from source, without metadata
        return "torch and torchvision"


def misfit(error: Exception) -> PluginError:
    """What to say when torchvision is there and its compiled part does not load."""
    return PluginError(
        f"{_versions()} are builds that do not fit each other ({str(error).splitlines()[0]}): install both anew, from "
        "one place and in one command, such as pip install --force-reinstall torch torchvision"
    )


try:
    from torchvision import models as models  # given on: whoever takes it from here has had the explanation
except ModuleNotFoundError:  # the extra is not installed, which the registry explains
    raise
except (RuntimeError, ImportError, OSError) as error:  # "operator torchvision::nms does not exist", undefined symbols
    raise misfit(error) from error

CLASSES = 1000
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# What torchvision's own builders change when they are given weights: these two want ImageNet's usual normalisation
# turned into that of the network from which they were converted.
_WITH_WEIGHTS = {
    "inception_v3": {"transform_input": True, "init_weights": False},
    "googlenet": {"transform_input": True, "init_weights": False},
}


def device(name: str) -> torch.device:
    """``auto``: a GPU where there is one. Raises PluginError for a device that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, available in there.items() if available))
    if not there[name]:
        raise PluginError(f"device {name} is not available here; use {', '.join(k for k, v in there.items() if v)}")
    return torch.device(name)


def known_weights(model: str, module: Any) -> Any:
    """torchvision's weights of a model of ``module``, as an enum. Raises PluginError for a model that it has not."""
    names = models.list_models(module=module)
    if model not in names:
        import difflib

        near = difflib.get_close_matches(model, names, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise PluginError(f"torchvision has no model {model!r} here; {hint}known: {', '.join(names)}")
    return models.get_model_weights(model)


def entry(model: str, module: Any, name: str | None) -> Any:
    """One member of a model's weights: by its name, by the name of its file, or the default."""
    known = known_weights(model, module)
    if name is None:
        return known.DEFAULT
    if is_file(name):
        file = Path(name).with_suffix(".pth").name
        return next((weights for weights in known if _file(weights) == file), known.DEFAULT)
    short = name.removeprefix(f"{known.__name__}.")
    if short not in known.__members__:
        raise PluginError(f"{model} has no weights {name!r}; it has {', '.join(known.__members__)}, or give a file")
    return known[short]


def is_file(name: str) -> bool:
    return PurePosixPath(name).suffix in (".pth", ".pt", ".safetensors")


def state_dict(family: str, model: str, module: Any, name: str | None) -> dict[str, torch.Tensor]:
    """A model's weights from a local file or torchvision's cache. Raises ModelError where there are none."""
    if name is not None and is_file(name):
        path = Path(name).expanduser()
        if not path.exists():
            raise ModelError(f"weights of {family}:{model}: {path} does not exist")
    else:
        weights = entry(model, module, name)
        path = cached(weights)
        if not path.exists():
            chosen = "" if name is None else f" --weights {weights.name}"
            raise ModelError(
                f"weights of {family}:{model} ({weights.name}) are not here: fetch them with "
                f"`semcompress weights fetch {family}:{model}{chosen}`, or name a file in option weights"
            )
    return _loaded(path)


def _loaded(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickles that are then refused
                found = torch.load(path, map_location="cpu", weights_only=True)  # never runs what a pickle says
    except ImportError as error:
        raise ModelError(f"{path}: reading it needs safetensors: pip install safetensors") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # every format fails in its own way on what it is not, and PyTorch with bad advice
        raise ModelError(
            f"{path}: is no file of weights that can be read without running what is in it: save the model's with "
            "torch.save(model.state_dict(), FILE), or download the file again if it was cut short"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(f"{path}: expected a state dict (names and tensors)")
    return found


def build(model: str, module: Any, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The model with these weights, for as many classes as they have. Raises ModelError where they do not fit."""
    options: dict[str, Any] = dict(_WITH_WEIGHTS.get(model, {}))
    if module is not models:
        options["weights_backbone"] = None  # else torchvision would download it
    try:
        net: torch.nn.Module = models.get_model(model, weights=None, **options)
        if module is models:
            layer, _ = last_layer(net)
            classes = len(state.get(f"{layer}.weight", range(CLASSES)))
            if classes != CLASSES:
                net = models.get_model(model, weights=None, num_classes=classes, **options)
        net.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the weights do not fit {model}: {' '.join(str(error).split())[:300]}") from error
    return net


def last_layer(net: torch.nn.Module) -> tuple[str, torch.nn.Module]:
    """The layer whose outputs are the classes: the last linear one, or the last convolution where none is linear."""
    layers = list(net.named_modules())
    for kind in (torch.nn.Linear, torch.nn.Conv2d):
        if found := [(name, layer) for name, layer in layers if isinstance(layer, kind)]:
            return found[-1]
    raise PluginError("the model has no linear layer and no convolution, so nobody knows what its features are")


def prepared(net: torch.nn.Module, where: torch.device, precision: str, compile: bool) -> torch.nn.Module:
    """``net`` in eval mode, on its device, with convolutions in the memory layout that suits them."""
    net = net.eval().to(where, dtype=DTYPES[precision], memory_format=torch.channels_last)
    answer: torch.nn.Module = torch.compile(net) if compile else net
    return answer


def fetch(model: str, module: Any, name: str | None) -> Path:
    """Download a model's weights into torchvision's cache unless they are there; where they are."""
    weights = entry(model, module, name)
    path = cached(weights)
    digest = path.stem.rpartition("-")[2]  # torchvision's files end in the first digits of their SHA-256
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(weights.url, str(path), digest)
        except (URLError, OSError, RuntimeError) as error:
            raise ModelError(f"{weights.url}: cannot be fetched: {error}") from error
    elif not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest):
        raise ModelError(f"{path}: is not what torchvision offers (sha256): delete it and fetch it again")
    return path


def cached(weights: Any) -> Path:
    """Where torchvision keeps these weights, or would."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _file(weights)


def _file(weights: Any) -> str:
    return PurePosixPath(weights.url).name
