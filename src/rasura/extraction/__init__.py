"""Extraction: ways to make a model speak, and what counts as a match; numpy only.

An extractor says what it needs (``needs``) and turns it into one ``Extracted`` (see ``_match``): for each record
whether it came out, how probable the exact continuation is, and how many of its tokens are right. Where the prompt
ends and the part to be extracted begins is one rule for all of them (``observations/_cut``).
"""
