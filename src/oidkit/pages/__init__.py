"""The report as a page: values in, one HTML file out that needs nothing else.

It has no script and fetches nothing: styles, charts and pictures are in it, and its own policy
forbids the rest. Every text of the dataset is a text in it. Lists are bounded, and what is left out
is counted, so that no dataset makes a page that is too large to be sent or opened.
"""

from oidkit.pages.report import GENERATOR, Told, page
from oidkit.pages.sheet import Shown, spread

__all__ = ["GENERATOR", "Shown", "Told", "page", "spread"]
