"""The commands of `python -m dmnet`: each is its name, help, options and action in one place."""

from __future__ import annotations

from dmnet.commands.costs import PROFILE, SPEED
from dmnet.commands.prediction import EVALUATE, PREDICT
from dmnet.commands.training import PREPARE, TRAIN
from dmnet.commands.weights import EXPORT, FETCH, IMPORT

COMMANDS = (PREPARE, TRAIN, FETCH, IMPORT, EVALUATE, PREDICT, PROFILE, EXPORT, SPEED)
