"""The questions of the book, a module each: from scores to the numbers that answer them."""
