"""What runs did, for the eye: pages, figures, and what they say of conclusions."""
