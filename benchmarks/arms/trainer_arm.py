"""Hugging Face's `Trainer` on MiniLM-L6, with its defaults: AdamW, 5e-5 falling linearly, 3 epochs; batches of 16."""

import contextlib
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import numpy as np
from job import Job, OutOfTimeError
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()


class Epochs(TrainerCallback):
    """Reports the accuracy of each epoch."""

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        job.reached(metrics["eval_accuracy"], f"epoch {state.epoch:.0f}")


def main() -> None:
    set_seed(job.seed)
    parts = {part: job.table(part) for part in ("train", "val", "test")}
    classes = sorted(set(parts["train"][1]))
    tokenizer = AutoTokenizer.from_pretrained(job.entries["weights"])

    def rows(part):
        texts, labels = parts[part]
        encoded = tokenizer(texts, truncation=True, max_length=job.size)
        return [
            {"input_ids": ids, "attention_mask": mask, "label": classes.index(label)}
            for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)
        ]

    model = AutoModelForSequenceClassification.from_pretrained(job.entries["weights"], num_labels=len(classes))
    settings = TrainingArguments(
        output_dir=str(job.results.with_suffix("")),
        num_train_epochs=job.entries["epochs"],
        per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        seed=job.seed,
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = Trainer(
        model,
        settings,
        train_dataset=rows("train"),
        eval_dataset=rows("val"),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {"accuracy": float(np.mean(found.predictions.argmax(axis=1) == found.label_ids))},
        callbacks=[Epochs()],
    )
    found = {}
    with contextlib.suppress(OutOfTimeError):
        trainer.train()
    if job.entries.get("test"):
        answer = trainer.predict(rows("test"))
        found["test_accuracy"] = float(np.mean(answer.predictions.argmax(axis=1) == answer.label_ids))
    job.done(**found)


job = Job()
main()
