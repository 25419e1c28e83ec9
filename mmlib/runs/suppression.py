"""Suppression of small cells in the tables of runs whose data are not public, and refusal of what no table may hold.

A reader of a table knows every number in it and can add, subtract and multiply. So a rate is shown only if at least
``mmlib.core.schema.SMALLEST_CELL`` samples lie on each side of it, and what is left out must not follow from what is
shown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import numpy as np
import pandas as pd

from mmlib.core.schema import SMALLEST_CELL
from mmlib.core.subsets import NONE
from mmlib.runs.disclosure import IDENTIFIER, TIMESTAMP, Protected

#: Counts are rounded to a multiple of this.
ROUND = 5
#: Metrics that do not come from counts of flagged samples; groups are large enough for them if they are shown at all.
NOT_COUNTED = (
    "auroc",
    "observed_expected",
    "presence_auroc",
    "value_auroc",
    "shapley_auroc",
    "interaction_auroc",
)
#: Columns of a table that hold counts, beside those that begin with ``n_``.
COUNTS = ("n", "events", "total")
#: Columns that name a set of modalities.
SETS = ("subset", "versus")
#: What words of a table never look like.
PATH = re.compile(
    r"[\w.~-]*/[\w.-]+/|\b[A-Za-z]:\\|\\\\|\w\.(csv|parquet|ipynb|py|yml|json|txt|png|dcm|nc|gz)\b", re.I
)
ADDRESS = re.compile(r"\S+@\S+\.\w+|https?:|www\.")
MONTH = (
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?"
    r"|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?)"
)
DATE = re.compile(
    r"\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}:\d\d\b"
    rf"|\b\d{{1,2}}(st|nd|rd|th)? {MONTH}\b|\b{MONTH} \d{{1,4}}\b",
    re.I,
)
#: Most letters of an entry of a table, semicolons apart, and the largest number that is not a count.
WIDEST, LARGEST = 240, 1e5
#: Columns of text about fields; those of public data are shared.
SENTENCES = ("label", "reason", "source", "refused")
#: Words of metrics, regimes, mechanisms, verdicts and kinds of rows.
VOCABULARY = frozenset(
    re.findall(
        r"\w+",
        """
absences absent accuracy addition after all allocation are as at AUROC auroc balanced_accuracy best bounded cheapest
concat correction described differs dropout effect equivalent f1 fine fnr fpr from fusion gap greedy group happened
headline higher imputed in indicators informative interaction_auroc it judged late leak level lower margin mask masked
matched mechanism modality more narrows negative negatives noise not observed observed_expected once one out overall
part_tpr parts plain positive positives ppv predicted presence presence_auroc random ranking recalibrated recorded
reverses risk rq1 rq2 selection_rate sequential shapley_auroc shapley_tpr_difference share smallest_margin specialists
tested the token tpr training unclear undecided unresolved value_auroc varied weights widens within without
""",
    )
)


def suppress(tables: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Tables without what small cells would reveal, and the number of rows that each lost.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Tables of one run; ``sizes`` among them.

    Returns
    -------
    tables : dict of str to pandas.DataFrame
        Rows left out, counts rounded to a multiple of 5, sentences blank. Without ``bins``.
    withheld : dict of str to int
        Table to rows left out.
    """
    hidden, levels = _hidden_groups(tables["sizes"]), _levels(tables)
    known, few = set(levels["subset"]), _hidden_rates(levels)
    full = max(known, key=len, default="")
    crossed = {a for a, g, _ in few if "+" in a} | set(_small_crossed(levels))
    out, withheld = {}, {}
    for name, table in tables.items():
        if name == "bins":
            continue
        keep = ~table["attribute"].isin(crossed)
        rows = _words(table, "attribute", "group", "reference")
        keep &= np.array([not {(a, g), (a, r)} & hidden for a, g, r in rows], bool)
        if name == "sizes":
            keep &= ~_scarce_presence(table)
        else:
            keep &= _enough(table) & ~_reveals(table, few, known, full)
        if name == "audit":
            keep &= ~_scarce_fields(table)
        out[name], withheld[name] = _rounded(table[keep]), int((~keep).sum())
    return out, {name: rows for name, rows in withheld.items() if rows}


def _hide(parts: pd.DataFrame, whole: pd.Series) -> set:
    """Rows of parts with a small cell, and the next smallest ones until nothing small follows by subtraction."""
    cells, whole = parts.to_numpy(float), whole[parts.columns].to_numpy(float)
    small = (cells < SMALLEST_CELL).any(axis=1)
    if (whole < SMALLEST_CELL).any():
        return set(parts.index)
    order = np.argsort(np.nansum(cells, axis=1), kind="stable")
    while True:
        rest = whole - np.nansum(cells[~small], axis=0)
        exposed = (rest > 0.5) & (rest < SMALLEST_CELL)
        if small.any():
            exposed |= rest < SMALLEST_CELL
        shown = order[~small[order]]
        if not len(shown) or not (exposed.any() or small.sum() == 1):
            return set(parts.index[small])
        small[shown[0]] = True


def _hidden_groups(sizes):
    """Groups with too few patients with or without the outcome, as (attribute, group), and the next smallest."""
    cells = sizes[sizes["modality"].isna() & (sizes["label"] != "all")]
    cells = cells.pivot(index=["attribute", "group"], columns="label", values="n_patients")
    whole = cells.loc[("overall", "all")]
    found = set()
    for attribute, parts in cells.drop("overall", level="attribute").groupby(level="attribute"):
        parts = parts.droplevel("attribute")
        found |= {(attribute, group) for group in _hide(parts, np.maximum(whole, parts.sum()))}
    return found


def _levels(tables):
    """True and false positives and negatives of every group for every set of modalities that a table has rates of."""
    parts = [tables[name] for name in ("rq1", "fairness") if name in tables]
    if not parts:
        return pd.DataFrame(columns=["attribute", "group", "subset"])
    rows = pd.concat(parts, ignore_index=True)
    single = rows["reference"].isna() & rows["metric"].isin(["tpr", "fpr"])
    if "versus" in rows:
        single &= rows["versus"].isna()
    keys = ["attribute", "group", "subset", "n", "n_positive"]
    rates = rows[single].groupby([*keys, "metric"], dropna=False)["estimate"].mean().unstack("metric")
    rates = rates.dropna(how="all").reset_index().reindex(columns=[*keys, "tpr", "fpr"])
    negative = rates["n"] - rates["n_positive"]
    cells = {
        "TP": rates["tpr"] * rates["n_positive"],
        "FN": (1 - rates["tpr"]) * rates["n_positive"],
        "FP": rates["fpr"] * negative,
        "TN": (1 - rates["fpr"]) * negative,
    }
    return rates.assign(**cells)


def _hidden_rates(levels):
    """Groups and sets of modalities whose rates are left out, as (attribute, group, subset)."""
    found = set()
    if levels.empty:
        return found
    for (attribute, subset), rows in levels.groupby(["attribute", "subset"]):
        cells = rows.set_index("group")[["TP", "FN", "FP", "TN"]].dropna(axis=1, how="all")
        parts = cells.drop("all", errors="ignore")
        whole = cells.loc["all"] if "all" in cells.index else parts.sum()
        hide = _hide(parts, whole)
        if (whole < SMALLEST_CELL).any():
            hide |= {"all"}
        found |= {(attribute, group, subset) for group in hide}
    return found


def _small_crossed(levels) -> Iterator[str]:
    """Yield crossed attributes with a group that is too small, with or without the outcome."""
    if levels.empty:
        return
    rows = levels[levels["attribute"].str.contains("+", regex=False)]
    scarce = np.minimum(rows["n_positive"], rows["n"] - rows["n_positive"]) < SMALLEST_CELL
    yield from rows["attribute"][scarce].unique()


def _reveals(table, few, known, full):
    """Rows that state, or contain, a rate that is left out.

    A row that names no set of modalities is about all of them, or, if a way to choose found it, perhaps about any.
    """
    unnamed = known if "way" in table else {full}
    flags = []
    for metric, attribute, group, reference, *sets in _words(
        table, "metric", "attribute", "group", "reference", *SETS
    ):
        named = known.intersection(sets) or unnamed
        left_out = any((attribute, g, s) in few for g in (group, reference) for s in named)
        flags.append(metric not in NOT_COUNTED and left_out)
    return np.array(flags, bool)


def _enough(table):
    """Rows with enough samples with and without the outcome, and, if they are a rate, on each side of it."""
    n, positive = table["n"], table["n_positive"]
    keep = np.minimum(positive, n - positive) >= SMALLEST_CELL
    if "small" in table:
        keep &= ~table["small"].astype("boolean").fillna(False).astype(bool)
    level = table["reference"].isna() & table["metric"].isin(["tpr", "fpr", "selection_rate"])
    if "versus" in table:
        level &= table["versus"].isna()
    total = n.where(
        table["metric"] == "selection_rate", positive.where(table["metric"] == "tpr", n - positive)
    )
    sides = np.minimum(table["estimate"], 1 - table["estimate"]) * total
    return keep & ~(level & (sides < SMALLEST_CELL))


def _scarce_presence(sizes):
    """Rows on a modality that fewer than the smallest cell of a group have or lack, with or without the outcome."""
    rows = sizes[sizes["modality"].notna()]
    cells = rows.pivot(index=["attribute", "modality", "group"], columns="label", values=["n_present", "n"])
    hide = set()
    for (attribute, modality), part in cells.groupby(level=["attribute", "modality"]):
        part = part.droplevel(["attribute", "modality"])
        there = part["n_present"].drop(columns="all")
        lacking = part["n"].drop(columns="all") - there
        sides = pd.concat({"has": there, "lacks": lacking}, axis=1)
        if (sides.sum() == 0).any():  # everybody has it, or nobody does
            sides = sides.loc[:, sides.sum() > 0]
        hide |= {(attribute, modality, group) for group in _hide(sides, sides.sum())}
    return np.array([key in hide for key in _words(sizes, "attribute", "modality", "group")], bool)


def _scarce_fields(audit):
    """Rows on a field that too few have or lack, over all or in a group, whose share follows from the differences."""
    parts = [audit["n_present"] * audit["rate_present"], audit["n_present"] * (1 - audit["rate_present"])]
    parts += [audit["n_absent"] * audit["rate_absent"], audit["n_absent"] * (1 - audit["rate_absent"])]
    split = (audit["n_present"] > 0) & (audit["n_absent"] > 0)
    scarce = split & (pd.concat(parts, axis=1).min(axis=1) < SMALLEST_CELL)
    rows, hide = audit[(audit["metric"] == "recorded") & split], set()
    for (field, attribute), part in rows.groupby(["field", "attribute"]):
        known = part.set_index("group").fillna({"estimate": -1})  # what was not computed counts as too small
        whole, total = part["n_present"].iloc[0], part["n_present"].iloc[0] + part["n_absent"].iloc[0]
        n_reference = max(total - known["n"].sum(), 0)
        share = (whole - (known["n"] * known["estimate"]).sum()) / total  # of the reference group
        has = (known["estimate"] + share) * known["n"]
        has["reference"] = share * n_reference
        n = pd.concat([known["n"], pd.Series({"reference": n_reference})])
        small = _hide(
            pd.DataFrame({"has": has, "lacks": n - has}), pd.Series({"has": whole, "lacks": total - whole})
        )
        groups = known.index if "reference" in small else small
        hide |= {(field, attribute, group) for group in groups}
    keys = _words(audit, "field", "attribute", "group")
    return scarce | ((audit["metric"] == "recorded") & np.array([key in hide for key in keys], bool))


def _rounded(table):
    table = table.reset_index(drop=True)
    for column in table:
        if column in COUNTS or column.startswith("n_"):
            table[column] = (table[column] / ROUND).round() * ROUND
        if column == "label" and "field" in table:
            table[column] = table["field"]
        elif column in SENTENCES and column != "label":
            table[column] = ""
    return table


def _words(table, *columns):
    """Entries of some columns, row by row, as text or None; of a column that the table lacks, None."""
    absent = pd.Series([None] * len(table), dtype=object)
    parts = [table.get(column, absent) for column in columns]
    texts = [[None if lacks else str(v) for v, lacks in zip(p.tolist(), p.isna(), strict=True)] for p in parts]
    return list(zip(*texts, strict=True))


def refusals(
    tables: Mapping[str, pd.DataFrame],
    protected: Protected,
    *,
    fields: Iterable[str],
    others: Iterable[str] = (),
) -> list[str]:
    """One sentence for each thing that no shared table may hold; nothing that was found is repeated.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Tables of one run as its chapters wrote them; ``sizes`` among them.
    protected : Protected
        Identifiers and sentences of the run.
    fields : iterable of str
        Names of its fields, such as ``labs.albumin``.
    others : iterable of str
        Further texts that would be shared, such as the title.
    """
    sizes, fields = tables["sizes"], set(fields)
    groups = {a: set(part["group"]) | {"all"} for a, part in sizes.groupby("attribute")}
    modalities = set(sizes["modality"].dropna()) | {"noise", NONE}
    most = int(sizes["n"].max())
    names = {word for known in (modalities, *groups.values()) for name in known for word in _tokens(name)}
    found = []
    patients = sizes[(sizes["attribute"] == "overall") & (sizes["label"] != "all")]["n_patients"]
    if patients.min() < SMALLEST_CELL:
        found.append(f"fewer than {SMALLEST_CELL} patients have, or lack, the outcome")
    for name, table in tables.items():
        for column in table:
            values = table[column].dropna()
            if values.isin([True, False]).all():
                continue
            if pd.api.types.is_numeric_dtype(values):
                if (
                    (column in COUNTS or column.startswith("n_"))
                    and column != "n_needed"
                    and (values > most).any()
                ):
                    found.append(f"{name}: {column!r} holds a number that is no count of this run")
                elif (values.abs().replace(np.inf, 0) > LARGEST).any() and column != "n_needed":
                    found.append(f"{name}: {column!r} holds a number that is too large")
                continue
            words = set(values.astype(str)) - {""}
            found += [
                f"{name}: {column!r} holds {what}" for what in dict.fromkeys(_in_words(words, protected))
            ]
            if column == "attribute":
                known = {a for a in words if all(part in groups for part in a.split("+"))}
            elif column in ("group", "reference"):
                rows = zip(table["attribute"].astype(str), table[column], strict=True)
                known = {g for a, g in rows if not pd.isna(g) and g in {*_groups(a, groups), "masked"}}
            elif column in ("subset", "modality", "pair"):
                known = {word for word in words if set(word.split("+")) <= modalities}
            elif column == "field":
                known = words & (fields | modalities)
            elif column in (*SENTENCES, "run"):
                known = words
            else:
                known = {word for word in words if _tokens(word) <= VOCABULARY | names}
            if words - known:
                found.append(f"{name}: {column!r} holds a word that is not of this run, nor of these tables")
    return found + [f"a text beside the tables holds {what}" for what in _in_words(set(others), protected)]


def _in_words(words, protected) -> Iterator[str]:
    """Yield what a text must not be."""
    for word in words:
        if set(re.findall(r"[\w-]{4,}", word)) & protected.identifiers or IDENTIFIER.search(word):
            yield "an identifier"
        if TIMESTAMP.search(word) or DATE.search(word):
            yield "a date or time"
        if PATH.search(word) or ADDRESS.search(word):
            yield "a path or an address"
        wide = max(map(len, word.split(";"))) > WIDEST
        if wide or "\n" in word or any(sentence in word for sentence in protected.sentences):
            yield "free text"


def _groups(attribute, groups):
    """Names of the groups of an attribute, crossed ones too."""
    parts = [groups.get(part, {"all"}) - {"all"} for part in attribute.split("+")]
    return {"all", *(", ".join(names) for names in product(*parts))}


def _tokens(text):
    return {word for word in re.findall(r"[A-Za-z]\w*", text)}
