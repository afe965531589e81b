"""A made-up TMDB served over HTTP, for running without a key and without the internet.

    vocabulary.py   the words films are named and described with
    catalogue.py    which films exist: a function of the seed alone
    daily_state.py  popularity, votes, rating and status of a film on a day
    payloads.py     films in the shapes of TMDB's API and exports
    routes.py       which response a request gets, without any network
    server.py       the HTTP server, in a thread of this process
    process.py      the server in a process of its own

It uses the standard library only, so that it starts at once. It knows TMDB's rules on its own, as the other side of the
pipeline's client: the two are never right or wrong together.
"""
