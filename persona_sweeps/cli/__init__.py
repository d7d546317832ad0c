"""The commands; they contain little logic."""
