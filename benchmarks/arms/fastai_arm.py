"""fastai's `vision_learner(...).fine_tune(epochs)` on torchvision's MobileNetV2, with the same weights as tlkeras."""

import contextlib

import torch
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    default_device,
    get_image_files,
    imagenet_stats,
    set_seed,
    vision_learner,
)
from fastai.vision.learner import default_split, model_meta
from job import Job, OutOfTimeError
from torchvision.models import mobilenet_v2


class Epochs(Callback):
    """Reports the accuracy of each epoch."""

    order = 60  # after the recorder's 50

    def after_epoch(self):
        job.reached(self.recorder.values[-1][-1], f"epoch {len(self.recorder.values)}")


def network(pretrained: bool = True, weights=None):
    model = mobilenet_v2()
    model.load_state_dict(torch.load(job.entries["weights"], weights_only=True))
    return model


def main() -> None:
    set_seed(job.seed, reproducible=True)
    default_device(use=False)
    batch = min(64, max(8, len(get_image_files(job.data / "train")) // 4))
    loaders = ImageDataLoaders.from_folder(
        job.data,
        train="train",
        valid="val",
        bs=batch,
        item_tfms=Resize(job.size),
        batch_tfms=aug_transforms(),
    )
    model_meta[network] = {"cut": -1, "split": default_split, "stats": imagenet_stats}  # as fastai's own networks have it
    learner = vision_learner(loaders, network, metrics=accuracy)
    found = {}
    with learner.no_bar(), learner.no_logging():
        with contextlib.suppress(OutOfTimeError):
            learner.fine_tune(job.entries["epochs"], cbs=[Epochs()])
        if job.entries.get("test"):
            files = get_image_files(job.data / "test")
            loader = loaders.test_dl(files)
            right = learner.get_preds(dl=loader)[0].argmax(dim=1)
            truth = torch.tensor([loaders.vocab.o2i[file.parent.name] for file in files])
            found["test_accuracy"] = float((right == truth).float().mean())
    job.done(**found)


if __name__ == "__main__":
    job = Job()
    main()
