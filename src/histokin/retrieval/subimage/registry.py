"""Re-rankers by name."""

import inspect
from typing import Any

from histokin.errors import UsageError
from histokin.registry import Registry
from histokin.retrieval.subimage.base import Reranker

RERANKERS = Registry(
    "method",
    {
        "paper": "histokin.retrieval.subimage.bags:BagReranker",
        "placing": "histokin.retrieval.subimage.placing_reranker:PlacingReranker",
    },
)


def reranker(name: str, **options: Any) -> Reranker:
    """The re-ranker called ``name``; options that are None are left to its defaults.

    Raises
    ------
    UnknownName
        for a name nobody registered.
    UsageError
        for an option it does not have.
    """
    make = RERANKERS.load(name)
    given = {option: value for option, value in options.items() if value is not None}
    if surplus := sorted(set(given) - set(inspect.signature(make).parameters)):
        spoken = {"first": "--rerank", "vocabulary": "--vocabulary"}
        raise UsageError(
            f"method '{name}' takes no {', '.join(spoken.get(option, option) for option in surplus)}",
            remedy="Leave it out",
        )
    made: Reranker = make(**given)
    return made
