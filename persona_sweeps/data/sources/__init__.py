"""The data sources: one module for each option of `dataset=`."""
