"""Fine-tuning: a training that starts from weights instead of random numbers."""

import contextlib
import hashlib
from pathlib import Path

from dwikit import models
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.profiles import PRETRAINED, Training
from dwikit.slices import SliceStore
from dwikit.training.weights import pretrained, stored


def begin(model: models.GenerativeModel, section: Training) -> dict:
    """Give a fresh model the weights that a profile names, and freeze what shall not learn. Its optimizers are new.

    Args:
        model: fresh.
        section: of the profile.

    Returns:
        What of this decides the result, for ``settings.json``; empty if the model starts from random weights and all of it
        learns.

    Raises:
        InputError: no such weights, or those of another network; a part that cannot be frozen.
    """
    facts: dict = {}
    if section.init == PRETRAINED:
        pretrained.load_into(model)
    elif section.init:
        _fill(model, Path(section.init))
    if section.init:
        facts = {"init": section.init, "init_content": content(model, section)}
    if section.frozen:
        model.compile(frozen=section.frozen)
        facts["frozen"] = list(section.frozen)
    return facts


def _fill(model: models.GenerativeModel, path: Path) -> None:
    """Set a model's weights to those of another in a file.

    Raises:
        InputError: it is no model, one of other networks, or one without what only training needs.
    """
    other = models.load(path, key=model.key, image_size=model.image_size)
    if [tuple(one.shape) for one in other.weights] != [tuple(one.shape) for one in model.weights]:
        sizes = [name for name, value in model.config.items() if other.config.get(name) != value]
        raise InputError(
            f"{path} holds a {model.label} of another architecture than this profile's: they differ in {', '.join(sizes)}. "
            "Give the profile its values, under model:."
        )
    stored.require_whole(other, str(path))
    stored.assign(model.weights, other.get_weights())


def content(model: models.GenerativeModel, section: Training) -> str | None:
    """Sixteen hexadecimal digits of the file of weights that a network starts from; None if there is none."""
    if not section.init:
        return None
    with contextlib.suppress(InputError, OSError):
        path = pretrained.file(model.key, model.image_size) if section.init == PRETRAINED else Path(section.init)
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return None


def check_people(model: models.GenerativeModel, section: Training, store: SliceStore) -> None:
    """See whether the weights that a network starts from have seen people who are held out here.

    Of a file, it is said if the training beside it was on other slices.

    Raises:
        InputError: the kit's weights have.
    """
    if section.init == PRETRAINED:
        if seen := pretrained.seen(pretrained.card(model.key, model.image_size), store):
            raise InputError(
                f"The kit's {model.label} was trained on {len(seen)} people who are held out here, such as {seen[0]}. "
                "Start from random weights, or use another cohort (cohort: seed)."
            )
    elif section.init:
        data = files.read_object(Path(section.init).with_name("settings.json")).get("data")
        if data not in (None, store.content[:16]):
            tqdm.write(
                f"{section.init} was trained on other slices than these. If people who are held out here were among them, "
                "tables of what comes of it say nothing about new people."
            )


def told(settings: dict) -> str:
    """What a training with these settings started from, in a few words; empty if from random weights."""
    init = settings.get("init")
    if not init:
        return ""
    what = "the kit's weights" if init == PRETRAINED else "/".join(Path(init).parts[-3:])
    return f"fine-tuned from {what}" + (f", {', '.join(settings['frozen'])} frozen" if settings.get("frozen") else "")
