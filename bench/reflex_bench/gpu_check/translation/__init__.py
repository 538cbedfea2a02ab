"""ONNX graphs as PyTorch modules: the same mathematics and the same weights, for the comparison with PyTorch."""
