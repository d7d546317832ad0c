"""GGUF files, which llama.cpp and Ollama run: written by llama.cpp's converter, and checked in llama.cpp."""
