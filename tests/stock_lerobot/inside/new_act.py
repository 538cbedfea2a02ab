"""A checkpoint of ACT with random weights, as LeRobot saves one: `new_act.py FOLDER`.

The recorded one has a backbone that is narrower than any that torchvision makes, so LeRobot cannot load it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors

VIEWS = ("top", "wrist")


def main(folder: Path) -> None:
    """With statistics in degrees."""
    torch.manual_seed(7)
    images = {f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, 64, 96)) for name in VIEWS}
    config = ACTConfig(
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (6,)), **images},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
        device="cpu",
        push_to_hub=False,
        chunk_size=10,
        n_action_steps=8,
        pretrained_backbone_weights=None,
        dim_model=64,
        n_heads=4,
        dim_feedforward=128,
        n_encoder_layers=2,
        n_vae_encoder_layers=1,
        latent_dim=8,
    )
    statistics = {
        key: {"mean": 20 * torch.rand(feature.shape[0]), "std": 20 + 10 * torch.rand(feature.shape[0])}
        for key, feature in (config.input_features | config.output_features).items()
    }
    for key in images:
        statistics[key] = {name: value.reshape(3, 1, 1) / 100 for name, value in statistics[key].items()}
    ACTPolicy(config).eval().save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=statistics):
        processor.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
