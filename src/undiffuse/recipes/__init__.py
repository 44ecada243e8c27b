"""From data to a configuration: settings chosen from what the data are, each with its reason."""

from undiffuse.recipes.choice import Choice, Recipe
from undiffuse.recipes.choose import Budget, Wishes, choose

__all__ = ["Budget", "Choice", "Recipe", "Wishes", "choose"]
