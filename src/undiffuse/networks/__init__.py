"""The learned denoiser: one autoencoder, what its output means, and the bank of one for each time."""
