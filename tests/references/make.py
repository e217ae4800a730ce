"""Write the reference files: what transformers and timm compute for weights drawn from a seed.

Needs an environment of its own: pip install torch transformers timm. Run: python tests/references/make.py
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent
IDS = np.array([[2, 5, 7, 9, 3], [2, 8, 3, 1, 1]])
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
}


def draw(shapes):
    """Return weights by name; the tests draw the same."""
    generator = np.random.default_rng(0)
    found = {}
    for name in sorted(shapes):
        values = generator.normal(0, 0.3, shapes[name])
        if values.ndim == 4:  # convolutions: so that signals neither grow nor fade
            values *= np.sqrt(2 / np.prod(values.shape[1:])) / 0.3
        elif values.ndim == 1 and name.endswith(("weight", "running_var")):
            values = np.abs(values) + 0.5
        found[name] = values.astype("float32")
    return found


def fill(model):
    """Give a model of transformers the drawn weights, under the names of its files, and return it and their shapes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = Path(folder) / "model.safetensors"
        shapes = {name: list(value.shape) for name, value in load_file(file).items() if value.dtype.kind == "f"}
        save_file(draw(shapes), file, metadata={"format": "pt"})
        return type(model).from_pretrained(folder).eval(), shapes


def fill_timm(model):
    """Give a model of timm the drawn weights and return their shapes."""
    state = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    shapes = {name: list(value.shape) for name, value in state.items()}
    model.load_state_dict({name: torch.tensor(value) for name, value in draw(shapes).items()}, strict=False)
    model.eval()
    return shapes


def save(name, shapes, config, outputs):
    np.savez_compressed(
        HERE / f"{name}.npz", shapes=json.dumps(shapes), config=json.dumps(config), outputs=outputs.detach().numpy()
    )


def text(name, model, pad_id):
    model, shapes = fill(model)
    ids = torch.tensor(np.where(IDS == 1, pad_id, IDS))
    outputs = model(input_ids=ids, attention_mask=(ids != pad_id).long()).last_hidden_state
    save(name, shapes, json.loads(model.config.to_json_string()), outputs)


def pixels(size):
    return np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")


torch.manual_seed(0)
text("bert", transformers.BertModel(transformers.BertConfig(**SIZES)), 0)
text("electra", transformers.ElectraModel(transformers.ElectraConfig(**SIZES, embedding_size=8)), 0)
text("albert", transformers.AlbertModel(transformers.AlbertConfig(**SIZES, embedding_size=8)), 0)
text("roberta", transformers.RobertaModel(transformers.RobertaConfig(**SIZES, pad_token_id=1, type_vocab_size=1)), 1)
distil = {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 24}
text("distilbert", transformers.DistilBertModel(transformers.DistilBertConfig(**distil)), 0)
gpt2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24}
text("gpt2", transformers.GPT2Model(transformers.GPT2Config(**gpt2)), 1)

vit = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
model = transformers.ViTForImageClassification(transformers.ViTConfig(**vit, image_size=32, patch_size=16))
model, shapes = fill(model)
scaled = torch.tensor((pixels(32) / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)
save("vit", shapes, json.loads(model.config.to_json_string()), model.vit(pixel_values=scaled).last_hidden_state[:, 0])

model = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=7)
shapes = fill_timm(model)
known = {key: list(model.pretrained_cfg[key]) for key in ("mean", "std", "input_size")}
config = {"architecture": "mobilenetv3_small_050", "num_classes": 7, "num_features": model.num_features}
mean, deviation = np.array(known["mean"]), np.array(known["std"])
scaled = torch.tensor(((pixels(64) / 255 - mean) / deviation).astype("float32")).permute(0, 3, 1, 2)
pretrained = {**known, "interpolation": "bicubic", "license": "apache-2.0"}
save("timm_mobilenet", shapes, {**config, "pretrained_cfg": pretrained}, model.forward_features(scaled).permute(0, 2, 3, 1))
