"""Words that neither a dataset nor a label entry may be called, compared with case.

Three of the service's words hold a stray comma, so that the plain word is allowed.
"""

from typing import Final

__all__ = ["is_reserved"]

_GEOMETRIES: Final = ("point", "line", "polygon", "rectangle")
_CLASSIFICATIONS: Final = ("checklist", "radio", "select")

_RESERVED: Final = frozenset(
    {
        *("geometry", "geometry_type", "class_name", "classification", "classifications"),
        *("global_classifications", "classification_type", "tag", "status", "label", "labeler"),
        *("label_classes", "reviewer"),
        *("image", "imageId", "external_image_ID", "internal_image_ID"),
        *("media", "mediaId", "external_media_ID", "internal_media_ID"),
        *_GEOMETRIES,
        *_CLASSIFICATIONS,
        *(f"lcentry{word}" for word in (*_GEOMETRIES, *_CLASSIFICATIONS)),
        *(f"lcentry{word}value" for word in (*_GEOMETRIES, *_CLASSIFICATIONS)),
        *("freetext,", "lcentryfreetext,", "lcentrytextvalue,"),
        *("Dummy_Project", "Dummy_Dataset_One", "Dummy_Dataset_Two", "Intersections"),
    }
)


def is_reserved(word: str) -> bool:
    """Return whether the service keeps the word to itself."""
    return word in _RESERVED
