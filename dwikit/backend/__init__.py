"""All that knows TensorFlow, JAX or PyTorch, one device or many: gradients, quick kernels, devices, machines."""
