"""The sidebar, and the look of the admin theme."""

UNFOLD: dict = {}
