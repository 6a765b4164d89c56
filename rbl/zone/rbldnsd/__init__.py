"""rbldnsd's data files: reading them, and what a zone made of them answers.

The format is that of rbldnsd(8), with what its maintained fork adds: dnhash, aclkey and parameters of
entries. One file for each family of datasets; ``dataset`` reads a dataset whole, ``filezone`` joins the
datasets of a zone. What the daemon does around it is left to ``rbl rbldnsd``.
"""
