"""What goes into the images besides Verbatim itself."""
