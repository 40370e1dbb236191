"""Training shapes beyond the fetched meshes: deformed bodies and parametric ones."""
