"""What tests share: clocks, scripted models, fakes."""
