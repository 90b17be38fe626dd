"""Files of pre-trained networks: where they are, whether they are right, how to get them."""
