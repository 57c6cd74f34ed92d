"""Service credits: from the incident's facts to the invoice, to the cent (R-901…R-906, reliability.md 5).

In the order in which money comes about: ``contracts`` and ``rules`` say what was agreed, ``facts`` reads the two
books, ``arithmetic`` says what a month comes to (pure), ``assessing`` keeps months up to date, ``book`` moves credits
from proposal to invoice, ``batches`` and ``stripe`` hand them to billing, ``statements`` tell the customer,
``finance`` is what finance reads, ``checking`` asks whether all of it is right.
"""
