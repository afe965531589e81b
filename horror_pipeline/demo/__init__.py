"""A made-up TMDB served over HTTP, for running without a key and without the internet.

    vocabulary.py   the words films are named and described with
    catalogue.py    which films exist: a function of the seed alone
    daily_state.py  popularity, votes, rating and status of a film on a day
    payloads.py     films in the shapes of TMDB's API and exports
    routes.py       the response to each request, without any network
    server.py       the HTTP server, in a thread of this process
    process.py      the server in a process of its own

The demo uses only the standard library, so that it starts at once. It implements TMDB's rules independently of the
pipeline's client, so that a wrong rule in one is not hidden by the same wrong rule in the other.
"""
