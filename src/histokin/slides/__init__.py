"""Pixels in: slides and loose images, where their tissue is, and the patches to cut from them.

``reading.open_slide`` opens anything, ``discover.discover`` finds things to open, ``grid`` and ``tissue`` say
where patches go, ``labels`` what is known about each file. A level number never leaves this room.
"""
