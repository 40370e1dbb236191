"""Which pixels of a crop show the followed car: a small network, its training, its photos and its judge."""
