"""A server that speaks as finished runs, with the endpoints of the OpenAI API and a page to talk on."""
