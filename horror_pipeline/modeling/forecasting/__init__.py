"""Forecasting popularity from its own daily history: one boosting per horizon, held against "nothing changes".

`History` holds the observations, `fit_forecaster` learns from them, `forecast` says what is to be expected, and
`track_record` says what would have been forecast on past days. Everything is pure: frames and dates in, frames out.
"""
