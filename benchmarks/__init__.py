"""How much computing the engine needs to train, against TRL's SFTTrainer and against itself without stacking."""
