"""Testing objectives: equivalence of graphs, properties of a recipe, and strategies for random recipes."""
