"""Text shards in; a vocabulary, its evaluation and token shards out."""
