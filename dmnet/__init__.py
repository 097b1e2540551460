"""DMNet and its neighbours for semantic segmentation: models, data, training, inference.

Importing this package does not import torch; the submodules that need it do.
"""
