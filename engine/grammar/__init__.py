"""Replies that follow a grammar: compiled off the step loop, then a mask per token."""
