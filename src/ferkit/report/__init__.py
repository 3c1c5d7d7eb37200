"""What a run did, for the eye: figures and a page."""
