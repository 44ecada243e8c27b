"""Compiled kernels. Imported only where they are used: numba takes half a second to load."""
