"""Files that operators start from: each must fit what the server really says and reads."""
