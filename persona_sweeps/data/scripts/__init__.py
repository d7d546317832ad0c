"""Scripts and screenplays: layouts, speakers, scenes, speeches and whole episodes."""
