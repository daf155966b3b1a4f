"""Tools and the forms that a reply may be held to: checked, and made grammars."""
