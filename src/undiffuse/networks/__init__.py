"""The learned denoiser: one autoencoder, its parametrisation (preconditioning), and the bank of one for each time."""
