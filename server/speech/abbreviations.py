"""English words that are written with a full stop: which of them end a sentence, and before what.

In small letters, without the last stop. The segmenter reads them, and so does the grammar that
holds a model to its tags, so that both hear the same sentence end.
"""

from __future__ import annotations

from server.speech.languages import word_set

TITLES = word_set(
    "dr mr mrs ms mx prof rev hon gen col capt cpt lt sgt maj cmdr adm sen rep gov supt mt "
    "ft fr sr.a vs v cf viz approx ca e.g i.e eg ie mlle mme messrs ver"
)
"""No sentence ends here, whatever follows."""

NUMBERED = word_set(
    "no nos nr fig figs vol vols ch chap p pp sec sect art op eq ep par pt jan feb mar apr jun "
    "jul aug sep sept oct nov dec tel ext"
)
"""No sentence ends here before a number."""

UNITS = word_set(
    "b c d e f g h j k l m n o p q r s t w x y z km kg cm mm lb lbs oz mi yd ml kb mb gb tb"
)
"""No sentence ends here before a small letter."""

ANYWHERE = word_set("etc inc ltd co corp jr sr bros dept univ al a.m p.m est min max hr hrs")
"""A sentence ends here before a capital letter."""
