"""Sphinx: `make docs`. Pages are the Markdown files beside this one, in the order of index.md."""

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.addnodes import pending_xref

import undiffuse

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
_LONG = 40  # characters of a formula's source

project = "undiffuse"
author = "the undiffuse developers"
copyright = f"2026, {author}"
release = undiffuse.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]
highlight_language = "none"  # fences that say no language are commands with a word on each

nitpicky = True  # a reference that leads nowhere is a warning
nitpick_ignore_regex = [
    ("py:class", r"(?!undiffuse\.).*[^A-Za-z].*|[a-z]+|[A-Z]"),  # words and shapes in the types of docstrings
    (
        "py:class",
        r"Number|Format|Time|RandomState|BaseEstimator|Generator|Figure|Axes|Path|Reading|Growth|Look",
    ),  # no pages of ours
    ("py:(class|func)", r"DiffusersModel|stretched|undiffuse\.(networks\.precise|physics\.corrected)\..*"),
    # modules have no pages
    ("py:(mod|obj)", r"undiffuse\.(datasets|studies\.linear|diffusion\.(leaps|particles)|physics\.locality)"),
]

html_theme = "furo"
html_title = "undiffuse"
html_static_path = ["_static"]
html_css_files = ["pages.css"]

nb_execution_mode = "off"  # the tests execute them
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"  # browsers draw it themselves: no script, and nothing fetched when a page is read
myst_heading_anchors = 4

autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "none"  # the sections of a docstring say types in words, with shapes
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": False, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def contents_of_index(app: Any, docname: str, source: list[str]) -> None:
    """Give index.md a table of contents for each of its headings, from the links below it.

    The page stays a list of links that reads as well where the files are kept.
    """
    source[0] = source[0].replace("](../notebooks/", "](notebooks/")  # where take_notebooks puts them
    source[0] = re.sub(r"(?<=\d) ± (?=\d)", "\u00a0±\u00a0", source[0])  # a number stays in one line with its error
    if docname != "index":
        return
    parts = re.split(r"^## (.+)$", source[0], flags=re.MULTILINE)
    for caption, text in zip(parts[1::2], parts[2::2], strict=True):
        links = re.findall(r"\[([^]]+)\]\(([^)#]+)\)", text)
        own = [_entry(*link) for link in links if not link[1].startswith("http")]
        source[0] += "\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(own) + "\n```\n"


def _entry(text: str, page: str) -> str:
    """A line of a table of contents; notebooks say that they are, since pages have the same titles."""
    if page.endswith(".ipynb"):
        return f"Notebook: {text} <{page.removesuffix('.ipynb')}>"
    return page.removesuffix(".md")


def public_bases(app: Any, name: str, obj: type, options: Any, bases: list[type]) -> None:
    """Leave out ``object`` and the like, and put what a private base derives from in its place."""
    found = list(bases)
    while private := [base for base in found if isinstance(base, type) and base.__name__.startswith("_")]:
        at = found.index(private[0])
        found[at : at + 1] = private[0].__bases__
    bases[:] = [b for b in found if getattr(b, "__module__", "").startswith("undiffuse")] or found


def short_name(app: Any, env: Any, node: pending_xref, content: Any) -> Any:
    """Find what is named without its package, as docstrings name it; the shortest full name wins."""
    target = node.get("reftarget", "").lstrip("~.")
    domain = env.get_domain("py")
    word = node.get("reftype") == "class" and not target[:1].isupper()  # in the type of a parameter
    if node.get("refdomain") != "py" or not target or word:
        return None
    full = sorted((name for name in domain.objects if name.endswith(f".{target}")), key=len)
    if not full:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], full[0], node, content)


def take_notebooks(app: Any) -> None:
    """Copy the notebooks below this folder, where Sphinx looks for pages."""
    if NOTEBOOKS.is_dir():
        shutil.copytree(NOTEBOOKS, HERE / "notebooks", dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))


def link_pictures(app: Any, doctree: nodes.document) -> None:
    """Let pictures be opened by themselves, as Sphinx does where one has a width: on a phone their labels are small."""
    for picture in doctree.findall(nodes.image):
        picture.setdefault("width", "100%")


def visit_math(self: Any, node: Any) -> None:
    """A formula in the line, as MathML; a long one scrolls where it is wider than the page."""
    formula = convert(node.astext())
    long = len(node.astext()) > _LONG
    self.body.append(f'<span class="long-formula">{formula}</span>' if long else formula)
    raise nodes.SkipNode


def visit_math_block(self: Any, node: Any) -> None:
    """A formula by itself, which scrolls where it is wider than the page."""
    self.body.append(f'<div style="overflow-x:auto">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", take_notebooks)
    app.connect("source-read", contents_of_index)
    app.connect("autodoc-process-bases", public_bases)
    app.connect("missing-reference", short_name)
    app.connect("doctree-read", link_pictures)
