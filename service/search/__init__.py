"""The search engine: arrays in, arrays out; knows no HTTP and no database."""
