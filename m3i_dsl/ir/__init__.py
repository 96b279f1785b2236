"""The typed IR: a step as equations, its operations, its text, and the sharing of equal calls."""
