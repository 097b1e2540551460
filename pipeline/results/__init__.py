"""What jobs left on the disk, checked where it is read, and joined to the cells."""
