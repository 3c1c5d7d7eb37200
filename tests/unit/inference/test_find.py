"""What is found in folders, and what is a video."""

import os

import pytest

from ferkit.inference.find import begins_as_video, find_images, find_linked, is_video


def test_folders_are_searched_in_order_without_what_is_hidden(tmp_path):
    for name in ("b.PNG", "a.jpg", "sub/c.webp", ".hidden.png", ".git/d.png", "notes.txt", "out/a.jpg", "film.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path, tmp_path / "out")]
    assert found == ["a.jpg", "b.PNG", "gone.png", "sub/c.webp"]


def test_linked_folders_are_told_and_not_followed(tmp_path):
    for name in ("in/sub", "in/.hidden", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    for place in ("in/link", "in/sub/other", "in/.hidden/third"):
        (tmp_path / place).symlink_to(tmp_path / "elsewhere")
    assert find_linked(tmp_path / "in") == [tmp_path / "in" / "link", tmp_path / "in" / "sub" / "other"]
    assert find_linked(tmp_path / "in", tmp_path / "in" / "sub") == [tmp_path / "in" / "link"]


def test_a_folder_that_cannot_be_searched_is_found_and_links_are_told_in_order(tmp_path):
    assert find_images(tmp_path / "gone") == [tmp_path / "gone"]
    links = [tmp_path / f"{letter}" for letter in "hbgdafce"]
    for link in links:
        link.symlink_to(tmp_path)
    assert find_linked(tmp_path) == sorted(links)


PACKETS = (b"\x47" + bytes(187)) * 6


@pytest.mark.parametrize(
    ("content", "video"),
    [
        pytest.param(b"\0\0\0\x20ftypisom" + bytes(500), True, id="MP4"),
        pytest.param(b"\0\0\0\x08wide\0\0\0\x10mdat", True, id="QuickTime"),
        pytest.param(b"RIFF\x24\0\0\0AVI LIST", True, id="AVI"),
        pytest.param(b"\x1a\x45\xdf\xa3" + bytes(90), True, id="Matroska"),
        pytest.param(b"OggS" + bytes(90), True, id="Ogg"),
        pytest.param(PACKETS, True, id="MPEG-TS"),
        pytest.param(b"".join(bytes(4) + PACKETS[:188] for _ in range(5)), True, id="MPEG-TS with times"),
        pytest.param(b"\0\0\0\x20ftypavif" + bytes(500), False, id="AVIF"),
        pytest.param(b"\0\0\0\x20ftypheic" + bytes(500), False, id="HEIC"),
        pytest.param(b"RIFF\x24\0\0\0WEBPVP8 ", False, id="WebP"),
        pytest.param(b"GIF89a" + bytes(500), False, id="GIF"),
        pytest.param(b"G" * 20, False, id="text"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_a_video_is_known_by_how_it_begins(content, video, tmp_path):
    assert begins_as_video(content) == video
    (tmp_path / "unnamed").write_bytes(content)
    assert is_video(str(tmp_path / "unnamed")) == video


def test_a_name_that_says_what_it_is_is_believed(tmp_path):
    for name, video in (("a.MP4", True), ("b.jpg", False)):
        (tmp_path / name).write_bytes(b"OggS")
        assert is_video(str(tmp_path / name)) == video
    assert is_video(str(tmp_path / "missing.mkv"))
    (tmp_path / "holiday.mov").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert not is_video(str(tmp_path / "holiday.mov"))
    assert not is_video(str(tmp_path / "pipe")), "or it would be waited for"
    assert not is_video("a\0b")
    assert is_video(str(tmp_path / "missing")) is False
