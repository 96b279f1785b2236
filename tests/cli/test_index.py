"""`m3ic index`: what it counts, what it keeps, and what it reads of a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.data.readers import places, shard_sizes, tar_contents
from m3i_dsl.data.readers.places import StoragePlace
from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.sources.tar import Tar
from tests.data.shards import shards

COUNTS = (6, 3, 1)
SIZES = {f"shard-{number:05}.tar": count for number, count in enumerate(COUNTS)}


@pytest.fixture(autouse=True)
def memory_is_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users reach http, s3, gs and hf; here memory stands for them."""
    monkeypatch.setattr(places, "PROTOCOLS", (*places.PROTOCOLS, "memory"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return shards(tmp_path / "train", COUNTS)


@pytest.fixture
def store(here: Path) -> str:
    files = fsspec.filesystem("memory")
    for path in here.glob("*.tar"):
        files.pipe(f"/indexed/{path.name}", path.read_bytes())
    return "memory://indexed"


def sizes(path: str = "sizes.json") -> dict[str, int]:
    return json.loads(Path(path).read_text())


def test_sizes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "train/shard-{00000..00002}.tar"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == SIZES
    assert "10 samples in 3 shards" in shown.err


def test_a_store_is_read_and_not_kept_and_trains_with_the_file(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_contents, "MOST_FETCHED", 1)
    source = Tar(f"{store}/*.tar")
    with pytest.raises(WordError) as fault:
        source.open(tmp_path)
    assert fault.value.help is not None and f"`m3ic index '{store}/*.tar' -o sizes.json`" in fault.value.help
    assert main(["index", f"{store}/*.tar", "-o", "sizes.json"]) == 0
    assert capsys.readouterr().out == "sizes.json\n"
    assert sizes() == SIZES
    assert not [path for path in tmp_path.glob("cache/**/*") if path.is_file()]
    assert len(Tar(f"{store}/*.tar", sizes="sizes.json").open(tmp_path)) == sum(COUNTS)


def test_what_the_file_has_is_not_read_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sizes.json").write_text(json.dumps({"shard-00000.tar": 600, "elsewhere.tar": 5}))
    assert main(["index", "train/*.tar", "-o", "sizes.json"]) == 0
    assert sizes() == {**SIZES, "shard-00000.tar": 600, "elsewhere.tar": 5}
    assert "1 of 3 shards are in `sizes.json`" in capsys.readouterr().err


def test_the_statistics_of_img2dataset_are_enough(here: Path) -> None:
    (here / "shard-00001.tar").write_bytes(b"not read")
    (here / "shard-00001_stats.json").write_text('{"count": 10, "successes": 3, "failed_to_download": 7}')
    (here / "shard-00002_stats.json").write_text('{"something": "else"}')
    assert main(["index", "train/*.tar", "-o", "sizes.json"]) == 0
    assert sizes() == SIZES


@pytest.mark.parametrize("where", ["train", "memory://indexed"])
def test_a_damaged_shard_is_named_and_the_others_are_written(
    where: str, here: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (here / "shard-00001.tar").read_bytes()
    (here / "shard-00001.tar").write_bytes(whole[: len(whole) // 2])
    fsspec.filesystem("memory").pipe("/indexed/shard-00001.tar", whole[: len(whole) // 2])
    assert main(["index", f"{where}/*.tar", "-o", "sizes.json"]) == 1
    told = capsys.readouterr().err
    assert f"{where}/shard-00001.tar`: " in told and "cut off" in told and "7 samples in 2 shards" in told
    assert sizes() == {name: count for name, count in SIZES.items() if name != "shard-00001.tar"}


def test_an_interruption_keeps_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = shard_sizes.size_of_shard

    def interrupted(place: StoragePlace, stopped: Callable[[], bool]) -> int:
        if place.name == "shard-00002.tar":
            raise KeyboardInterrupt
        return original(place, stopped)

    monkeypatch.setattr(shard_sizes, "size_of_shard", interrupted)
    assert main(["index", "train/*.tar", "-o", "sizes.json", "--jobs", "1"]) == 130
    assert sizes() == {name: count for name, count in SIZES.items() if name != "shard-00002.tar"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere/*.tar"], "nowhere"),
        (["train/shard-{00000..00002.tar"], "a brace"),
        (["{train,again}/*.tar"], "several shards are called `shard-0000"),
        (["train/*.tar", "--jobs", "0"], "--jobs"),
        (["train/*.tar", "-o", "bad.json"], "`bad.json` is there but"),
        (["train/*.tar", "-o", "nowhere/sizes.json"], "there is no folder `nowhere` for `sizes.json`"),
        (["train/*.tar", "-o", "list.json"], "`list.json` is there but is no JSON object"),
    ],
)
def test_wrong_use(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    shards(Path("again"), [1, 1])
    Path("bad.json").write_text("{")
    Path("list.json").write_text("[1]")
    assert main(["index", *arguments]) == 2
    shown = capsys.readouterr()
    assert told in shown.err and shown.out == ""
    assert (Path("bad.json").read_text(), Path("list.json").read_text()) == ("{", "[1]")
