"""The archive for the test server: every image verified, the layout exact, the bytes repeatable."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from dmnet.config import content_hash
from dmnet.data.manifest import Manifest
from dmnet.data.prepare import prepare_dataset
from dmnet.data.voc2012 import palette
from dmnet.errors import DataError, DMNetError
from dmnet.files import sha256_bytes, sha256_file
from pipeline.errors import ResultError
from pipeline.experiments import build_experiment, find_submission
from pipeline.reports.submission import describe_submission, write_submission

LABEL_IDS = {"name": "label ids", "values": list(range(7, 28)), "palette": None}
MEMBER = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture(scope="module")
def experiment():
    return build_experiment("mini", tables=["table7"])


@pytest.fixture(scope="module")
def submission(experiment):
    return find_submission(experiment, "table7")


def encode(indices, colours=None, **options):
    image = Image.fromarray(indices.astype(np.uint8))
    if colours != []:
        image.putpalette(palette() if colours is None else colours)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path, submission):
    """The drawn test images, prepared, and a run that ended with made-up weights."""
    prepare_dataset(submission.dataset, tmp_path / "data" / submission.dataset.name, tmp_path, None)
    run = tmp_path / "runs" / submission.run_key
    run.mkdir(parents=True)
    (run / "train.json").write_text(
        json.dumps({"weights": {"file": "weights.pt", "sha256": "5" * 64}})
    )
    return tmp_path


@pytest.fixture
def photographs(root, submission):
    manifest = Manifest.load(root / "data" / submission.dataset.name)
    return [image for image, _ in manifest.pairs("test")]


@pytest.fixture
def predict(root, submission, photographs):
    """Write random predictions and their manifest; `images` replaces files, None removes one."""

    def write(images=None, rehash=True, **changes):
        path = root / submission.predictions
        folder = path.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for number, photograph in enumerate(photographs):
            width, height = Image.open(photograph).size
            indices = np.random.default_rng(number).integers(0, 21, (height, width))
            files[f"{photograph.stem}.png"] = encode(indices)
        hashes = {name: sha256_bytes(content) for name, content in files.items()}
        for name, content in (images or {}).items():
            files[name] = content
            hashes.pop(name) if content is None else None
            if rehash and content is not None:
                hashes[name] = sha256_bytes(content)
        for name, content in files.items():
            if content is not None:
                (folder / name).write_bytes(content)
        manifest = {
            "run": submission.run_key,
            "weights_sha256": "5" * 64,
            "evaluation": submission.name,
            "evaluation_hash": content_hash(submission.config),
            "data_fingerprint": Manifest.load(root / "data" / submission.dataset.name).fingerprint,
            "files": hashes,
        }
        path.write_text(json.dumps(manifest | changes))
        return path

    return write


@pytest.fixture
def submit(experiment, root):
    def write(predictions):
        return write_submission(experiment, "table7", predictions, root / "reports", root)

    return write


def members(root):
    with tarfile.open(root / "reports/table7-submission.tar") as tar:
        return {member: tar.extractfile(member).read() for member in tar}


def test_one_member_per_test_image_and_nothing_else(predict, submit, root, photographs):
    submit(predict())
    names = [member.name for member in members(root)]
    assert names == [f"{MEMBER}/{photograph.stem}.png" for photograph in photographs]


def test_every_member_is_the_predicted_image(predict, submit, root, photographs):
    predictions = predict()
    submit(predictions)
    for photograph, (member, content) in zip(photographs, members(root).items(), strict=True):
        name = member.name.rsplit("/", 1)[1]
        assert content == (predictions.with_suffix("") / name).read_bytes()
        image = Image.open(io.BytesIO(content))
        assert (image.mode, image.size) == ("P", Image.open(photograph).size)
        assert image.getpalette() == palette()
        assert np.asarray(image).max() <= 20


def test_members_carry_no_time_owner_or_name(predict, submit, root):
    submit(predict())
    for member in members(root):
        assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
        assert (member.uname, member.gname, member.mode) == ("", "", 0o644)


def test_equal_predictions_give_equal_bytes(predict, submit, root):
    assert submit(predict()).archive == submit(predict()).archive


def test_the_json_names_archive_run_and_weights(predict, submit, root, submission, photographs):
    submit(predict())
    content = json.loads((root / "reports/table7-submission.json").read_text())
    archive = root / "reports" / content["archive"]["file"]
    assert content["archive"]["sha256"] == sha256_file(archive)
    assert (content["run"], content["weights_sha256"]) == (submission.run_key, "5" * 64)
    assert (content["images"], content["member"]) == (len(photographs), MEMBER)


def test_drawn_images_are_a_rehearsal(predict, submit, root):
    result = submit(predict())
    assert result.notice == "a rehearsal: not for upload"
    line = describe_submission(result, root / "reports")
    assert line.endswith("; a rehearsal: not for upload")
    assert "\n" not in line


WIDE = np.zeros((3, 4))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (lambda size: encode(np.full(size, 21)), "a pixel of 21, expected 0..20"),
        (lambda size: encode(np.full(size, 255)), "a pixel of 255, expected 0..20"),
        (lambda size: encode(WIDE), "4x3 pixels, expected"),
        (lambda size: encode(np.zeros(size), colours=[]), "mode L, expected an 8-bit palette PNG"),
        (lambda size: encode(np.zeros(size), bits=4), "expected an 8-bit palette PNG"),
        (lambda size: encode(np.zeros(size), [0, 0, 0] * 256), "another palette, expected VOC's"),
        (lambda size: encode(np.zeros(size), palette()[:60]), "another palette, expected VOC's"),
        (lambda size: b"no image", "not decodable"),
        (lambda size: encode(np.zeros(size))[:60], "not decodable"),
    ],
)
def test_what_the_server_does_not_read_is_refused(predict, submit, root, photographs, image, words):
    width, height = Image.open(photographs[2]).size
    name = f"{photographs[2].stem}.png"
    with pytest.raises(ResultError) as caught:
        submit(predict({name: image((height, width))}))
    assert f"{name}: " in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value) and "object at 0x" not in str(caught.value)
    assert list((root / "reports").glob("*")) == []


def test_a_damaged_photograph_is_named(predict, submit, photographs):
    predictions = predict()
    photographs[0].write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"{photographs[0].name}: not decodable"):
        submit(predictions)


def test_a_changed_image_is_refused(predict, submit, photographs):
    name = f"{photographs[0].stem}.png"
    predictions = predict({name: encode(WIDE)}, rehash=False)
    with pytest.raises(ResultError, match=rf"{name}: damaged \(SHA-256"):
        submit(predictions)


def test_a_deleted_image_is_named(predict, submit, photographs):
    predictions = predict()
    (predictions.with_suffix("") / f"{photographs[1].stem}.png").unlink()
    with pytest.raises(ResultError, match=f"{photographs[1].stem}.png: cannot be read"):
        submit(predictions)


def test_a_test_image_without_a_prediction_is_named(predict, submit, photographs):
    name = f"{photographs[1].stem}.png"
    with pytest.raises(ResultError, match=rf"no prediction {name} \(1 of 8 test images"):
        submit(predict({name: None}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("2012_999999.png", "2012_999999.png belongs to no test image"),
        ("../../escape.png", "should match pattern"),  # no file's name
    ],
)
def test_a_prediction_of_no_test_image_is_named(predict, submit, name, words):
    predictions = predict()
    content = json.loads(predictions.read_text())
    content["files"][name] = "0" * 64
    predictions.write_text(json.dumps(content))
    with pytest.raises(ResultError, match=words):
        submit(predictions)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"run": "0123456789abcdef"}, "is of another run (0123456789abcdef"),
        ({"weights_sha256": "6" * 64}, "is of another weights (6666"),
        ({"evaluation_hash": "0" * 64}, "is of another evaluation ("),
        ({"data_fingerprint": "0" * 64}, "is of another dataset ("),
        ({"files": []}, "`files` = []: "),
        ({"encoding": LABEL_IDS}, "written in label ids, expected PASCAL VOC 2012 class indices"),
        ({"encoding": 5}, "`encoding` is damaged"),
    ],
)
def test_predictions_of_something_else_are_refused(predict, submit, changed, words):
    with pytest.raises(ResultError) as caught:
        submit(predict(**changed))
    assert words in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "[]", "null", "{"])
def test_a_damaged_manifest_is_refused(predict, submit, content):
    predictions = predict()
    predictions.write_text(content)
    with pytest.raises(DMNetError, match=predictions.name):
        submit(predictions)


def test_an_outdated_archive_does_not_stay(predict, submit, root):
    submit(predict())
    with pytest.raises(ResultError):
        submit(predict(run="0123456789abcdef"))
    assert list((root / "reports").glob("*")) == []


def test_a_folder_in_the_archives_place_is_named(predict, submit, root):
    (root / "reports/table7-submission.tar").mkdir(parents=True)
    with pytest.raises(
        ResultError, match=r"submission\.tar: cannot be replaced \(.*\); move it away"
    ):
        submit(predict())
