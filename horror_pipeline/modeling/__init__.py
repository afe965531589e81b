"""Learning and predicting with scikit-learn: frames in, fitted models and frames out.

Nothing here reads or writes a database, knows Dagster or asks the clock; time and seed are arguments. The way through
the package: `specs` declares the models, `preprocessing`, `estimators`, `missing_runtime` and `candidates` build what
competes for each, `backtest` and `intervals` measure it on later films, `training` chooses and fits a champion,
`artifacts` turns it into bytes, `prediction` applies it, and `charts` draws what a person looks at.

Everything is fitted on one thread. Boosting waits for all threads at every split of every small tree: on two idle
processors a second thread gains little, and on busy ones it makes training five times slower.
"""
