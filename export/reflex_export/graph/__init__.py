"""Writing ONNX: nodes, graphs, models with external data, float16."""
