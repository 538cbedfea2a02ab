# Read by the bash that starts a model's process (BASH_ENV): the card is for models alone, tritonserver sees none.
export CUDA_VISIBLE_DEVICES="$REFLEX_ONNX_GPU"
