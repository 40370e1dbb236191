"""Which car is it: fine-grained classification of photos, with and without the predicted shape."""
