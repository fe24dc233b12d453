"""torch's optimisers as they step where nothing is compiled.

torch guards some of their methods so that ``torch.compile`` leaves them alone, and the guards
import its compiler at the first call, whether or not anything is compiled: 2 s of processor time
in every process that trains. The classes here have the same methods without the guards.
"""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch

_Optimizer = TypeVar("_Optimizer", bound=torch.optim.Optimizer)
_GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def _unguarded(optimizer: type[_Optimizer]) -> type[_Optimizer]:
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in _GUARDED}
    # Its guard also turns autograd off; torch's hooks around a step come with the first instance.
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


SGD = _unguarded(torch.optim.SGD)
Adam = _unguarded(torch.optim.Adam)
AdamW = _unguarded(torch.optim.AdamW)
