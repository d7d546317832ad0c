"""A run as a repository on the Hugging Face Hub, with a model card made of its record."""
