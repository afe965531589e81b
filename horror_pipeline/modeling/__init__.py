"""Learning and predicting with scikit-learn: frames in, fitted models and frames out.

Nothing here reads or writes a database, knows Dagster or asks the clock; time and seed are arguments. `specs` declares
the models; `preprocessing`, `estimators`, `missing_runtime` and `candidates` build the candidates for each; `backtest`
and `intervals` evaluate them on later films; `training` chooses and fits a champion; `artifacts` serializes it;
`prediction` applies it; and `charts` draws its figures.

Everything is fitted on one thread. Boosting waits for all threads at every split of every small tree: on two idle
processors a second thread gains little, and on busy ones it makes training five times slower.
"""
