"""From a trained model to artefacts that are proven to be the same model."""
