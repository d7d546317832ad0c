"""What training and generation cost on a GPU, measured with random weights, so that nothing has to be downloaded."""
