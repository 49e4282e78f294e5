"""Many fits of estimators at once: folds, candidates of a search, and a model for each group of rows."""

from ._cross_validation import cross_validate
from ._group_fit import fit_groups
from ._group_models import GroupModels
from ._search import SearchResult, search

__all__ = ["GroupModels", "SearchResult", "cross_validate", "fit_groups", "search"]
