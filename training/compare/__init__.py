"""``python -m training compare``: every representation and every choice of the flagship, trained alike and scored."""
