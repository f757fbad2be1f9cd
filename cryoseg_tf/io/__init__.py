"""Files in and out: images, masks, metadata, and writing that never leaves half a file."""
