"""The flags of `tlkeras compare`, besides those of the recipe; apart from the rest, because every help text needs them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CompareSettings:
    """Everything that can be set; each field is a flag of `tlkeras compare NAME`."""

    arms: str = "scratch,random_frozen,feature_extraction,fine_tune,lora"
    """Arms, separated by commas: strategies, `scratch`, `random_frozen`, `small_cnn`; `pixels` or `tf_idf` is always added."""
    fractions: str = "0.1,0.25,0.5,1"
    """Parts of the training data, each within the next, separated by commas."""
    seeds: int = 3
    """How often each arm is trained at each fraction."""
    depths: str = "25,50,75,100"
    """Shares of the blocks, in per cent, to be trained after the head on all data; an empty string leaves this out."""
