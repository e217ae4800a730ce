"""What was measured beside the headline, as sentences that need no textbook; the page shows all numbers below them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tlkeras.report.numbers import interval, is_measure, is_share, number, words

Found = Mapping[str, Any]


def in_words(metrics: Found) -> dict[str, str]:
    """Return a sentence or two for each part of `metrics.json` that was measured and can be said in words."""
    tellers = {
        "calibration": _calibration,
        "thresholds": _thresholds,
        "rejection": _rejection,
        "forgetting": _forgetting,
        "privacy": _privacy,
    }
    told = {name: tell(metrics[name]) for name, tell in tellers.items() if metrics.get(name)}
    if metrics.get("robustness"):
        told["robustness"] = _robustness(metrics["robustness"], next(iter(metrics.get("test") or {}), ""))
    return {name: text for name, text in told.items() if text}


def _calibration(found: Found) -> str:
    last = found.get("after") or found
    ece, chance, most = last.get("ece"), last.get("ece_null"), last.get("ece_null_high")
    if ece is None or chance is None:
        return ""
    before = f" (before its probabilities were scaled: {_points(found['ece'])})" if found.get("after") else ""
    text = (
        f"On average its confidence is {_points(ece)} away from how often it is right{before}; "
        f"a model whose probabilities are exact shows {_points(chance)} by chance."
    )
    if most is None:
        return text
    if ece <= most:
        return f"{text} So they can be taken at their word, as far as these examples can tell."
    return f"{text} That is more than chance: do not take them at their word."


def _thresholds(found: Found) -> str:
    taken = ", ".join(f"{name} from {number(value)} on" for name, value in found.items())
    return f"Chosen on validation examples: {taken}; anything else from 0.5 on. The exported files decide so."


def _rejection(found: Found) -> str:
    own, other = found.get("rejected_own"), found.get("rejected_foreign")
    parts = []
    if is_measure(own):
        parts.append(f"It refuses {_share(own)} of its own test examples, wrongly,")
    if is_measure(other):
        parts.append(f"{'and' if parts else 'It refuses'} {_share(other)} of {found.get('foreign', 'foreign inputs')}, rightly")
    return " ".join(parts).rstrip(",") + "." if parts else ""


def _forgetting(found: Found) -> str:
    drift, before, after = found.get("drift"), found.get("before"), found.get("after")
    text = ""
    if is_measure(drift):
        moved = number(abs(drift["value"])) if abs(drift["value"]) >= 1e-6 else "0"
        text = f"Training moved its features by {moved} (cosine distance: 0 is not at all, 1 is to something unrelated)."
    if is_measure(before) and is_measure(after):
        data = found.get("data", "source data")
        text += f" On {data} its source head was right in {_share(before)} before and {_share(after)} after."
    return text.strip()


def _privacy(found: Found) -> str:
    area, found_out = found.get("auc"), found.get("tpr_at_1_percent_fpr")
    if not is_measure(area):
        return ""
    text = (
        "Of a training example and another one, someone who sees its answers and knows the labels tells which is which in "
        f"{_share(area)} of cases, where guessing gives 50 %."
    )
    if is_measure(found_out):
        text += f" They find {_share(found_out)} of the training examples if one in a hundred others may be taken for one."
    surely = area["low"] > 0.5
    return f"{text} {'So its answers give something away.' if surely else 'That is no more than chance.'}"


def _robustness(found: Sequence[Found], measure: str) -> str:
    share = is_share(measure)
    curves: dict[str, dict[int, float]] = {}
    for one in found:
        value = one["metric"]["value"] if isinstance(one["metric"], Mapping) else one["metric"]
        curves.setdefault(one["corruption"], {})[one["severity"]] = value
    ends = {name: (values[min(values)], values[max(values)]) for name, values in curves.items() if len(values) > 1}
    if not ends:
        return ""
    worst = max(ends, key=lambda name: (ends[name][0] - ends[name][1]) * (1 if share else -1))
    start, end = (number(value, share=share) for value in ends[worst])
    return f"The strongest {words(worst)} does most harm: {words(measure)} goes from {start} to {end}."


def _points(value: float) -> str:
    return f"{100 * value:.1f} points"


def _share(measure: Found) -> str:
    return f"{number(measure['value'], share=True)} [{interval(measure, share=True)}]"
