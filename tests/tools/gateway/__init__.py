"""Tests of the gateway's measurements."""
