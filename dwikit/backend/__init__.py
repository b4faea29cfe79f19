"""All code that knows TensorFlow, JAX or PyTorch: a quiet start, gradients, steps, kernels, one device or many, machines."""
