"""What stands on the page of a report, section by section."""
