"""Pictures as they are in the world, each made on the spot."""

import gzip
import io
import re
import struct
import zipfile
import zlib
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from ferkit.errors import ImageError
from ferkit.inference.heads import is_heic, may_be_transparent, pixels_of
from ferkit.inference.images import enough_memory, read_file, read_image
from ferkit.inference.transparency import BACKDROP

SCENE = np.zeros((40, 60, 3), np.uint8)
SCENE[:20, :30] = (200, 30, 30)
SCENE[20:, :30] = (30, 180, 30)
SCENE[:20, 30:] = (40, 40, 210)
SCENE[20:, 30:] = (230, 220, 60)
"""Four quarters of different colours: no turn or mirror image looks the same."""


def packed(image, kind, **options):
    """Return the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(mode="RGB"):
    return Image.fromarray(SCENE).convert(mode)


def rgba(alpha=255):
    image = scene("RGBA")
    image.putalpha(alpha)
    return image


def sixteen_bit():
    return Image.fromarray(np.asarray(scene("L")).astype(np.uint16) * 257)


def grey():
    return np.repeat(np.asarray(scene("L"))[..., None], 3, axis=2)


KINDS = [
    pytest.param(packed(scene(), "PNG"), SCENE, 0, id="png"),
    pytest.param(packed(scene(), "JPEG", quality=98, subsampling=0), SCENE, 6, id="jpeg"),
    pytest.param(packed(scene(), "JPEG", quality=98, subsampling=0, progressive=True), SCENE, 6, id="progressive"),
    pytest.param(packed(scene("L"), "JPEG", quality=98), grey(), 3, id="grey jpeg"),
    pytest.param(packed(scene("CMYK"), "JPEG", quality=98), SCENE, 12, id="cmyk jpeg"),
    pytest.param(packed(scene("L"), "PNG"), grey(), 0, id="grey png"),
    pytest.param(packed(scene("P"), "PNG"), np.asarray(scene("P").convert("RGB")), 0, id="palette"),
    pytest.param(packed(rgba(), "PNG"), SCENE, 0, id="rgba"),
    pytest.param(packed(scene("LA"), "PNG"), grey(), 0, id="grey and alpha"),
    pytest.param(packed(scene("1"), "PNG"), np.asarray(scene("1").convert("RGB")), 0, id="one bit"),
    pytest.param(packed(sixteen_bit(), "PNG"), grey(), 1, id="16 bit png"),
    pytest.param(packed(sixteen_bit(), "TIFF"), grey(), 1, id="16 bit tiff"),
    pytest.param(packed(scene(), "JPEG2000"), SCENE, 0, id="jpeg 2000"),
    pytest.param(packed(scene(), "WEBP", lossless=True), SCENE, 0, id="webp"),
    pytest.param(packed(rgba(), "WEBP", lossless=True), SCENE, 0, id="webp with alpha"),
    pytest.param(packed(scene(), "TIFF"), SCENE, 0, id="tiff"),
    pytest.param(packed(scene(), "TIFF", compression="tiff_lzw"), SCENE, 0, id="tiff lzw"),
    pytest.param(packed(scene(), "BMP"), SCENE, 0, id="bmp"),
    pytest.param(packed(scene(), "PPM"), SCENE, 0, id="ppm"),
    pytest.param(packed(scene(), "GIF"), SCENE, 2, id="gif"),
]


@pytest.mark.parametrize(("content", "expected", "tolerance"), KINDS)
def test_every_kind_of_file_becomes_rgb(content, expected, tolerance, capfd):
    picture = read_image(content)
    assert picture.dtype == np.uint8
    assert picture.shape == SCENE.shape
    assert np.abs(picture.astype(int) - expected).max() <= tolerance
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    others = [Image.fromarray(255 - SCENE), Image.fromarray(SCENE[::-1].copy())]
    picture = read_image(packed(scene(), kind, save_all=True, append_images=others, **options))
    assert np.abs(picture.astype(int) - SCENE).max() <= 2


def turned(image, orientation):
    """Return ``image`` as a camera stores it that notes ``orientation``."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = image if undo is None else image.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored, exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "RGBA as PNG", "RGBA as WEBP", "PIL"])
def test_exif_rotation_is_applied(kind, orientation):
    image = rgba() if kind.startswith("RGBA") else scene()
    if kind.startswith("RGBA"):
        alpha = np.full((40, 60), 255, np.uint8)
        alpha[:10, :15] = 0
        image.putalpha(Image.fromarray(alpha))
    stored, exif = turned(image, orientation)
    if kind == "PIL":
        stored.info["exif"] = exif.tobytes()
        stored.getexif()[0x0112] = orientation
        picture = read_image(stored)
    else:
        options = {"JPEG": {"quality": 98, "subsampling": 0}}.get(kind, {})
        if kind.endswith("WEBP"):
            options = {"lossless": True, "exact": True}
        picture = read_image(packed(stored, kind.rpartition(" ")[2], exif=exif, **options))
    expected = SCENE.copy()
    if kind.startswith("RGBA"):
        expected[:10, :15] = BACKDROP
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).max() <= (12 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG"])
def test_a_file_opened_with_pil_is_turned_once(tmp_path, kind, orientation):
    stored, exif = turned(scene(), orientation)
    stored.save(tmp_path / "a", kind, exif=exif)
    with Image.open(tmp_path / "a") as opened:
        picture = read_image(opened)
    assert np.abs(picture.astype(int) - read_image(tmp_path / "a").astype(int)).max() <= (12 if kind == "JPEG" else 0)


def test_what_is_transparent_becomes_grey_half_of_it_half():
    assert (read_image(packed(rgba(0), "PNG")) == BACKDROP).all()
    half = read_image(packed(rgba(128), "PNG")).astype(int)
    assert np.abs(half - (SCENE.astype(int) + BACKDROP) / 2).max() <= 1
    palette = Image.fromarray(SCENE).quantize(8)
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (read_image(packed(palette, "PNG"))[:20, :30] == BACKDROP).all()


def test_a_picture_of_one_pixel_is_a_picture():
    assert read_image(packed(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG")).tolist() == [[[9, 8, 7]]]


def png(width, height, rows=b""):
    """Return a grey PNG of one bit a pixel that says it is ``width`` by ``height``."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_header_with_giant_dimensions_is_refused(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(2**31 - 1, 2**31 - 1))
    with pytest.raises(ImageError, match=r"bomb.png: expected at most 200,000,000 pixels, got 2147483647 x 2147483647"):
        read_image(tmp_path / "bomb.png")


def test_a_real_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    packer = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8)
    rows = b"".join([*(packer.compress(row * 100) for _ in range(300)), packer.flush()])
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(30_000, 30_000, rows))  # 900 megapixels, 2.7 GB as RGB
    assert bomb.stat().st_size < 300_000
    with pytest.raises(ImageError, match="got 30000 x 30000"):
        read_image(bomb)


def test_the_limit_of_pixels_is_the_callers():
    content = packed(scene(), "PNG")
    assert read_image(content, max_pixels=2400).shape == SCENE.shape
    with pytest.raises(ImageError, match="expected at most 2,399 pixels, got 60 x 40"):
        read_image(content, max_pixels=2399)
    with pytest.raises(ImageError, match="expected at most 2,399 pixels"):
        read_image(scene(), max_pixels=2399)


CUT = [
    pytest.param(packed(scene(), "JPEG"), "cut off", id="jpeg"),
    pytest.param(packed(scene(), "JPEG", progressive=True), "cut off", id="progressive"),
    pytest.param(packed(scene(), "PNG"), "cut off", id="png"),
    pytest.param(packed(scene(), "WEBP"), "damaged", id="webp"),
    pytest.param(packed(scene(), "GIF"), "damaged", id="gif"),
    pytest.param(packed(scene(), "BMP"), "damaged", id="bmp"),
    pytest.param(packed(scene(), "PPM"), "damaged", id="ppm"),
    pytest.param(packed(scene(), "TIFF"), "damaged", id="tiff"),
]


@pytest.mark.parametrize(("content", "message"), CUT)
def test_a_file_that_is_cut_off_is_told(content, message, capfd):
    with pytest.raises(ImageError, match=message):
        read_image(content[: len(content) * 3 // 4])
    assert capfd.readouterr().err == ""


def test_what_phones_append_to_a_jpeg_does_not_matter():
    rng = np.random.default_rng(0)
    film = rng.integers(0, 256, 400_000, np.uint8).tobytes() + b"\xff\xda"
    assert b"\xff\xda" in film
    assert read_image(packed(scene(), "JPEG") + film).shape == SCENE.shape


def test_the_end_of_an_exif_thumbnail_is_not_the_end_of_the_picture():
    thumbnail = packed(scene(), "JPEG")
    whole = packed(scene(), "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert read_image(whole).shape == SCENE.shape
    with pytest.raises(ImageError, match="cut off"):
        read_image(whole[:-30])


def scanned(times, before=b""):
    """Return a progressive JPEG whose last scan, with its table, comes so many times more."""
    content = packed(scene("L"), "JPEG", progressive=True)
    starts = [match.start() for match in re.finditer(b"\xff[\xc4\xda]", content)]
    tables_and_scans = [content[start:end] for start, end in pairwise([*starts, len(content) - 2])]
    return content[:-2] + times * (before + b"".join(tables_and_scans[-2:])) + b"\xff\xd9"


@pytest.mark.parametrize("before", [b"", b"\xff\x01", b"\xff"], ids=["plain", "behind a lone marker", "filled up"])
def test_a_jpeg_that_would_be_gone_through_thousands_of_times_is_refused(before, capfd):
    with pytest.raises(ImageError, match="picture: expected a JPEG of at most 100 scans, got more"):
        read_image(scanned(1000, before))
    assert capfd.readouterr().err == ""


NO_PICTURES = [
    pytest.param(b"", "expected a picture, got an empty file", id="empty"),
    pytest.param(b"hello\n" * 50, "expected a picture (JPEG", id="text"),
    pytest.param(b"<svg width='10' height='10'></svg>", "", id="svg"),
    pytest.param(b"\x89PNG\r\n\x1a\n", "", id="only the start of a png"),
    pytest.param(b"\xff\xd8\xff", "", id="only the start of a jpeg"),
    pytest.param(bytes(5000), "expected a picture (JPEG", id="zeros"),
]


@pytest.mark.parametrize(("content", "message"), NO_PICTURES)
def test_what_is_no_picture_is_told_with_its_name(content, message, tmp_path, capfd):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def heic(picture, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = pillow_heif.from_pillow(picture)
    made[0].info["exif"] = exif.tobytes()
    sink = io.BytesIO()
    made.save(sink, quality=100)
    return sink.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_read_upright(orientation):
    content = heic(scene(), orientation)
    assert (b"irot" in content or b"imir" in content) is (orientation > 1)  # how the format says it
    turned = scene()
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned)).astype(int)
    read = read_image(content)
    assert read.shape == expected.shape
    assert np.abs(read - expected).mean() < 4


def test_heic_of_grey_and_of_more_than_8_bits_and_with_transparency_is_read():
    grey = scene().convert("L")
    assert np.abs(read_image(heic(grey)).astype(int) - np.asarray(grey)[..., None]).mean() < 4
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert np.abs(read_image(heic(deep)).astype(int) - np.asarray(grey)[..., None]).mean() < 4
    colours = pillow_heif.from_bytes("RGB;16", (60, 40), (SCENE.astype(np.uint16) * 257).tobytes())
    sink = io.BytesIO()
    colours.save(sink, quality=100)  # as 10 bits
    assert np.abs(read_image(sink.getvalue()).astype(int) - SCENE).mean() < 4
    clear = scene().convert("RGBA")
    clear.putalpha(0)
    assert np.abs(read_image(heic(clear)).astype(int) - BACKDROP).max() <= 2


def test_heic_that_is_too_large_or_damaged_is_refused_in_one_line():
    content = heic(scene())
    with pytest.raises(ImageError, match=r"^picture: expected at most 99 pixels, got 60 x 40$"):
        read_image(content, 99)
    rng = np.random.default_rng(0)
    for number in range(200):
        damaged = bytearray(content[: rng.integers(99, len(content))] if number % 2 else content)
        for _ in range(3):
            damaged[rng.integers(12, len(damaged))] = rng.integers(256)
        with suppress(ImageError):  # or it is still a picture
            read_image(bytes(damaged), 10**6)


@pytest.mark.parametrize(("brands", "known"), [(b"mif1\0\0\0\0heic", True), (b"mif1\0\0\0\0avif", False)])
def test_heic_and_avif_that_are_called_alike_are_told_apart(brands, known):
    assert is_heic(b"\0\0\0\x18ftyp" + brands) == known


@pytest.mark.parametrize(
    ("head", "alpha", "known"),
    [(40, 255, False), (52, 255, False), (56, 255, True), (124, 255, True), (124, 255 << 24, True), (124, 0, False)],
)
def test_a_bmp_may_be_transparent_where_its_head_has_room_for_alpha(head, alpha, known):
    content = bytearray(140)
    content[:2], content[14:18], content[30:34] = b"BM", head.to_bytes(4, "little"), b"\3\0\0\0"
    content[66:70] = alpha.to_bytes(4, "little")
    assert may_be_transparent(bytes(content)) == known


def test_without_its_extra_heic_is_told_with_what_brings_it(monkeypatch):
    content = heic(scene())
    monkeypatch.setattr("ferkit.inference.heic.find_spec", lambda _: None)
    with pytest.raises(ImageError, match=r"HEIC needs pillow-heif; run: pip install \"ferkit\[heic\]\", or convert it"):
        read_image(content)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_avif_that_is_turned_when_it_is_shown_is_told(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert read_image(packed(scene(), "AVIF")).shape == SCENE.shape
    with pytest.raises(ImageError, match="picture: AVIF that is turned or mirrored when shown cannot be read; convert"):
        read_image(packed(scene(), "AVIF", exif=exif))


def test_a_name_with_a_null_character_is_told():
    with pytest.raises(ImageError, match=r"cannot be read .*null"):
        read_image("a\0b.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://example.org/a.jpg", r"^https://example\.org/a\.jpg: an address is not fetched"),
        ("data:image/png;base64," + "iVBORw0K" * 1000, r"^data:image/png;base64,i.{30,60}\.\.\.: an address"),
        ("iVBORw0K" * 1000, r"^iVBORw0K.{40,60}\.\.\.: expected a path, got a text of 8,000 characters; decode"),
    ],
    ids=["web", "data", "Base64"],
)
def test_a_text_that_is_no_path_is_told_as_what_it_is(text, message):
    with pytest.raises(ImageError, match=message):
        read_image(text)


def test_a_file_whose_name_looks_like_an_address_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:").mkdir()
    scene().save(tmp_path / "http:" / "a.png")
    assert (read_image("http://a.png") == SCENE).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_whatever_is_damaged_there_is_a_picture_or_an_image_error(kind):
    rng = np.random.default_rng(0)
    whole = packed(scene(), kind)
    for _ in range(100):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 8)):
            content[rng.integers(len(content))] = rng.integers(256)
        try:
            picture = read_image(bytes(content[: rng.integers(1, len(content) + 1)]), max_pixels=10**6)
        except ImageError:
            continue
        assert picture.ndim == 3


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(ImageError, match=r"no.png: cannot be read \(No such file"):
        read_image(tmp_path / "no.png")
    with pytest.raises(ImageError, match=r"cannot be read \(Is a directory"):
        read_image(tmp_path)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("ferkit.inference.images.MAX_BYTES", 2_000_000)
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse file
    with pytest.raises(ImageError, match="expected a picture of at most 2 MB, got more"):
        read_file(path)


ARRAYS = [
    pytest.param(SCENE, SCENE, id="rgb"),
    pytest.param(SCENE[..., 0], np.repeat(SCENE[..., :1], 3, axis=2), id="grey"),
    pytest.param(SCENE.astype(np.uint16) * 257, SCENE, id="16 bit"),
    pytest.param(SCENE / 255, SCENE, id="float"),
    pytest.param(SCENE[:, :, 0] > 100, np.repeat((SCENE[:, :, :1] > 100) * np.uint8(255), 3, axis=2), id="bool"),
    pytest.param(np.dstack([SCENE, np.zeros((40, 60), np.uint8)]), np.full_like(SCENE, BACKDROP), id="rgba"),
]


@pytest.mark.parametrize(("array", "expected"), ARRAYS)
def test_arrays_are_taken_as_documented(array, expected):
    np.testing.assert_array_equal(read_image(array), expected)


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 4, 5), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.int64), np.full((4, 4), 2.0)],
    ids=["five planes", "nothing", "int64", "floats above 1"],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ImageError, match="expected"):
        read_image(array)


def test_a_file_bytes_a_pil_image_and_an_array_give_the_same(tmp_path):
    content = packed(scene(), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), content, bytearray(content), scene(), SCENE):
        np.testing.assert_array_equal(read_image(source), SCENE)
    with pytest.raises(ImageError, match="expected a path, bytes, an open file, a PIL image or an array, got int"):
        read_image(7)


class OfAPlugin(Image.Image):
    """As pillow-heif's are."""

    def __init__(self, image):
        super().__init__()
        self.__dict__.update(image.__dict__)


OfAPlugin.__module__ = "pillow_plugin"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(Image.fromarray(np.full((2, 3), 0.5, np.float32)), 128, id="F"),
        pytest.param(Image.new("I", (3, 2), 128), 128, id="I, 8 bits"),
        pytest.param(Image.new("I", (3, 2), 128 << 8), 128, id="I, 16 bits"),
        pytest.param(Image.fromarray(np.full((2, 3), 128, np.uint16)), 0, id="I;16"),
        pytest.param(OfAPlugin(Image.new("L", (3, 2), 9)), 9, id="of a plugin"),
    ],
)
def test_pil_images_of_every_mode_are_taken_as_documented(image, expected):
    assert np.array_equal(read_image(image), np.full((2, 3, 3), expected))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("F", (3, 2), 128.0), id="floats above 1"),
        pytest.param(Image.new("I", (3, 2), 1 << 20), id="more than 16 bits"),
        pytest.param(Image.new("I", (3, 2), -1), id="below 0"),
        pytest.param(Image.new("La", (3, 2)), id="La"),
    ],
)
def test_other_pil_images_are_refused(image):
    with pytest.raises(ImageError):
        read_image(image)


def test_a_closed_pil_image_is_refused():
    image = Image.open(io.BytesIO(packed(scene(), "PNG")))
    image.close()
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(image)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP"])
def test_so_is_one_that_is_used_after_its_block(tmp_path, kind):
    (tmp_path / "a").write_bytes(packed(scene(), kind))
    with Image.open(tmp_path / "a") as image:
        pass
    with pytest.raises(ImageError, match=r"cannot be decoded \(.+\)"):
        read_image(image)


def test_the_limit_of_pixels_holds_for_arrays_too():
    with pytest.raises(ImageError, match="at most 99 pixels, got 10 x 10"):
        read_image(np.zeros((10, 10), np.uint8), max_pixels=99)


def over_grey(alpha, colours=SCENE):
    return (colours.astype(int) * alpha + BACKDROP * (255 - alpha) + 127) // 255


def bitmap(header_size, mask):
    """Return SCENE as a BMP of 32 bits whose fourth byte is 0, with masks of colours and, where it fits, of alpha."""
    rows = np.dstack([SCENE[::-1, :, ::-1], np.zeros(SCENE.shape[:2], np.uint8)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, mask)[: 12 if header_size == 40 else 16]
    rest = bytes(max(0, header_size - 40 - len(masks)))
    start = 14 + 40 + len(masks) + len(rest)
    head = struct.pack("<IiiHHIIiiII", header_size, 60, 40, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + head + masks + rest + rows


def test_a_bitmap_whose_fourth_byte_is_not_alpha_is_opaque():
    np.testing.assert_array_equal(read_image(bitmap(40, 0)), SCENE)
    np.testing.assert_array_equal(read_image(bitmap(108, 0)), SCENE)
    assert (read_image(bitmap(108, 0xFF000000)) == BACKDROP).all()


def test_a_bitmap_of_os2_has_sizes_of_16_bits():
    rows = b"".join(row[:, ::-1].tobytes() for row in SCENE[::-1])  # 180 bytes, a multiple of 4
    content = b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, 60, 40, 1, 24) + rows
    np.testing.assert_array_equal(read_image(content), SCENE)


def tiff(samples, extra, order="<"):
    """Return an uncompressed TIFF of four samples a pixel; ``extra`` says what the fourth is."""
    bits = 8 * samples.dtype.itemsize
    data, height, width = samples.astype(samples.dtype.newbyteorder(order)).tobytes(), *samples.shape[:2]
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 4, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 16), (277, 3, 1, 4), (278, 3, 1, height), (279, 4, 1, len(data)), (338, 3, 1, extra),
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(entries))
    for tag, size, count, value in entries:  # short values stand at the beginning of their four bytes
        fields = "HH" if size == 3 and count == 1 else "I"
        directory += struct.pack(f"{order}HHI{fields}", tag, size, count, value, *[0] * (len(fields) - 1))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 16 + len(data))
    return head + struct.pack(f"{order}4H", *[bits] * 4) + data + directory + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_the_fourth_sample_of_a_tiff_is_what_the_file_says(extra, kind, order):
    alpha = np.full((40, 60, 1), 64)
    alpha[:, :20] = 255
    colours = (
        (SCENE * alpha + 127) // 255 if extra == 1 else SCENE
    )  # multiplied with alpha by the program that wrote it
    samples = np.dstack([colours, alpha]).astype(kind) * (257 if kind is np.uint16 else 1)
    expected = SCENE if extra == 0 else over_grey(alpha)
    assert np.abs(read_image(tiff(samples, extra, order)).astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)], ids=["little", "big", "bigtiff"])
def test_a_tiff_whose_tiles_are_larger_than_a_picture_may_be_is_refused(order, big):
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
    entries += [(322, 4, 16_368), (323, 4, 16_368), (324, 4, 8), (325, 4, 8)]
    mark = b"II" if order == "<" else b"MM"
    if big:
        content = mark + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(entries))
        rows = [
            struct.pack(f"{order}HHQ", tag, kind, 1) + packed_value(order, kind, value, 8)
            for tag, kind, value in entries
        ]
    else:
        content = mark + struct.pack(f"{order}HIH", 42, 8, len(entries))
        rows = [
            struct.pack(f"{order}HHI", tag, kind, 1) + packed_value(order, kind, value, 4)
            for tag, kind, value in entries
        ]
    content += b"".join(rows) + bytes(16)
    with pytest.raises(ImageError, match="expected tiles of at most 1,000 pixels, got 16368 x 16368"):
        read_image(content, max_pixels=1000)
    assert pixels_of(content) == 16_368**2  # what of several pictures at a time reserves room for


def packed_value(order, kind, value, size):
    """Return a value of a tag as TIFF keeps it: at the beginning of its field."""
    return struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value).ljust(size, b"\0")


def test_transparency_is_the_same_in_every_kind_of_file():
    content = [packed(rgba(64), kind) for kind in ("PNG", "TIFF")] + [packed(rgba(64), "WEBP", lossless=True)]
    for picture in map(read_image, [*content, rgba(64), np.asarray(rgba(64))]):
        assert np.abs(picture.astype(int) - over_grey(64)).max() <= 2


def test_the_letter_a_of_lab_is_no_alpha():
    lab = scene().convert("LAB")
    np.testing.assert_array_equal(read_image(lab), np.asarray(lab.convert("RGB")))


def test_odd_parts_of_exif_do_not_keep_a_pil_image_from_being_turned():
    stored, exif = turned(scene(), 6)
    exif[0x010F], exif[0x0132] = "maker", "2020"
    content = packed(stored, "JPEG", quality=98, subsampling=0, exif=exif)
    odd = content.replace(b"\x01\x0f\0\x02", b"\x01\0\0\x02")  # a width that is a text
    picture = read_image(Image.open(io.BytesIO(odd)))
    assert np.abs(picture.astype(int) - SCENE).max() <= 6


def test_arrays_of_either_order_of_bytes_and_matrices_are_read():
    grey_levels = np.asarray(scene("L"))
    np.testing.assert_array_equal(read_image(grey_levels.astype(">u2") * 257), grey())
    np.testing.assert_array_equal(read_image(grey_levels.view(np.matrix)), grey())


def test_an_avif_that_is_cut_off_is_refused_in_one_line():
    with pytest.raises(ImageError):
        read_image(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1\0\0\0\x09irot\x01")


def test_a_file_that_is_too_large_is_named_once(tmp_path, monkeypatch):
    monkeypatch.setattr("ferkit.inference.images.MAX_BYTES", 1000)
    (tmp_path / "a.png").write_bytes(bytes(2000))
    with pytest.raises(ImageError) as caught:
        read_file(tmp_path / "a.png")
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: expected a picture of at most ")


def test_no_memory_for_a_picture_is_told_and_not_taken_for_damage(monkeypatch):
    import cv2

    def none(*_):
        error = cv2.error("OpenCV: Insufficient memory")
        error.code = cv2.Error.StsNoMem
        raise error

    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    monkeypatch.setattr(cv2, "imdecode", none)
    with pytest.raises(ImageError, match="picture: there is not enough memory for 30 x 20 pixels"):
        read_image(buffer.getvalue())


class RuntimeFail(Exception):  # noqa: N818, as ONNX Runtime calls it
    """As ONNX Runtime's, by its module."""

    __module__ = "onnxruntime.capi.onnxruntime_pybind11_state"


@pytest.mark.parametrize("error", [RuntimeFail("FAIL : Failed to allocate memory for requested buffer"), MemoryError()])
def test_what_says_that_there_is_no_memory_becomes_one_error(error):
    with pytest.raises(ImageError, match=r"^a\.png: there is not enough memory for 30 x 20 pixels"):  # noqa: SIM117
        with enough_memory("a.png", 30, 20):
            raise error


@pytest.mark.parametrize("error", [RuntimeFail("FAIL : of another kind"), ValueError("allocation")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error), match=r"kind|allocation"):  # noqa: SIM117
        with enough_memory("a.png", 30, 20):
            raise error


def test_a_file_that_is_open_is_read(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(read_image(file), picture)
    np.testing.assert_array_equal(read_image(io.BytesIO((tmp_path / "a.png").read_bytes())), picture)
    with (
        (tmp_path / "a.png").open(encoding="latin-1") as file,
        pytest.raises(ImageError, match=r"a\.png: expected a file"),
    ):
        read_image(file)
    with pytest.raises(ImageError, match="picture: expected a file open for reading bytes"):
        read_image(io.BufferedWriter(io.BytesIO()))


def test_a_file_that_was_read_before_is_not_taken_for_an_empty_one():
    file = io.BytesIO(packed(scene(), "PNG"))
    expected = read_image(file)
    with pytest.raises(ImageError, match=r"picture: it was read to its end before; seek\(0\) first"):
        read_image(file)
    file.seek(0)
    np.testing.assert_array_equal(read_image(file), expected)
    for nothing in (io.BytesIO(), SimpleNamespace(read=lambda _: b"")):
        with pytest.raises(ImageError, match="got an empty file"):
            read_image(nothing)


def test_what_packs_a_file_and_is_damaged_is_an_image_error():
    whole = gzip.compress(packed(scene(), "PNG"))
    for content in (whole[:-30], whole[:-6] + bytes(6)):
        with (
            gzip.open(io.BytesIO(content)) as file,
            pytest.raises(ImageError, match=r"^picture: cannot be read \("),
        ):
            read_image(file)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", packed(scene(), "PNG"))
    content = bytearray(archive.getvalue())
    content[60] ^= 255
    with (
        zipfile.ZipFile(io.BytesIO(content)) as file,
        pytest.raises(ImageError, match=r"a\.png: cannot be read \(Bad CRC"),
    ):
        read_image(file.open("a.png"))


def test_a_name_is_told_on_one_line_and_an_empty_one_is_none():
    with pytest.raises(ImageError) as caught:
        read_image("no\nsuch\x1b[2J.jpg")
    assert str(caught.value) == "no\\nsuch\\x1b[2J.jpg: cannot be read (No such file or directory)"
    with pytest.raises(ImageError, match="expected the name of a picture, got an empty one"):
        read_image("")


def test_arrays_of_every_documented_form_are_read():
    assert read_image(np.array([[0.0, 0.1, 0.501, 1.0]])).tolist() == [[[0] * 3, [26] * 3, [128] * 3, [255] * 3]]
    assert read_image(np.full((2, 2, 1), 7, np.uint8)).tolist() == [[[7] * 3] * 2] * 2
    assert read_image(np.array([[0xABCD]], np.uint16)).tolist() == [[[0xAB] * 3]]
    assert read_image(np.array([[0, 7, 255]], ">u2")).tolist() == [[[0] * 3, [7] * 3, [255] * 3]]  # of 8 bits, it seems
    with pytest.raises(ImageError, match="got uint32"):
        read_image(np.zeros((2, 2), np.uint32))


def test_what_is_transparent_is_grey_in_every_row():
    clear = np.zeros((600, 3, 4), np.uint8)
    assert (read_image(clear) == 128).all()
    buffer = io.BytesIO()
    Image.fromarray(clear).save(buffer, "PNG")
    assert (read_image(buffer.getvalue()) == 128).all()


def test_without_memory_a_picture_is_not_taken_for_something_else(monkeypatch):
    def out_of_memory(_):
        raise MemoryError

    monkeypatch.setattr("imagesize.get", out_of_memory)
    with pytest.raises(MemoryError):
        read_image(packed(scene(), "PNG"))
