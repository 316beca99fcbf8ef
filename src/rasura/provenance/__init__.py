"""Did a model read these texts? Marks put into texts before they are published, and tests of a model's descent."""
