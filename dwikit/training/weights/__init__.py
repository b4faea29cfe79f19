"""Weights in files: the kit's own, packed ones that are carried to another machine, and generators as ONNX."""
