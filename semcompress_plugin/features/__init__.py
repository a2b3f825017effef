"""What a network made of a picture, without the picture: transform, quantiser, entropy coder and file format."""
