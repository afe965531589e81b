"""Forecasts of each film's popularity from its daily history, by one boosting model per horizon.

A model is used only if it beats the baseline "no change", which forecasts that popularity stays as it is. `History`
holds the observations, `fit_forecaster` fits the models to them, `forecast` applies the models to a day, and
`track_record` makes the forecasts that would have been made on past days. Nothing here reads or writes storage: data
frames and dates go in, and data frames come out.
"""
