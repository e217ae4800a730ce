"""What MediaPipe's Tasks answer with a file that tlkeras exported; runs where MediaPipe is installed, and needs no tlkeras.

    python benchmarks/mediapipe_judge.py image model.tflite pictures.json > answers.json
    python benchmarks/mediapipe_judge.py square model.tflite pictures.json > answers.json
    python benchmarks/mediapipe_judge.py text model.tflite texts.json > answers.json

The JSON file holds a list of picture files, or of texts. The answer is a list of `[label, score]`, best first, for each, and
`["similarity", number]` behind them where the file gives one. With `image` MediaPipe scales the central square of each
picture; with `square` it is given at the model's size, as the code in `exports/app/` gives it.
"""

import json
import sys
import zipfile
from pathlib import Path


def judge_squares(model: str, pictures: list[str]) -> list[list[list]]:
    """Classify picture files, each one's central square scaled to the model's size before MediaPipe sees it."""
    import mediapipe as mp
    import numpy as np
    from mediapipe.tasks.python import BaseOptions, vision
    from PIL import Image, ImageOps

    size = json.loads(zipfile.ZipFile(model).read("metadata.json"))["input"]["size"]
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    answers = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for path in pictures:
            upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            square = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
            result = classifier.classify(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.asarray(square)))
            answers.append(_as_pairs(result.classifications))
    return answers


def judge_images(model: str, pictures: list[str]) -> list[list[list]]:
    """Classify picture files, each one's central square."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision
    from mediapipe.tasks.python.components.containers.rect import RectF
    from mediapipe.tasks.python.vision.core.image_processing_options import ImageProcessingOptions

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    answers = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for path in pictures:
            image = mp.Image.create_from_file(path)
            side = min(image.width, image.height)
            across, down = side / image.width / 2, side / image.height / 2
            square = RectF(left=0.5 - across, top=0.5 - down, right=0.5 + across, bottom=0.5 + down)
            result = classifier.classify(image, ImageProcessingOptions(region_of_interest=square))
            answers.append(_as_pairs(result.classifications))
    return answers


def judge_texts(model: str, texts: list[str]) -> list[list[list]]:
    """Classify texts."""
    from mediapipe.tasks.python import BaseOptions, text

    options = text.TextClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    with text.TextClassifier.create_from_options(options) as classifier:
        results = [classifier.classify(one) for one in texts]
    return [_as_pairs(result.classifications) for result in results]


def _as_pairs(heads: list) -> list[list]:
    """Return the classes with their scores, and the other heads, which have no classes, by their names."""
    classes = [[one.category_name, one.score] for one in heads[0].categories]
    return classes + [[head.head_name, head.categories[0].score] for head in heads[1:]]


if __name__ == "__main__":
    kind, model_file, inputs_file = sys.argv[1:]
    inputs = json.loads(Path(inputs_file).read_text(encoding="utf-8"))
    judges = {"image": judge_images, "square": judge_squares, "text": judge_texts}
    json.dump(judges[kind](model_file, inputs), sys.stdout)
