"""Other libraries' paths to molzoo's things, for code that was written for them."""
