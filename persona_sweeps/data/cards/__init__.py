"""Persona cards: made from a play, written by the user, or read from a character card's file."""
