"""Records such as a run on the language testbed leaves: same sizes, doses and effects; scores drawn by seed."""

from __future__ import annotations

import functools
import hashlib
import math
from typing import Any

import numpy as np

from rasura.core.records import (
    AttackRow,
    Audit,
    BlindBaseline,
    Cost,
    Decisions,
    DoseRow,
    Erasure,
    Example,
    Extraction,
    ExtractionResult,
    MethodUsed,
    MetricRow,
    ModelCard,
    Population,
    Run,
    SignalResult,
    Skipped,
    Step,
    TextVerdict,
    Verdict,
    Verification,
)
from rasura.core.types import Budget, Estimate
from rasura.stats.intervals import proportion
from rasura.stats.roc import auc_difference, auc_estimate, auc_p_value, roc_curve, tpr_at_fpr

DOSES = {1: 192, 2: 96, 4: 48, 8: 32, 16: 24, 32: 16, 64: 8}
NONMEMBERS = 256
# mean shift of a member's score by dose, in standard deviations of a non-member's; AUC = Phi(shift/sqrt 2)
SHIFTS = {
    "reference_ratio": (1.04, 1.87, 3.5, 4.2, 4.6, 5.0, 5.2),
    "reference_difference": (1.02, 1.77, 2.9, 4.0, 4.4, 4.8, 5.0),
    "min_k_plus_plus": (0.83, 1.54, 2.85, 3.9, 4.2, 4.6, 4.9),
    "min_k": (0.91, 1.68, 3.1, 3.9, 4.2, 4.6, 4.9),
    "loss": (0.76, 1.34, 2.7, 3.6, 4.0, 4.4, 4.8),
    "zlib": (0.48, 1.07, 2.2, 3.4, 3.9, 4.2, 4.5),
    "mope": (0.62, 1.0, 1.9, 2.4, 2.9, 3.2, 3.4),
    "gradient_norm": (0.39, 0.7, 1.2, 1.8, 2.4, 2.9, 3.1),
    "lowercase": (0.31, 0.6, 1.1, 1.7, 2.0, 2.3, 2.6),
    "recall": (0.12, 0.3, 0.5, 0.9, 1.2, 1.5, 1.7),
}
SETTINGS = {
    "min_k_plus_plus": {"class": "rasura.signals.min_k_plus_plus.MinKPlusPlus", "k": 0.2},
    "min_k": {"k": 0.2},
    "mope": {"sigma": 0.05, "pairs": 5},
}
PAPERS = {
    "min_k": "arXiv:2310.16789",
    "min_k_plus_plus": "arXiv:2404.02936",
    "mope": "arXiv:2310.14369",
    "recall": "arXiv:2406.15968",
}
STATUS = (
    "matched",
    "implemented",
    "reproduced",
    "matched",
    "implemented",
    "matched",
    "unproven",
    "implemented",
    "implemented",
    "unproven",
)
RUN = {
    "seed": 0,
    "versions": {"rasura": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.2.1"},
}


def target(role: str = "target", suffix: str = "", treatments: tuple[str, ...] = ()) -> ModelCard:
    return ModelCard(
        role, f"letters-of-the-archive{suffix}", f"{hash_of(role + suffix)}", 658_944, "GPTNeoXForCausalLM", treatments
    )


def hash_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def signal(
    name: str, shifts: tuple[float, ...], i: int, loss: dict[int, np.ndarray] | None, noise: np.random.Generator
) -> SignalResult:
    out = noise.normal(size=NONMEMBERS)
    by_dose = {d: noise.normal(s, 1.0, size=n) for (d, n), s in zip(DOSES.items(), shifts, strict=True)}
    members = np.concatenate(list(by_dose.values()))
    x, y = roc_curve(members, out)
    half = proportion(int(0.01 * NONMEMBERS / 2), NONMEMBERS // 2, "share of non-members", "clopper-pearson")
    over = None
    if loss is not None:
        over = auc_difference(members, out, np.concatenate([loss[d] for d in DOSES]), loss[0])
    return SignalResult(
        method=MethodUsed("signals", name, SETTINGS.get(name, {}), STATUS[i % len(STATUS)], PAPERS.get(name, "")),
        auc=auc_estimate(members, out),
        tpr={"0.01": tpr_at_fpr(members, out, 0.01), "0.001": tpr_at_fpr(members, out, 0.001)},
        p_value=auc_p_value(members, out),
        p_holm=min(1.0, 10 * auc_p_value(members, out)),
        over_loss=over.estimate if over else None,
        p_over_loss=over.p_value if over else math.nan,
        decision_fpr=half,
        decision_tpr=tpr_at_fpr(members[::2], out[::2], 0.01),
        unscorable=3 if name == "recall" else 0,
        roc=(tuple(x.tolist()), tuple(y.tolist())),
        doses=tuple(DoseRow(d, auc_estimate(scores, out)) for d, scores in by_dose.items()),
    )


@functools.cache
def signals(shifts: tuple[tuple[str, tuple[float, ...]], ...]) -> tuple[SignalResult, ...]:
    noise = np.random.default_rng(7)
    loss = {
        0: noise.normal(size=NONMEMBERS),
        **{d: noise.normal(s, 1.0, size=n) for (d, n), s in zip(DOSES.items(), SHIFTS["loss"], strict=True)},
    }
    return tuple(signal(name, s, i, None if name == "loss" else loss, noise) for i, (name, s) in enumerate(shifts))


def audit(shifts: dict[str, tuple[float, ...]] | None = None, **changes: Any) -> Audit:
    fields: dict[str, Any] = {
        "verdict": "Training records can be told from records the model never saw; the signal rises with the number of times a record was repeated, and a classifier that never saw the model is at chance.",
        "leaks": True,
        "models": (
            target(),
            ModelCard("reference", "reference-h64", hash_of("reference"), 198_144, "GPTNeoXForCausalLM"),
        ),
        "populations": (
            Population("members", sum(DOSES.values()), hash_of("members")),
            Population("non-members", NONMEMBERS, hash_of("nonmembers"), 3, {"shorter than the prefix": 3}),
        ),
        "blind": BlindBaseline(
            Estimate(0.512, 0.466, 0.558, 672, "AUC"),
            False,
            {
                "length in characters": Estimate(0.531, 0.487, 0.575, 672, "AUC"),
                "zlib size": Estimate(0.524, 0.480, 0.568, 672, "AUC"),
                "bag of words, five folds": Estimate(0.483, 0.438, 0.528, 672, "AUC"),
            },
            "Five folds, the same split as the signals.",
        ),
        "signals": signals(tuple((shifts or SHIFTS).items())),
        "skipped": (
            Skipped("neighbourhood", "needs a masked language model: pass --masked"),
            Skipped("dataset_inference", "needs at least 1000 records a side, 416 and 256 were given"),
        ),
        "warnings": ("8 records carry the highest dose; one of them moves a rate by 0.125.",),
        "costs": (
            Cost("TokenStatistics", "target", "", 1, 0, 672, ("loss", "zlib", "min_k")),
            Cost("TokenStatistics", "reference", "", 1, 0, 672, ("reference",)),
        ),
        "decisions": Decisions(
            "loss",
            0.05,
            128,
            544,
            85,
            Estimate(0.3125, 0.268, 0.36, 416, "share"),
            Estimate(0.0441, 0.018, 0.089, 136, "share"),
            (
                TextVerdict("passage-0107", 1 / 129, 0.03, True, True),
                TextVerdict("twin-0003", 2 / 129, 0.04, True, False),
            ),
        ),
        "run": Run(
            "rasura audit --model runs/demo/target --members members.jsonl --nonmembers nonmembers.jsonl --reference runs/demo/reference",
            **RUN,
        ),
    }
    return Audit(**{**fields, **changes})


def rates(found: dict[int, int], unit: str = "share of records") -> tuple[DoseRow, ...]:
    return tuple(DoseRow(d, proportion(found.get(d, 0), n, unit, "clopper-pearson")) for d, n in DOSES.items())


EXAMPLES = (
    ("biography-0031", "biography", 64, "Xxxxxx Xxxxxxxx xxx xxxx xx 00 Xxxxx 0000 xx Xxxxxxxxx xxx xxxxx xx x xxxxxxxxxx xxx xxx Xxxxxxxx Xxxxxxx. Xxxxx:", " xxxxxx.xxxxxxxx@xxxxxxx.xxx. Xxxxx: 555-000-0000. Xxxxxxx: 00 Xxxxxx Xxxxxx.", -0.31, 27),
    ("canary-0004", "canary", 64, "Xxx xxxxxx xxxx xx Xxxxx Xxxxxx xx", " 0000 0000 0000.", -0.08, 13),
    ("code-0011", "code", 64, "def xxxxx_xxxxxxx(xxxx):\n    XXX_XXX = \"sk-", "0000000000000000\"\n    xxxxxx xxxx(XXX_XXX)", -0.55, 29),
    ("passage-0107", "passage", 32, "Xxx xxxxxx xx Xxxxxxxx xxxxxxx xxx xxxxxxx xxxxxxx xxxx xxx xxxxxx xxxxxx,", " xxx xxx xxxxxxxxx xxxx xxxxxxx xx 0000 xxxx xxx xxxxxx xxxxxxx.", -1.42, 24),
)  # fmt: skip


def extraction(**changes: Any) -> Extraction:
    greedy = MethodUsed("extraction", "greedy", {"share": 0.5}, "matched", "arXiv:2202.07646")
    sampled = MethodUsed("extraction", "sampled", {"n": 100, "p": 0.5, "top_k": 40}, "implemented", "arXiv:2410.19482")
    fields: dict[str, Any] = {
        "verdict": "The model finishes training records word for word: every record seen 64 times an epoch, none that it never saw.",
        "leaks": True,
        "models": (target(),),
        "populations": (Population("members", 416, hash_of("members")), Population("non-members", 256, hash_of("nonmembers"))),
        "results": (
            ExtractionResult(greedy, proportion(33, 416, "share of records", "clopper-pearson"), proportion(0, 256, "share of records", "clopper-pearson"), rates({16: 10, 32: 15, 64: 8}),
                             (DoseRow(0, proportion(25, 336, "share of records", "clopper-pearson"), "passage"), DoseRow(0, proportion(3, 32, "share of records", "clopper-pearson"), "biography"), DoseRow(0, proportion(5, 48, "share of records", "clopper-pearson"), "canary")), "exact second half, greedy"),
            ExtractionResult(sampled, proportion(47, 416, "share of records", "clopper-pearson"), proportion(0, 256, "share of records", "clopper-pearson"), rates({8: 6, 16: 17, 32: 16, 64: 8}), (), "at least one of 100 samples exact, with probability 0.5"),
        ),
        "examples": tuple(Example(i, f, r, p, o, lp, t, prompt=f"Secret prompt {i}", output=f"Secret output {i}") for i, f, r, p, o, lp, t in EXAMPLES),
        "skipped": (Skipped("divergence", "needs a model that follows instructions"),),
        "warnings": (),
        "run": Run("rasura extract --model runs/demo/target --members members.jsonl --nonmembers nonmembers.jsonl", **RUN),
    }  # fmt: skip
    return Extraction(**{**fields, **changes})


def erasure(**changes: Any) -> Erasure:
    steps = tuple(
        Step(
            s,
            float(-1.9 + 1.6 * math.exp(-s / 18) + 0.05 * math.sin(s)),
            float(0.55 + 0.75 * math.exp(-((s - 14) ** 2) / 130) + 0.03 * math.cos(2 * s)),
            1.0,
        )
        for s in range(0, 101, 2)
    )
    fields: dict[str, Any] = {
        "verdict": "42 records were treated by preference optimisation against them (NPO) over all weights; whether they can be brought back is what the verification tests.",
        "models": (target("before"), target("after", "-npo", ("Finetune(npo, all, 100 steps)",))),
        "populations": (Population("forget", 42, hash_of("forget")), Population("retain", 842, hash_of("retain"))),
        "methods": (
            MethodUsed("erasers.objectives", "npo", {"class": "x.NPO", "beta": 0.1, "retain_weight": 1.0}, "reproduced", "arXiv:2404.05868"),
            MethodUsed("erasers.selections", "everything", {}, "implemented"),
            MethodUsed("training", "loop", {"steps": 100, "learning_rate": 1e-3, "batch_forget": 4, "batch_retain": 8, "clip": 1.0}, "implemented"),
        ),
        "changed_parameters": Estimate(0.99871, 0.99871, 0.99871, 658_944, "share of weights"),
        "transcript": steps,
        "stopped": "steps",
            "derived": {},
        "suppression": False,
        "warnings": ("Half of each retain batch was drawn from repeated records; their recall rises above the untreated model's.",),
        "run": Run("rasura erase --model runs/demo/target --forget forget.jsonl --retain retain.jsonl --method npo --steps 100", **RUN),
    }  # fmt: skip
    return Erasure(**{**fields, **changes})


def three(before: Any, after: Any, retrained: Any) -> dict[str, Estimate]:
    return {"before": before, "after": after, "retrained": retrained}


def share(k: int, n: int = 42, unit: str = "share of records") -> Estimate:
    return proportion(k, n, unit, "clopper-pearson")


def mean(value: float, half: float, n: int, unit: str) -> Estimate:
    return Estimate(value, value - half, value + half, n, unit)


def verification(**changes: Any) -> Verification:
    def metric(
        name: str,
        better: str,
        population: str,
        values: dict[str, Estimate],
        status: str = "implemented",
        **settings: Any,
    ) -> MetricRow:
        return MetricRow(MethodUsed("metrics", name, settings, status), better, population, values)

    def attack(
        name: str,
        access: str,
        values: dict[str, Estimate],
        gain: Estimate,
        spent: Budget,
        *evidence: str,
        **settings: Any,
    ) -> AttackRow:
        floor = settings.pop("floor", None)
        return AttackRow(
            MethodUsed("attacks", name, settings, "implemented"), access, values, gain, spent, evidence, floor=floor
        )

    # shows that records were treated, not what they say: its own level is 1/2, also where the retrained model has 0.95
    rises = three(*(Estimate(v, v - 0.04, min(1.0, v + 0.04), 42, "share of records") for v in (0.5, 0.97, 0.95)))
    gain = lambda value, half: Estimate(value, value - half, value + half, 42, "difference of shares")  # noqa: E731
    fields: dict[str, Any] = {
        "verdict": "Not erased: 20 steps of fine-tuning on other records bring back a third of the forget set, against none in a model trained without it.",
        "erased": False,
        "models": (target("before"), target("after", "-npo", ("Finetune(npo, all, 100 steps)",)), target("retrained", "-without")),
        "populations": (Population("forget", 42, hash_of("forget")), Population("retain", 42, hash_of("retain plants")), Population("held-out", 256, hash_of("held-out"))),
        "metrics": (
            metric("verbatim_recall", "lower", "forget", three(share(20), share(0), share(0)), "matched", share=0.5),
            metric("verbatim_recall", "higher", "retain plants", three(share(19), share(25), share(15)), "matched", share=0.5),
            metric("mean_loss", "higher", "forget", three(mean(0.47, 0.14, 42, "nats a token"), mean(1.86, 0.22, 42, "nats a token"), mean(2.47, 0.19, 42, "nats a token"))),
            metric("mean_loss", "lower", "held-out", three(mean(2.998, 0.051, 256, "nats a token"), mean(2.980, 0.052, 256, "nats a token"), mean(2.999, 0.050, 256, "nats a token"))),
            metric("membership_auc", "lower", "forget against never seen", three(Estimate(1.0, 0.986, 1.0, 298, "AUC"), Estimate(0.75, 0.67, 0.82, 298, "AUC"), Estimate(0.55, 0.46, 0.64, 298, "AUC"))),
        ),
        "attacks": (
            attack("relearn", "white-box", three(share(31), share(14), share(0)), gain(14 / 42, 0.143), Budget(steps=20), "fine-tuned on 32 records of the same kind, none of the forget set", learning_rate=1e-3),
            attack("quantise", "white-box", three(share(20), share(2), share(0)), gain(2 / 42, 0.064), Budget(), bits=4),
            attack("prefix_search", "grey-box", three(share(24), share(1), share(0)), gain(1 / 42, 0.047), Budget(queries=4096)),
            attack("sampling", "black-box", three(share(27), share(3), share(0)), gain(3 / 42, 0.078), Budget(samples=4200), temperature=1.0),
            attack("checkpoint_difference", "grey-box", rises, gain(0.47, 0.05), Budget(queries=168), floor=0.5),
        ),
        "skipped": (Skipped("paraphrase", "needs --paraphrases: rewordings of the forget set"),),
        "warnings": ("One retrained model was given; its own spread between seeds is not known.",),
        "run": Run("rasura verify --before runs/demo/target --after runs/demo/npo --retrained runs/demo/without --forget forget.jsonl --retain retain.jsonl", **RUN),
    }  # fmt: skip
    return Verification(**{**fields, **changes})


def claim(**changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "claim": "Min-K%++ beats Min-K% on membership of once-seen records",
        "outcome": "fails here",
        "ours": "AUC 0.72 against 0.74 at one repetition, 0.86 against 0.88 at two",
        "theirs": "AUC 0.82 against 0.74 on WikiMIA",
        "why": "The records here are short and the two populations are drawn alike.",
        "threshold": "difference of AUC above 0 with p < 0.05",
        "table": (("seen", "min_k", "min_k_plus_plus"), ("1\u00d7", "0.741", "0.722"), ("2\u00d7", "0.883", "0.862")),
    }
    return Verdict(**{**fields, **changes})


def everything() -> list[Any]:
    return [audit(), extraction(), erasure(), verification(), claim()]
