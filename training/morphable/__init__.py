"""A linear model of car shapes: one template registered to every training shape, and its principal components."""
