"""From a policy's weights to a Triton model repository: ONNX graphs built directly with onnx-ir, no PyTorch.

`graph` and `blocks` are the vocabulary; `preprocess`, `encoder` and `denoise` are the three components of a policy;
`repository` writes the four directories; `demo` makes the small untrained policy that ships with Reflex.
"""
