"""Compiled inner loops: arrays in, arrays out."""

LARGEST_DIM = 4  # variables of a network up to which the fused kernel keeps them in registers and beats matrix products
