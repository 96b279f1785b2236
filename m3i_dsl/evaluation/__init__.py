"""Evaluation of a trained encoder, its export and its report.

Takes: an encoder and an evaluation split as tensors. Gives: `Result`s, always beside the same encoder untrained and raw
pixels, a timm export and one HTML page. Guarantees: the encoder is left as it was found; test labels choose nothing.

result.py       what a measurement is, and the table of them
features.py     frozen features of an image encoder
baselines.py    the untrained encoder and raw pixels
knn.py linear.py zero_shot.py   one measurement each
measure.py      all measurements of a recipe, every one beside its baselines
trained_run.py  from a compiled program to what is measured, shown and exported
history.py      the record of a run as panels
pictures.py     embeddings, feature maps and reconstructions as arrays
charts.py       lines, bars and points as SVG
report.py report_page.py report_template.html   the page
run_report.py   the page of a run
export.py       a folder that timm loads

Measurements that train the encoder (fine-tuning, detection, segmentation) join as one file each, with a branch in
`measure.py`.
"""
