# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False
"""The compiled hot path: answers the queries that real resolvers send, without the interpreter.

What ``answer`` and ``wire`` say, for the common shapes of a query; whatever else comes is handed up
to them. Threads of their own, without the GIL: each has a socket and answers from the generation of
the moment, which it takes up between two batches of packets. ``hotpath`` makes the generations and
starts the threads; a differential test holds every answer to the reference path's, octet for octet.

Memory is never shared for writing: a generation is frozen before it is published, counters and hits
have one writer each, and a writer is waited for (``Worker.batches``) before what it may still read
is given back.

The parts, in the order in which they lean on each other:

    _hotpath_memory.pxi   what C has and Cython lacks: atomics, octets, hashing
    _hotpath_ranges.pxi   where an address lies among the ranges of the index
    _hotpath_words.pxi    answer sets, and the listed names
    _hotpath_keys.pxi     the customers' keys that are known (``customerkey``)
    _hotpath_query.pxi    taking a query apart (``query`` says how)
    _hotpath_rules.pxi    access lists, cookies, budgets (``access``, ``cookies``, ``ratelimit``)
    _hotpath_zones.pxi    a zone, and all of them: a generation
    _hotpath_filezones.pxi  a zone of rbldnsd's data files
    _hotpath_lookup.pxi   what is listed at a name (``lookup``)
    _hotpath_wire.pxi     writing an answer (``wire``)
    _hotpath_seeking.pxi  finding what a query is about, in steps for a whole batch
    _hotpath_answer.pxi   choosing it, in the order of ``answer``
    _hotpath_fileanswers.pxi  what a name has in data files, and writing it
    _hotpath_files.pxi    choosing it, in the order of ``filezones``
    _hotpath_hits.pxi     how often each listing was hit
    _hotpath_sockets.pxi  what the system has for sockets
    _hotpath_handing.pxi  what is left to the reference path
    _hotpath_worker.pxi   the loop over batches of packets
"""

include "_hotpath_memory.pxi"
include "_hotpath_ranges.pxi"
include "_hotpath_words.pxi"
include "_hotpath_keys.pxi"
include "_hotpath_query.pxi"
include "_hotpath_rules.pxi"
include "_hotpath_zones.pxi"
include "_hotpath_filezones.pxi"
include "_hotpath_lookup.pxi"
include "_hotpath_wire.pxi"
include "_hotpath_seeking.pxi"
include "_hotpath_answer.pxi"
include "_hotpath_fileanswers.pxi"
include "_hotpath_files.pxi"
include "_hotpath_hits.pxi"
include "_hotpath_sockets.pxi"
include "_hotpath_handing.pxi"
include "_hotpath_worker.pxi"
