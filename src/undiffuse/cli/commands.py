"""Every command: the section of ``--help`` it stands in, where it is, and what is said of it.

Where a command does what a chapter of the thesis does, the thesis's own words stand in brackets.
"""

from __future__ import annotations

# Section -> name -> (module:function below undiffuse.cli, help). Names of several words are in GROUPS.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Start here": {
        "run": (
            "runs:run",
            "Train, sample, evaluate and report, on a preset (espirales, MNIST) or your own data: the main job.",
        ),
        "presets": ("describe:presets", "List the presets, by kind, with what each costs (parámetros, Tabla 2)."),
        "show": ("show:show", "Draw what is in a run or a file of data, in the terminal or as a PNG file."),
        "doctor": ("doctor:doctor", "Say what this machine has, what is installed, and what will hurt."),
    },
    "Train with more say": {
        "train": ("training:train", "Train a bank into a run folder, Algorithm 1 (algoritmo de entrenamiento)."),
        "sweep": ("runs:sweep", "Train a run for every combination of some settings, with one table and one figure."),
        "memorise": (
            "banks:memorise",
            "Twins on disjoint halves, compared; or when training turns into memory (sobreajuste, overfitting).",
        ),
    },
    "Use a run": {
        "sample": (
            "training:sample",
            "Generate samples into a .npy or .csv file, Algorithm 2 (fase generativa, trayectoria reverse).",
        ),
        "evaluate": ("runs:evaluate", "Judge a run's samples by their distances to fresh data, each beside its floor."),
        "likelihood": (
            "densities:likelihood",
            "Density of samples by three routes, (11), (12) and the flow, and the work lost (verosimilitud, Anexo I).",
        ),
        "energy": (
            "densities:energy",
            "One normalised density for all times of a tied bank, and whether they belong together (energía, (29)).",
        ),
        "starts": (
            "runs:starts",
            "Measure samples against the time at which they start, below noise (Gaussian start).",
        ),
        "figures": ("pictures:figures", "Make the figures of runs, or Figures 1 to 11 of the thesis, as PNG files."),
        "lab": (
            "pictures:lab",
            "Write a page in which a run, or the Curie-Weiss model, moves: one file, no network (espirales en vivo).",
        ),
        "movie": (
            "pictures:movie",
            "Write trajectories, score, potentials or weights along time as GIF, WebP or MP4 (película).",
        ),
        "analyse": (
            "banks:analyse",
            "Follow a run's weights along diffusion time, beside its critical times (evolución de los pesos).",
        ),
        "info": ("describe:info", "Describe a run folder: what it is, how far it is, what its schedule does."),
        "check": ("describe:check", "Compare every file of a run folder with its checksum."),
    },
    "Use a run on images": {
        "reconstruct": (
            "images:reconstruct",
            "Diffuse held-out images to time t and bring each back: Figures 8, 9 (reconstrucción, mejora de calidad).",
        ),
        "inpaint": (
            "images:inpaint",
            "Destroy a part of held-out images and fill it in again: Figure 10 (reconstrucción parcial, relleno).",
        ),
        "uturn": (
            "images:uturn",
            "Class kept on the way to t and back, beside the exact denoisers (hasta qué grado de difusión).",
        ),
    },
    "Your own data, and exchange": {
        "export": (
            "exports:export",
            "Write a run's bank as ONNX, HDF5, arrays or torch's state, with a README of its shapes.",
        ),
    },
    "Physics and simple models": {
        "linear": (
            "physics:linear",
            "Sample with the linear model: a Gaussian, whatever the data (modelo lineal, Anexo II).",
        ),
        "perceptron": ("images:perceptron", "Train a perceptron to tell two digits apart (perceptrón, Anexo II)."),
    },
    "Clusters and shells": {
        "plan": ("clusters:plan", "Say what a training will cost on 1, 2, 10, ... workers, from a few passes."),
        "slurm": ("clusters:slurm", "Write a batch script that trains a run on the nodes of a SLURM cluster."),
        "completion": (
            "completion:completion",
            "Print or install what completes commands with TAB in bash, zsh or fish.",
        ),
    },
}

# Name -> (section, help, its commands).
GROUPS: dict[str, tuple[str, str, dict[str, tuple[str, str]]]] = {
    "data": (
        "Your own data, and exchange",
        "Data sets to download. Your own data need none of it: `undiffuse run mine.csv`.",
        {"fetch": ("describe:fetch", "Download a data set: mnist, all ten digits, about 11 MB.")},
    ),
    "physics": (
        "Physics and simple models",
        "Exact scores, Langevin, critical times, without training (transiciones de fase, section 6).",
        {
            "curie-weiss": (
                "physics:curie_weiss",
                "Break the symmetry of Curie-Weiss with its exact score: Figure 11 (ruptura espontánea de simetría).",
            ),
            "langevin": (
                "physics:langevin",
                "Walk from two points to noise and back by (24) and (25) (ecuación de Langevin).",
            ),
            "cascade": (
                "cascade:cascade",
                "One transition for each principal component, along t and along training (cascada de transiciones).",
            ),
            "locality": (
                "locality:locality",
                "How far around a pixel networks look, beside exact patch denoisers (localidad sin arquitectura).",
            ),
            "critical-times": (
                "physics:critical_times",
                "When diffusion decides between classes, and when it memorises (escala de tiempos de la transición).",
            ),
            "simplicity": (
                "physics:simplicity",
                "Quality against hidden units, T, passes and training points, beside floors (sencillez/calidad).",
            ),
            "two-clusters": (
                "physics:two_clusters",
                "Learn two Gaussian clusters from n points, beside the closed form (dos cúmulos, caso resoluble).",
            ),
        },
    ),
}
