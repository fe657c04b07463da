"""Which image of a file is which media, and what loss reports say."""

from __future__ import annotations

from datagym_async.formats import Loss, LossKind, LossReport, match
from datagym_async.labels import Annotation, Classification, LabeledImage, Point
from datagym_async.models import DatasetMedia, MediaSourceType

SPOT = Annotation("spot", Point(1, 1))


def media(*names: str) -> list[DatasetMedia]:
    """Media that have these names; their ids are numbers from 1."""
    return [DatasetMedia(str(n), 0, MediaSourceType.LOCAL, name) for n, name in enumerate(names, 1)]


def image(name: str, *, labelled: bool = True, media_id: str = "") -> LabeledImage:
    """An image of a file."""
    annotations = [SPOT] if labelled else []
    return LabeledImage(media_id=media_id, media_name=name, annotations=annotations)


def test_names_match_as_the_service_compares_them() -> None:
    """Case does not count, nor do folders where the name with folders is no media."""
    found = match(
        [image("IMG_1.JPG"), image("Über.png"), image("val/c.jpg"), image("d/e.jpg")],
        media("img_1.jpg", "Über.PNG", "c.jpg", "d/e.jpg", "e.jpg"),
    )
    assert [each.media_id for each in found.images] == ["1", "2", "3", "4"]
    assert (found.unmatched, found.ambiguous) == ((), ())


def test_names_with_more_folders_than_their_media() -> None:
    """As many folders as a media has are compared, also of Windows; a URL has no query."""
    names = ["/data/set/val/a.jpg", "C:\\set\\train\\a.jpg", "x\\y/b.jpg", "z/val/f_1", "q/a.jpg"]
    urls = ["https://host/c.jpg?Expires=1&sig=a/d", "s3://bucket/val/e%20.jpg", "d?.jpg"]
    there = ["val/a.jpg", "train/a.jpg", "y/b.jpg", "val/f_1.png", "c.jpg", "d.png", "e .jpg"]
    every = media(*there, "d?.jpg")
    found = match(map(image, [*names, *urls, "x/" * 300 + "c.jpg", "x" * 300 + "/c.jpg"]), every)
    assert [each.media_id for each in found.images] == ["1", "2", "3", "4", "5", "7", "8"]
    assert found.unmatched == ("q/a.jpg",)  # of which there are two, with other folders
    assert len(found.doubled) == 2


def test_names_match_in_either_form_and_decoded() -> None:
    """Composed and decomposed letters are the same, and what other tools escape is decoded."""
    found = match(
        [image("Mu\u0308ller.jpg"), image("val/Stra%C3%9Fe%201.jpg"), image("50%.jpg")],
        media("M\u00fcller.jpg", "Stra\u00dfe 1.jpg", "50%.jpg"),
    )
    assert [each.media_id for each in found.images] == ["1", "2", "3"]


def test_names_without_an_ending() -> None:
    """ImageNet's files name images without one; what two images could be is told."""
    names = ["n01/n01_4", "n02_5", "a.b", "bare", "t/f_1", "y/f_1", "c.JPG", "d.tiff"]
    found = match(
        map(image, names),
        media("n01_4.JPEG", "x/n02_5.jpg", "n02_5.png", "a.b.jpg", "bare", "t/f_1.png", "s/f_1.jpg")
        + media(*"1234567", "c.png", "d.tiff.jpg")[7:],
    )
    assert [(each.media_name, each.media_id) for each in found.images] == [
        ("n01/n01_4", "1"), ("a.b", "4"), ("bare", "5"), ("t/f_1", "6")
    ]  # fmt: skip
    assert found.ambiguous == ("n02_5", "y/f_1")
    assert found.unmatched == ("c.JPG", "d.tiff")  # which have an ending, if another one


def test_media_that_have_more_folders() -> None:
    """They were uploaded from a folder above, with ``name="relative"``."""
    names = (
        "train/1.jpg",
        "2.jpg",
        "..\\img/2.jpg",
        "./3.png",
        "val/1.jpg",
        "val/4",
        "x/train/5.jpg",
    )
    there = (
        "images/train/1.jpg", "set/images/val/1.jpg", "img/2.jpg", "a/3.png", "b/3.png",
        "b/val/4.jpg", "c/4.jpg", "c/train/5.jpg",
    )  # fmt: skip
    found = match([image(each) for each in names], media(*there))
    assert [(each.media_name, each.media_id) for each in found.images] == [
        ("train/1.jpg", "1"), ("2.jpg", "3"), ("val/1.jpg", "2"), ("val/4", "6")
    ]  # fmt: skip
    assert found.doubled == ("..\\img/2.jpg",)
    assert found.ambiguous == ("./3.png",)
    assert found.unmatched == ("x/train/5.jpg",)  # its own folder is another one


def test_what_does_not_match_is_named() -> None:
    """Images without media, with several, and with one that is taken already are named."""
    found = match(
        [image("gone.jpg"), image("two.jpg"), image("a.jpg"), image("x/A.jpg"), image("")],
        media("a.jpg", "two.jpg", "Two.jpg"),
    )
    assert [each.media_name for each in found.images] == ["a.jpg"]
    assert found.unmatched == ("gone.jpg", "")
    assert found.ambiguous == ("two.jpg",)
    assert found.doubled == ("x/A.jpg",)
    assert str(found) == (
        "1 image has a media; 2 have none (gone.jpg, ); 1 has several (two.jpg); "
        "1 has the media of another image (x/A.jpg)."
    )


def test_unannotated_images_are_left_alone() -> None:
    """An image without labels is not imported, and so takes no labels away, unless asked for."""
    answers = [Classification.select("tone", "dry")]
    answered = LabeledImage(media_name="c.jpg", classifications=answers)
    given = [image("a.jpg", labelled=False), image("b.jpg"), answered]
    there = media("a.jpg", "b.jpg", "c.jpg")
    found = match(given, there)
    assert [each.media_name for each in found.images] == ["b.jpg", "c.jpg"]
    assert found.unannotated == ("a.jpg",)
    asked = match(given, there, include_unannotated=True)
    assert [each.media_id for each in asked.images] == ["1", "2", "3"]


def test_a_known_id_goes_before_the_name() -> None:
    """An image whose id is that of a media keeps it; media listed twice are one."""
    there = [*media("a.jpg", "a.jpg"), *media("a.jpg")]
    (found,) = match([image("a.jpg", media_id="2")], there).images
    assert found.media_id == "2"
    (by_name,) = match([image("b.jpg", media_id="9")], media("b.jpg")).images
    assert by_name.media_id == "1"


def test_losses_are_counted_and_named() -> None:
    """Each kind is one line with its count and a few examples, each once."""
    report = LossReport()
    for number in range(7):
        report += LossReport([Loss(LossKind.LINE, 1, (f"image {number}",))])
    report += LossReport([Loss(LossKind.CROWD, 2, ("a", "a"))])
    assert report.count(LossKind.LINE) == 7
    assert str(report) == (
        "7 x lines, left out (image 0, image 1, image 2, image 3, image 4, ...)\n"
        "2 x marks of a crowd: the service stores the shape as one object (a, ...)"
    )
    assert report
    assert not LossReport()


def test_reports_add_up() -> None:
    """The losses of two steps are one report, with each kind once."""
    first = LossReport([Loss(LossKind.LINE, 2, ("a",))])
    second = LossReport([Loss(LossKind.POINT, 1, ("b",)), Loss(LossKind.LINE, 1, ("c",))])
    assert (first + second).items == (
        Loss(LossKind.LINE, 3, ("a", "c")),
        Loss(LossKind.POINT, 1, ("b",)),
    )


def test_every_kind_has_a_text() -> None:
    """No kind of loss is without words for people."""
    assert all(kind.text for kind in LossKind)
