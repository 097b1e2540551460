"""Decoding: every stored form gives RGB or indices; anything else is refused by name."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dmnet.data.decode import read_image, read_label
from dmnet.errors import DataError

INDICES = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) % 21


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.jpg"
    gray = np.full((20, 30), 100, np.uint8)
    Image.fromarray(gray).convert("RGB").convert(mode).save(path)
    image = read_image(path)
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert np.abs(image.astype(int) - 100).max() <= 3


def test_png_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    assert np.array_equal(read_image(tmp_path / "image.png"), pixels)


@pytest.mark.parametrize("colours", [1, 3])
def test_plain_png_is_decoded_as_pillow_does(tmp_path: Path, colours: int) -> None:
    """By another decoder, whatever Pillow wrote: a key colour or an interlacing changes nothing."""
    rng = np.random.default_rng(0)
    path = tmp_path / "file.png"
    for height, width in ((1, 1), (5, 7), (64, 96)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(pixels if colours == 3 else pixels[..., 0])
        key = tuple(pixels[0, 0].tolist()) if colours == 3 else int(pixels[0, 0, 0])
        for options in ({}, {"transparency": key}, {"compress_level": 0}):
            image.save(path, **options)
            read = (read_image if colours == 3 else read_label)(path)
            assert np.array_equal(read, np.array(image))
            assert read.dtype == np.uint8 and read.flags.writeable and read.flags.c_contiguous


@pytest.mark.parametrize("reader", [read_image, read_label])
def test_damaged_png_is_refused_or_intact(tmp_path: Path, reader) -> None:  # type: ignore[no-untyped-def]
    """Cut off, or with a single flipped bit: nearly all are refused; none gives other pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    expected = pixels if reader is read_image else pixels[..., 0]
    path, refused = tmp_path / "file.png", 0
    Image.fromarray(np.ascontiguousarray(expected)).save(path)
    intact = path.read_bytes()
    for trial in range(1000):
        damaged = bytearray(intact)
        if trial % 2:
            del damaged[rng.integers(1, len(intact)) :]
        else:
            damaged[rng.integers(len(intact))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = reader(path)
        except DataError as error:
            assert "file.png" in str(error)
            refused += 1
        else:
            assert np.array_equal(found, expected), trial
    assert refused > 970


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    Image.new("RGB", (30, 20)).save(tmp_path / "image.jpg", exif=exif)
    assert read_image(tmp_path / "image.jpg").shape == (20, 30, 3)


def test_truncated_jpeg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match=r"image\.jpg.*truncated"):
        read_image(path)


@pytest.mark.parametrize("reader", [read_image, read_label])
def test_missing_and_foreign_files_are_named(tmp_path: Path, reader) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=r"absent\.png.*missing"):
        reader(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"text\.png.*cannot be decoded"):
        reader(tmp_path / "text.png")


def test_sixteen_bit_photograph_is_refused(tmp_path: Path) -> None:
    Image.fromarray(INDICES).save(tmp_path / "image.png")
    with pytest.raises(DataError, match="8 bits per channel"):
        read_image(tmp_path / "image.png")


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_are_refused(tmp_path: Path, channels: int) -> None:
    """Pillow would cut them down to 8 bits without a word."""
    pixels = np.full((5, 7, channels), 1000, np.uint16)
    (tmp_path / "image.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    with pytest.raises(DataError, match="8 bits per channel"):
        read_image(tmp_path / "image.png")


@pytest.mark.parametrize("mode", ["P", "L", "I;16"])
def test_label_modes_give_indices(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "label.png"
    image = Image.fromarray(INDICES if mode == "I;16" else INDICES.astype(np.uint8))
    if mode == "P":
        image.putpalette([7] * 768)  # one colour for all: only the index tells them apart
    image.save(path)
    label = read_label(path)
    assert np.array_equal(label, INDICES)
    assert label.dtype.kind == "u"
    assert label.flags.writeable


def test_four_bit_palette_label_gives_indices(tmp_path: Path) -> None:
    image = Image.fromarray((INDICES % 16).astype(np.uint8))
    image.putpalette(list(range(48)))
    image.save(tmp_path / "label.png", bits=4)
    assert np.array_equal(read_label(tmp_path / "label.png"), INDICES % 16)


def png_of(width: int, height: int, bits: int, kind: int, content: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("reader", [read_image, read_label])
@pytest.mark.parametrize("kind", [0, 2, 3])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path,
    reader,  # type: ignore[no-untyped-def]
    kind: int,
) -> None:
    """Just above our limit and below Pillow's, far above both."""
    for side in (8193, 2**20):
        (tmp_path / "bomb.png").write_bytes(png_of(side, side, 8, kind, b""))
        with pytest.raises(DataError, match=r"bomb\.png: .*pixels"):
            reader(tmp_path / "bomb.png")


@pytest.mark.parametrize("reader", [read_image, read_label])
def test_errors_have_no_address_of_an_object(tmp_path: Path, reader) -> None:  # type: ignore[no-untyped-def]
    """Two runs say the same."""
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError) as caught:
        reader(tmp_path / "text.png")
    assert "cannot identify image file);" in str(caught.value)


@pytest.mark.parametrize("reader", [read_image, read_label])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, reader) -> None:  # type: ignore[no-untyped-def]
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: .*no plain file"):
        reader(tmp_path / "pipe.png")


def test_stretched_four_bit_gray_is_refused(tmp_path: Path) -> None:
    (tmp_path / "label.png").write_bytes(png_of(2, 1, 4, 0, b"\x00\x12"))
    with pytest.raises(DataError, match=r"label\.png.*grays"):
        read_label(tmp_path / "label.png")


def test_colour_coded_label_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (128, 0, 0)).save(tmp_path / "label.png")
    with pytest.raises(DataError, match=r"label\.png.*mode RGB.*class index"):
        read_label(tmp_path / "label.png")


def test_jpeg_label_is_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "label.jpg")
    with pytest.raises(DataError, match="PNG label"):
        read_label(tmp_path / "label.jpg")
