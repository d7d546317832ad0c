"""Base models: the sources of their weights, their families, quantization, and tiny twins for rehearsals."""
