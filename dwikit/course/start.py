"""The first look (00_start_here): what the study claims, slices, samples of each network, and what to read next."""

import json
import re

import numpy as np
import pandas as pd

from dwikit import paper, study
from dwikit.cohorts import phantom
from dwikit.common import files, paths
from dwikit.preprocess import open_current
from dwikit.profiles import DEFAULT, Profile
from dwikit.slices import normalize, shrink, to_uint8
from dwikit.training.weights import pretrained

PEOPLE = 3
LEVELS = (1, 4, 7, 10, 13, 16, 19, 22)
"""Kept levels to show, from the skull base up."""


# ==== What the study claims ====


def claims() -> str:
    """The study's claims in our own words, with the numbers of its tables (sec. 4.1, Tables 1 and 2), as Markdown."""
    table, redrawn = paper.TABLE_1, paper.RECONSTRUCTION
    laplace = table["laplace"].map("{:.0f}".format)
    kept, nearest = (table["isd"] / table.loc["original", "isd"]).map("{:.0%}".format), table["min_isd"]
    sharp, error = redrawn["laplace"].map("{:.0f}".format), redrawn["mse"]
    real = paper.TABLE_2.map("{:.0%}".format).agg(" and ".join, axis=1)
    return f"""Learned from {paper.N_SLICES:,} slices of {paper.N_CASES:,} people, judged on {paper.N_SAMPLES:,} samples each:

1. **Sharp or blurred.** Real slices have a Laplace variance of {laplace["original"]}. Samples of the VAE ({laplace["vae"]}) and
   the DFC-VAE ({laplace["dfc_vae"]}) are blurred; those of the IntroVAE ({laplace["intro_vae"]}) and the StyleGAN
   ({laplace["style_gan"]}) are as sharp as real ones.
2. **Varied or alike.** Of the diversity of real slices, samples of the IntroVAE keep {kept["intro_vae"]}, of the StyleGAN
   {kept["style_gan"]}, of the VAE {kept["vae"]}, of the DFC-VAE {kept["dfc_vae"]}.
3. **Pixels or features.** A VAE that compares features instead of pixels, the DFC-VAE, reconstructs more sharply (Laplace
   variance {sharp["dfc_vae"]} against {sharp["vae"]}) and less exactly (error {error["dfc_vae"]} against {error["vae"]}). One
   that is its own critic, the IntroVAE, reconstructs more sharply still ({sharp["intro_vae"]}).
4. **Real or fake.** Two neuroradiologists call {real["original"]} of the real slices real; of the StyleGAN's images
   {real["style_gan"]}, of the IntroVAE's {real["intro_vae"]}, of the VAE's {real["vae"]}, of the DFC-VAE's {real["dfc_vae"]}.
   They agree with each other (Cohen's kappa {paper.KAPPA}).
5. **The price.** A sample's nearest neighbour among the others lies at {nearest["intro_vae"]} (IntroVAE) and
   {nearest["style_gan"]} (StyleGAN), a real slice's at {nearest["original"]}: there are near copies among the sharp ones."""


# ==== Slices and samples ====


def people(config: Profile) -> dict[str, np.ndarray]:
    """Slices of three people at eight levels: from the store of 01 if there is one, else simulated now by the direct path.

    Returns:
        Age and sex -> (8, H, W) uint8, H and W the profile's image size.
    """
    folder = study.data_folder(config) / "slices"
    if (folder / "settings.json").is_file():
        store = open_current(folder)
        table = store.table[store.table["level"].isin(LEVELS)]
        cases = table.drop_duplicates("case").head(PEOPLE)
        images = [store.images[table.index[table["case"] == case]] for case in cases["case"]]
        print(f"Slices of {folder.name}/, as 01_preprocess made them.")
    else:
        settings = config.slice_settings
        raw, cases = phantom.simulate_slices(PEOPLE, config.cohort.seed, levels=LEVELS, workers=1, settings=settings)
        cap = np.percentile(raw, settings.percentile)
        images = [to_uint8(normalize(shrink(person, settings.image_size), cap)) for person in raw]
        print("There are no slices of 01_preprocess yet: these people are simulated now.")
    return {_person(number, case): levels for number, (case, levels) in enumerate(zip(cases.itertuples(), images), 1)}


def _person(number: int, case) -> str:
    """Age and sex, as far as known; with a number, since two people may share both."""
    known = [f"{case.age:.0f} y"] * pd.notna(case.age) + [str(case.sex)] * pd.notna(case.sex)
    return f"{number}: {', '.join(known) or 'unknown'}"


def samples(config: Profile, n: int = 8) -> dict[str, np.ndarray]:
    """Samples of each network: from the last one trained with this profile, else from the kit's weights; a line says which.

    Nothing is trained. If the kit has no weights of the profile's image size, its largest are used.

    Returns:
        Label -> (n, H, W) uint8, without networks that have neither.
    """
    found, weights = {}, pretrained.available()
    for key, network in study.in_study(config).items():
        label, folder, sizes = network.label, paths.runs(config.name) / key, weights.get(key, [])
        stamp = files.read_json(folder / "samples.json")
        if stamp and (folder / "samples.npy").is_file():
            found[label] = np.load(folder / "samples.npy", allow_pickle=False)[:n]
            print(f"{label}: trained here, {stamp['epochs']} epochs")
        elif sizes:
            size = config.image_size if config.image_size in sizes else sizes[-1]
            found[label] = to_uint8(pretrained.load(key, size).sample(n)[..., 0])
            card = pretrained.card(key, size)
            note = "" if size == config.image_size else f"; there are none of {config.image_size} x {config.image_size}"
            shown = f"{size} x {size} pixels, field of view {card['slices']['fov_mm']:g} mm"
            print(f"{label}: the kit's weights, {card['steps']:,} steps, {shown}{note}")
        else:
            how = f"dwikit run {network.notebook}" if network.notebook else f"dwikit train {key}"
            print(f"{label}: not trained yet, and the kit has no weights of it here. Train it: {how}")
    return found


# ==== What to read next ====


def guide() -> str:
    """Which notebook covers which section of the paper, with its measured minutes, as Markdown.

    Titles, questions and sections are read from the notebooks, minutes from ``minutes.csv`` of ``dwikit reproduce``.
    """
    minutes, source = measured_minutes()
    note = "Nobody has measured the minutes here yet: `dwikit reproduce` does."
    if minutes:
        where = f"profile {source['profile']['name']}, {source['cores']} cores"
        note = f"Minutes as measured by `{source['command']}` ({where}), {minutes['all']:.0f} in all."
    lines = ["| Paper | Notebook | Question | Minutes |", "|---|---|---|---|"]
    for path in sorted(paths.notebooks().glob("[0-9]*.ipynb")):
        head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        title, question, section = (
            " ".join(re.search(pattern, head, re.DOTALL)[1].split())
            for pattern in (r"# (.*?)\n", r"\*\*Question\.\*\* (.*?)\n\n", r"\| Paper \| (.*?) \|")
        )
        spent = f"{minutes[path.stem]:.1f}" if path.stem in minutes else "-"
        lines.append(f"| {section} | [{title}]({path.name}) | {question} | {spent} |")
    return "\n".join(lines) + f"\n\n{note}"


def measured_minutes() -> tuple[dict[str, float], dict]:
    """Minutes by notebook at the default profile as last measured by ``dwikit reproduce``, here or by the kit's makers.

    Returns:
        Minutes, and facts about the measurement (command, profile, cores, ...); both empty if there is none.
    """
    for folder in (paths.figures() / DEFAULT, paths.kit() / "figures" / DEFAULT):
        source = files.read_object(folder / "minutes.json")
        if source and (folder / "minutes.csv").is_file():
            return pd.read_csv(folder / "minutes.csv", index_col="notebook")["minutes"].to_dict(), source
    return {}, {}
