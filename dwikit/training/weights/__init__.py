"""Weights in files: the kit's own, packed ones to carry to another machine, and generators as ONNX."""
