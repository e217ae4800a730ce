"""What `tlkeras check` looks at: the rows of a data set, read leniently, and what is wrong with them."""
