"""The mathematics of diffusion: schedule, forward process, denoisers, reverse process, bound.

Equations are numbered as in *the thesis*: Luis Bustinduy de la Guerra, "Out-of-Equilibrium Machine Learning",
supervised by Aurélien Decelle, Universidad Complutense de Madrid, 2024. Its noise ``xi`` is the ``eps`` of
Ho et al. 2020.
"""
