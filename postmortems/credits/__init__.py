"""Service credits: from the incident's facts to the invoice, to the cent (R-901…R-906, reliability.md 5).

Pure: ``money`` · ``months`` (billing months) · ``case`` (what an assessment reads) · ``assess`` (what it comes to)
· ``wording`` (the arithmetic in words). Rows: ``facts`` (from the books to cases) · ``assessing`` (keeps months up
to date, proposes) · ``book`` (approve, return, decide, reverse: the only writer of credits and postings) ·
``closing`` and ``files`` (batches) · ``stripe`` · ``statements`` · ``reconcile`` · ``twin`` (the same in SQL).
"""
