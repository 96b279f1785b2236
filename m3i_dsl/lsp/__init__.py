"""The language server, `m3ic lsp`: what an editor asks while a recipe is written.

Takes: the texts of open documents and the questions of the Language Server Protocol. Gives: diagnostics, fixes,
completions, hovers, definitions, references, renames, layout, outline, links. Guarantees: the answers are those of
`m3ic check` and `m3ic fmt` on the same text; torch is never imported; no text makes a request fail.
"""
