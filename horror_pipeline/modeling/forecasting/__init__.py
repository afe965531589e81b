"""Forecasting popularity from its own daily history: one boosting model per horizon, compared with no change.

`History` holds the observations, `fit_forecaster` fits the models to them, `forecast` applies the models to a day, and
`track_record` makes the forecasts that would have been made on past days. Everything is pure: frames and dates in,
frames out.
"""
