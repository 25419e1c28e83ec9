"""How much faster, measured side by side in one run: ``make bench`` prints and writes ``book/tables/bench.csv``.

    python -m tests.benchmarks.bench [--part powerset ...]

The fast side is the median of five; a slow reference runs once, on the stated share of the work, and is scaled. Every
pair is asserted to give the same result. Real data: SUPPORT2, its sentences and its fusion models.
"""

import argparse
import os
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from sklearn.metrics import accuracy_score, roc_auc_score

from mmlib.core.subsets import members, subset_masks
from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.expectation import expected_auroc, expected_selection, pattern_probabilities
from mmlib.measure.metrics import auroc, group_masks, rates
from mmlib.models.fusion import Architecture
from mmlib.models.masking import score_patterns
from mmlib.models.powerset import fit, train_powerset
from mmlib.models.study import prepare
from mmlib.text.encode import embed_notes
from mmlib.text.encoder import embed_texts, load_encoder
from mmlib.text.notes import join_notes, write_notes
from tests.benchmarks import references as plain
from tests.benchmarks.growth import growth

MODEL = Architecture()
NOTES = 400  # whole notes that the slow side encodes
ROWS = []


def timed(work, times: int = 5):
    """Return the median of ``times`` wall times in seconds, and what ``work`` returned last."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)), result


def row(part, against, fast, slow, share, same, goal=None):
    """Add a line of the table: seconds of both sides, the slow one scaled from the share of the work that it did."""
    ROWS.append(
        {
            "part": part,
            "against": against,
            "seconds": fast,
            "reference seconds": slow / share,
            "share run": share,
            "ratio": slow / share / fast,
            "goal": goal,
            "same result": same,
        }
    )
    print(f"{part} | {against}: {slow / share / fast:.1f} times", flush=True)


def data():
    """Load SUPPORT2 with folds, notes, embeddings through the cache, and inputs reduced per fold."""
    cohort = load_cohort("support2")
    table = cohort.samples.assign(fold=assign_folds(cohort.samples))
    notes, encoder = write_notes(cohort), load_encoder()
    vectors = embed_notes(notes, table["sample_id"], cohort.modalities, encoder)
    seconds, study = timed(lambda: prepare(table, vectors), 1)
    print(f"inputs reduced in {seconds:.1f} s", flush=True)
    return table, notes, encoder, study


def powerset(study):
    """Train a quarter of the power set, of all sizes, in all folds; the loops do fold 0 of the same subsets."""
    masks = dict(zip(*subset_masks(study.modalities), strict=True))
    names = list(masks)[::-4]
    y, tested = study.y.numpy(), study.fold == 0
    fast, (scores, _) = timed(lambda: train_powerset(study, MODEL, subsets=names))
    ours, loop, other, seconds = [], [], [], np.zeros(2)
    for name in names:
        part, key = study.columns(members(name)), list(masks).index(name)
        x = part.X.contiguous()
        rest = part.training, part.validation
        took, model = timed(
            lambda x=x, part=part, rest=rest, key=key: plain.train_alone(
                x, part.present, part.y, *rest, fold=0, seed=0, a=MODEL, key=key
            ),
            1,
        )
        seconds[0] += took
        with torch.no_grad():
            loop.append(roc_auc_score(y[tested], model(x[0, tested], part.present[tested]).numpy()))
        flat, learn = x[0].flatten(1).numpy(), (part.training[0] | part.validation[0]).numpy()
        took, model = timed(
            lambda flat=flat, learn=learn: plain.train_perceptron(flat[learn], y[learn], MODEL, 0), 1
        )
        seconds[1] += took
        other.append(roc_auc_score(y[tested], model.predict_proba(flat[tested])[:, 1]))
        ours.append(roc_auc_score(y[tested], scores.score.sel(subset=name, seed=0).values[tested]))
    apart = np.abs(np.subtract(ours, loop)).max()
    assert apart < 1e-3, apart
    row("power set", "a loop over models in plain PyTorch", fast, seconds[0], 0.2, f"AUROC within {apart:.0e}", 3)
    gain = np.mean(ours) - np.mean(other)
    row("power set", "scikit-learn's MLPClassifier", fast, seconds[1], 0.2, f"another model, AUROC {-gain:+.3f}")
    whole, _ = timed(lambda: train_powerset(study, MODEL), 1)
    print(f"whole power set: {len(masks) - 1} subsets, 5 folds, {whole:.1f} s", flush=True)


def masking(table, study):
    """Expected TPR of each group and AUROC when each modality is dropped with probability 0.2."""
    models = fit(study, MODEL, seeds=[0], key=len(subset_masks(study.modalities)[0]) - 1)
    scored = score_patterns({"plain": models}, study).isel(regime=0, seed=0)
    scores, y = scored.score.values.astype(float), study.y.numpy().astype(int)
    threshold = scored.threshold.sel(rule="prevalence").values[study.fold]
    names, groups = group_masks(table, ["race"])["race"]
    groups = groups[[(y[g] == 1).sum() >= 30 for g in groups]]
    masks, one = subset_masks(study.modalities)[1], np.ones((1, len(y)))

    def exact():
        p = pattern_probabilities(0.2, masks, study.present.numpy())
        q = expected_selection(scores, threshold, p)
        area = expected_auroc(y, scores, p, one, one.astype(bool))
        return np.r_[rates(y, q, one, groups)["tpr"][0, 0], area.ravel()]

    fast, found = timed(exact)
    p = pattern_probabilities(0.2, masks, study.present.numpy())
    reached, realisations = np.cumsum(p, axis=1), 40
    started = time.perf_counter()
    mean, sd = plain.simulate_masking(y, scores, threshold, reached, groups, realisations, 0)
    slow = time.perf_counter() - started
    z = np.abs(mean - found) / (sd / np.sqrt(realisations))
    assert z.max() < 4.5, z
    needed = int(np.ceil((sd.max() / 0.001) ** 2))
    row("masking", f"Monte Carlo, {needed} draws for a standard error of 0.001", fast, slow, realisations / needed,
        f"within {z.max():.1f} standard errors", 100)  # fmt: skip


def bootstrap(table, study):
    """3,000 samples, 1,000 resamples: rates of groups, and AUROC."""
    rows = np.random.default_rng(0).choice(len(table), 3000, replace=False)
    part, y = table.iloc[rows], table["label"].to_numpy()[rows].astype(int)
    score = (study.X[0, rows, :, 0].numpy() @ np.linspace(1, 2, study.X.shape[2])).astype(float)
    q, groups = (score > np.quantile(score, 0.74)).astype(float), group_masks(part, ["sex"])["sex"][1]
    drawing, patient_weights = timed(lambda: resample_patients(part["patient_id"], 1000))
    fast, ours = timed(lambda: rates(y, q, patient_weights, groups))
    metrics = {"selection_rate": selection_rate, "tpr": true_positive_rate, "accuracy": accuracy_score}
    options = {"sensitive_features": part["sex"], "n_boot": 10, "ci_quantiles": [0.025, 0.975], "random_state": 0}
    slow, frame = timed(
        lambda: MetricFrame(metrics=metrics, y_true=y, y_pred=q.astype(int), **options), 1
    )
    for name in metrics:
        np.testing.assert_allclose(ours[name][0, 0, 1:], frame.by_group[name].to_numpy(float), rtol=1e-12)
    same = "estimates equal"
    row("bootstrap of rates", "fairlearn's MetricFrame, draw excluded", fast, slow, 0.01, same, 1000)
    row("bootstrap of rates", "fairlearn's MetricFrame, draw included", fast + drawing, slow, 0.01, same)
    everybody = groups[:1]
    fast, ours = timed(lambda: auroc(y, score, patient_weights, everybody))
    slow, theirs = timed(lambda: plain.resample_auroc(y, score, patient_weights[:201]), 1)
    np.testing.assert_allclose(ours[:201, 0, 0], theirs, rtol=1e-10)
    same = "resamples equal"
    row("bootstrap of AUROC", "scikit-learn, a call per resample, draw excluded", fast, slow, 201 / 1001, same, 50)
    row("bootstrap of AUROC", "the same, draw included", fast + drawing, slow, 201 / 1001, same)


def encoding(table, notes, encoder, epochs: int = 12):
    """All distinct sentences of the cohort, against whole notes, and against notes encoded anew in each epoch."""
    sentences = notes["sentence"].unique()
    fast, vectors = timed(lambda: embed_texts(sentences, encoder, cached=False), 3)
    some = np.random.default_rng(0).choice(len(sentences), 500, replace=False)
    _, alone = timed(lambda: plain.encode_plainly(sentences[some], encoder), 1)
    apart = np.abs(vectors[some] - alone).max()
    assert apart < 1e-4, apart
    whole = join_notes(notes)["sentence"]
    part = whole.sample(NOTES, random_state=0).tolist()
    slow, _ = timed(lambda: plain.encode_plainly(part, encoder), 1)
    share, same = NOTES / len(whole), f"vectors of one text within {apart:.0e}"
    row("encoding", "every whole note, as SentenceTransformer would", fast, slow, share, same, 8)
    row("encoding", f"the same in each of {epochs} epochs", fast, slow * epochs, share, same)
    speed, _ = timed(lambda: embed_texts(part, encoder, cached=False))
    row("encoding", "the same whole notes in batches of 32", speed, slow, 1, same)
    c, peak = encoder.model.config, gemm_peak(encoder.model.config)
    per_token = 2 * c.num_hidden_layers * (4 * c.hidden_size**2 + 2 * c.hidden_size * c.intermediate_size)
    for name, texts, seconds in (("sentences", sentences, fast), ("whole notes", part, speed)):
        tokens = sum(map(len, encoder.tokenizer(list(texts), truncation=True, max_length=256)["input_ids"]))
        got = tokens * per_token / seconds / 1e9
        print(f"{name}: {len(texts) / seconds:.0f} a second, {got:.0f} GFLOP/s in its products", flush=True)
        what = {"part": f"encoding, {name} a second: {len(texts) / seconds:.0f}", "seconds": seconds}
        ROWS.append(what | {"against": f"a product alone, {peak:.0f} GFLOP/s", "ratio": got / peak, "goal": 0.7})


def gemm_peak(config) -> float:
    """Measure GFLOP/s of the encoder's largest product alone."""
    a, b = torch.randn(1024, config.hidden_size), torch.randn(config.hidden_size, config.intermediate_size)
    a @ b
    seconds, _ = timed(lambda: [a @ b for _ in range(20)])
    return 20 * 2 * a.numel() * b.shape[1] / seconds / 1e9


def machine() -> str:
    """Describe the machine in general words."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    known = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}
    unit = next((word for flag, word in known.items() if f" {flag}" in flags), platform.machine())
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores, {unit}"


def main() -> None:
    """Measure, print the table, and write it for the book."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("powerset", "masking", "bootstrap", "encoding", "growth")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--out", type=Path, default=Path("book/tables"))
    options = parser.parse_args()
    table, notes, encoder, study = data()
    work = {
        "powerset": lambda: powerset(study),
        "masking": lambda: masking(table, study),
        "bootstrap": lambda: bootstrap(table, study),
        "encoding": lambda: encoding(table, notes, encoder),
    }
    for name in options.part:
        if name in work:
            work[name]()
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "scikit-learn", "fairlearn", "transformers"))
    about = f"Measured on {date.today()} with {machine()} and {torch.get_num_threads()} threads: {packages}."
    tables = {"bench": pd.DataFrame(ROWS)} if ROWS else {}
    if "growth" in options.part:
        tables["growth"] = growth()
    for name, frame in tables.items():
        frame = frame.map(lambda v: f"{v:.3g}" if isinstance(v, float) and v < 1e3 else v)
        frame = frame.map(lambda v: "" if v is None or v != v else f"{v:,.0f}" if isinstance(v, float) else v)
        print(f"\n{about}\n{frame.to_string(index=False)}")
        frame.to_csv(options.out / f"{name}.csv", index=False)
    (options.out / "bench.md").write_text(about + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
