"""Learning and predicting in scikit-learn: frames in, fitted models and frames out."""
