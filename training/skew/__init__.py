"""Whether serving reads and scores what training would, asked of logged requests.

What the models read in each request is made again from the event log, as of the request, by the
transform that serving uses, but without any service or online store. What was logged must be equal.
"""
