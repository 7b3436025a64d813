class Refused(Exception):
    """Why this image is not promoted, and what to do about it."""
