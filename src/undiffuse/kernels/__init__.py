"""Compiled inner loops: arrays in, arrays out."""

from undiffuse.support.processor import instruction_sets

LARGEST_DIM = 4  # variables of a network up to which the fused kernel keeps them in registers and beats matrix products
# Numbers in a vector of the fused kernel. Processors with AVX-512 and no bfloat16 slow down when they use it.
LANES = 16 if "avx512_bf16" in instruction_sets() else 8
