"""The mathematics of diffusion: schedule, forward process, denoisers, reverse process, bound."""
