"""What the CT reader is made of: files, headers, slices, geometry, series, identity, and decoding in a child process."""
