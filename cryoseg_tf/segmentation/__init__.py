"""From micrographs to masks, with any runtime that gives a ``Predictor``.

Nothing is loaded here: to look at files takes no TensorFlow.
"""
