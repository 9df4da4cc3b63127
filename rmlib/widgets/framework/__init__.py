"""What the explorers share: controls above a picture that is drawn in the background."""
