"""What somebody starts from: a shipped recipe in a folder of their own.

Takes: a recipe's name and a folder. Gives: the recipe with the files that it uses. Guarantees: nothing that is there
is overwritten.
"""
