"""What the product does on clips and photos that no benchmark drew: ``python -m training follow`` and ``find``."""
