"""Evaluation of a trained encoder, its export and its report.

Takes: an encoder and the splits of its data, which are read part by part. Gives: results of evaluators, always beside
their baselines, a timm export and one HTML page. Guarantees: the encoder is left as it was found; test labels choose
nothing; equal bytes for any number of processes and workers.

subject.py      what is measured: an encoder with its weights, or raw pixels
streamed.py     a split of any size, read part by part
kept.py         features of any number
text_path.py    images and texts on the path of a text target
features.py     frozen features of an image encoder
baselines.py    raw pixels as features
accuracy.py     predictions and labels as a result
knn.py zero_shot.py linear_probe.py   what the evaluators of these names compute
linear.py       the linear probe of features that memory holds
exact.py        sums that do not depend on the order of their terms
measure.py      all measurements of a recipe, every one beside its baselines
comparison.py   a result beside its baselines, as a table and as JSON
trained_run.py  from a compiled program to what is measured, shown and exported
weights.py      what an encoder starts from: a file, an export, a run
open_run.py     a run's folder, opened to be measured or exported
history.py      the record of a run as panels
pictures.py     embeddings, feature maps and reconstructions as arrays
charts.py       lines, bars and points as SVG
report.py report_page.py report_template.html   the page
run_report.py   the page of a run
importing.py    a published checkpoint under timm's names
export.py       a folder that timm loads

An evaluator is a word: what it measures, with which unit and beside which baselines, stands in
`vocabulary/evaluators/`, and nothing here knows one by name.
"""
