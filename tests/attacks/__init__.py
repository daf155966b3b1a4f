"""What a stranger may try: conformance, a catalogue of bad input, and noise."""
