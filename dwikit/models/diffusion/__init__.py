"""A diffusion model (Karras et al. 2022), which the study does not have."""
