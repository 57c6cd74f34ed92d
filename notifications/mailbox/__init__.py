"""The local mailbox of demo and development: a relay that delivers to nobody, and pages to read it.

Nothing here runs in production: ``settings.MAILBOX_IN_USE`` is false there.
"""
