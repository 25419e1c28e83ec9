"""Every figure and table of the book, a module per chapter: tidy frames in, axes or styled frames out, nothing saved.

A figure has one message, and the message is its title. Intervals are drawn, sizes are written, colours are safe for
colour-blind readers, and backgrounds are opaque so that dark pages do not swallow the ink.
"""
