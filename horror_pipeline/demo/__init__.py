"""A made-up TMDB served over HTTP, for running without a key and without the internet.

    words.py      the vocabulary films are made of
    catalogue.py  which films exist: a function of the seed alone
    standing.py   how a film stands on a day: popularity, votes, rating, status
    documents.py  films in the shapes TMDB's API and exports have
    answers.py    which request gets which answer, without any network
    server.py     the HTTP server, in a thread of this process
    process.py    the same in a process of its own

Standard library only, so that it starts at once; imports nothing but `horror_pipeline.errors`.
"""
