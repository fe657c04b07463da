"""Objects of stores as sources: memory stores, moto's S3 server, and a store that breaks."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest

from datagym_async import DataGymClient, ItemSettled, UploadEvent
from datagym_async._runs import Stores
from datagym_async.exceptions import ConfigurationError, StoreError, TransferError
from datagym_async.server import Server
from datagym_async.uploads import Source, UploadConfig, UploadItem, UploadReport, show_job
from datagym_async.uploads.sources import Rules, check_there, leaves
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.stores import ACCESS, SECRET, BrokenStore, make_bucket, moto_server, opened
from tests.helpers.stores import options_of as s3


@pytest.fixture(autouse=True)
def no_open_descriptors() -> None:
    """Look for no open sockets: obstore's threads close theirs some time after its stores."""


@pytest.fixture
async def client() -> AsyncIterator[DataGymClient]:
    """Return a client of an embedded service."""
    async with (
        Server(token=TOKEN) as server,
        DataGymClient(server.token, server.base_url, rate_limit=None) as client,
    ):
        yield client


@pytest.fixture
async def dataset_id(client: DataGymClient) -> str:
    """Return a new dataset."""
    return (await client.datasets.create("Photos")).id


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> tuple[str, dict[str, bytes]]:
    """Return a store in memory, and what it holds: photos in two folders, and more beside them."""
    root = f"memory://{hashlib.sha1(request.node.nodeid.encode()).hexdigest()}"
    held = {f"p/cam {at % 2}/{at}.jpg": jpeg(2000 + at, seed=at) for at in range(6)}
    held |= {"p/big.jpg": jpeg(9_000_001, seed=9), "p/note.txt": b"text", "p/.x/h.jpg": jpeg(2000)}
    for key, data in held.items():
        opened(root).put(key, data)
    return root, held


@pytest.fixture
def broken() -> Iterator[BrokenStore]:
    """Return a store that breaks as it is told, with 12 photos."""
    store = BrokenStore({f"p/{at:02}.jpg": jpeg(3000 + at, seed=at) for at in range(12)})
    with store.serving():
        yield store


async def stored(client: DataGymClient, dataset_id: str) -> dict[str, bytes]:
    """Return what the dataset holds, by name."""
    dataset = await client.datasets.get(dataset_id)
    return {each.name: await client.media.download(each.id) for each in dataset.media}


def reasons(report: UploadReport) -> dict[str, tuple[str, str]]:
    """Return outcome and reason of each problem, by name."""
    return {each.name: (each.outcome.value, each.reason) for each in report.problems}


async def test_a_prefix_is_uploaded_like_a_folder(
    client: DataGymClient, dataset_id: str, memory: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """By relative names, byte for byte, large ones too; what is there already is not read again."""
    root, held = memory
    config = UploadConfig(name="relative", journal=tmp_path / "j", verify="all")
    report = await client.upload(dataset_id, f"{root}/p", config=config)
    images = (key for key in held if key.endswith(".jpg") and "/." not in key)
    wanted = {key[2:]: held[key] for key in images}
    assert await stored(client, dataset_id) == wanted
    assert reasons(report) == {
        "note.txt": ("rejected", "Not a JPEG or PNG image: it looks like text.")
    }
    assert (report.uploaded, report.verified, report.mismatches) == (7, 7, ())

    opened(root).put("p/cam 0/0.jpg", jpeg(2100, seed=77))
    opened(root).put("p/new.jpg", jpeg(2000, seed=78))
    again = await client.upload(dataset_id, f"{root}/p", config=config)
    assert (again.uploaded, again.resumed, again.mismatched) == (1, 6, 1)
    # Of the one that has another ETag now.
    sizes = f"({len(held['p/cam 0/0.jpg']):,} bytes against 2,100)"
    assert again.mismatches[0].reason == f"The dataset holds other bytes than the file {sizes}."


@pytest.mark.parametrize(
    ("source", "config", "names"),
    [
        ("/p/cam*/[0-3].jpg", {}, {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}),
        ("/p/**/4.jpg", {}, {"4.jpg"}),
        ("/p/cam 1/5.jpg", {}, {"5.jpg"}),
        ("/p/cam 1/", {"exclude": "3*"}, {"1.jpg", "5.jpg"}),
        ("/p", {"include": "cam 0"}, {"0.jpg", "2.jpg", "4.jpg"}),
        ("/p/.x/*.jpg", {}, {"h.jpg"}),
        ("/p", {"include": "h.jpg", "include_hidden": True}, {"h.jpg"}),
        ("/p/cam 1", {"name": "{parent}-{name}", "exclude": "3*"}, {"cam 1-1.jpg", "cam 1-5.jpg"}),
    ],
)
async def test_globs_filters_and_names(
    client: DataGymClient,
    dataset_id: str,
    memory: tuple[str, dict[str, bytes]],
    source: str,
    config: dict[str, object],
    names: set[str],
) -> None:
    """They mean in a store what they mean on a disk; a plan says it without sending."""
    options = UploadConfig(**config)  # type: ignore[arg-type]
    async with client.plan(dataset_id, memory[0] + source, config=options) as plan:
        assert {each.name async for each in plan if each.action == "send"} == names
    assert await stored(client, dataset_id) == {}


async def test_lists_name_objects(
    client: DataGymClient, dataset_id: str, memory: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """A list on the disk names them by address, one in the store by relative path too."""
    root, held = memory
    local = tmp_path / "list.csv"
    local.write_text(f"path,name\n{root}/p/cam 0/0.jpg,first.jpg\n{root}/p/gone.jpg,\n")
    opened(root).put("lists/l.txt", f"../p/cam 1/1.jpg\n{root}/p/cam 0/2.jpg\n".encode())
    sources: Source = [
        local,
        f"{root}/lists/l.txt",
        UploadItem("third.jpg", f"{root}/p/cam 1/3.jpg"),
    ]
    report = await client.upload(dataset_id, sources)
    assert {name: held[key] for name, key in _LISTED.items()} == await stored(client, dataset_id)
    assert reasons(report) == {
        "gone.jpg": ("rejected", f"{local}, line 3: {root}/p/gone.jpg: it does not exist.")
    }


_LISTED = {
    "first.jpg": "p/cam 0/0.jpg",
    "1.jpg": "p/cam 1/1.jpg",
    "2.jpg": "p/cam 0/2.jpg",
    "third.jpg": "p/cam 1/3.jpg",
}


async def test_what_is_prepared_or_decoded_comes_from_a_store_too(
    client: DataGymClient, dataset_id: str, memory: tuple[str, dict[str, bytes]]
) -> None:
    """Steps and checks are of the bytes, wherever these lie; a large one is read by ranges."""
    opened(memory[0]).put("p/cut.jpg", jpeg(3000)[:200])
    config = UploadConfig(prepare="resize=20", check="decode", verify="all", ignore_others=True)
    report = await client.upload(dataset_id, f"{memory[0]}/p", config=config)
    assert set(reasons(report)) == {"cut.jpg"}
    assert (report.uploaded, report.verified, report.mismatches) == (7, 7, ())


async def test_clashes_of_objects_are_seen_before_anything_is_sent(
    client: DataGymClient, dataset_id: str, memory: tuple[str, dict[str, bytes]]
) -> None:
    """They are told by their names: nothing is read for it."""
    opened(memory[0]).put("p/cam 1/0.jpg", jpeg(2000))
    with pytest.raises(ConfigurationError, match=r"1 image has the same name .*0\.jpg"):
        await client.upload(dataset_id, f"{memory[0]}/p", config=UploadConfig(on_clash="error"))


# What a store says, and what it is.


@pytest.mark.parametrize(
    ("faults", "outcome", "words"),
    [
        ({1: "404"}, "rejected", "s3://b/p/05.jpg: it does not exist."),
        ({1: "401"}, "rejected", "access is denied (the store answered 401 X)"),
        ({1: "403"}, "rejected", "access is denied (the store answered 403 AccessDenied)"),
        ({1: "400"}, "rejected", "s3://b/p/05.jpg: the store answered 400 X."),
        ({1: "reset"}, "uploaded", ""),
        ({1: "503", 2: "503"}, "uploaded", ""),
        ({1: "429", 2: "500"}, "uploaded", ""),
        (dict.fromkeys((1, 2, 3), "408"), "failed", "s3://b/p/05.jpg: the store answered 408 X."),
        (dict.fromkeys((1, 2, 3), "429"), "failed", "s3://b/p/05.jpg: the store answered 429 X."),
    ],
)
async def test_what_goes_wrong_with_one_object(
    client: DataGymClient,
    dataset_id: str,
    broken: BrokenStore,
    faults: dict[int, str],
    outcome: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own trouble is its own verdict; what may pass is asked again; all others are sent."""
    monkeypatch.setattr("datagym_async._runs._stores._RETRIES", {"max_retries": 2})
    broken.fault = lambda key, number: faults.get(number, "") if key == "p/05.jpg" else ""
    config = UploadConfig(store_options=broken.options)
    report = await client.upload(dataset_id, "s3://b/p/", config=config)
    found = reasons(report).get("05.jpg", ("uploaded", ""))
    assert found[0] == outcome
    assert words in found[1]
    assert report.uploaded == 11 + (outcome == "uploaded")
    held = await stored(client, dataset_id)
    assert all(held[name] == broken.objects[f"p/{name}"] for name in held)


@pytest.mark.parametrize("size", [3000, 9_000_000])
async def test_an_object_that_changes_between_listing_and_reading(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, size: int, tmp_path: Path
) -> None:
    """It is rejected; the next run takes it as it is then. So is a large one that changes later."""
    broken.objects = {"p/a.jpg": jpeg(size)}
    before, after = jpeg(size), jpeg(size, seed=1)

    def change(key: str, number: int) -> str:
        if key and number == (1 if size == 3000 else 2):
            broken.objects["p/a.jpg"] = after
        return ""

    broken.fault = change
    config = UploadConfig(store_options=broken.options, journal=tmp_path / "j")
    report = await client.upload(dataset_id, "s3://b/p/", config=config)
    ((name, (outcome, reason)),) = reasons(report).items()
    assert (name, outcome) == ("a.jpg", "rejected")
    assert "it has changed since it was listed" in reason
    assert before != after
    again = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert again.uploaded == 1
    assert await stored(client, dataset_id) == {"a.jpg": after}


@pytest.mark.parametrize("size", [3000, 9_000_000])
@pytest.mark.parametrize("status", ["403", "404"])
async def test_what_was_denied_or_gone_is_tried_again_by_the_next_run(
    client: DataGymClient,
    dataset_id: str,
    broken: BrokenStore,
    tmp_path: Path,
    status: str,
    size: int,
) -> None:
    """That somebody mends a permission, or puts an object back, changes no byte.

    Of the large one the head is still given: it is met while it is being sent.
    """
    late = size > 3000
    broken.objects["p/03.jpg"] = jpeg(size)
    broken.fault = lambda key, nth: status if key == "p/03.jpg" and nth > late else ""
    config = UploadConfig(store_options=broken.options, journal=tmp_path / "j")
    assert (await client.upload(dataset_id, "s3://b/p/", config=config)).rejected == 1
    broken.fault = lambda key, _: ""
    again = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert (again.uploaded, again.resumed) == (1, 11)


async def test_a_store_that_gives_nothing_ends_the_job(
    client: DataGymClient,
    dataset_id: str,
    broken: BrokenStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """After some objects in a row, each asked for again and again; the same upload resumes."""
    quick = {"max_retries": 1}
    monkeypatch.setattr("datagym_async._runs._stores._RETRIES", quick)
    broken.fault = lambda key, _: "503" if key else ""
    config = UploadConfig(store_options=broken.options, journal=tmp_path / "j")
    with pytest.raises(TransferError, match="the store answered 503 SlowDown") as caught:
        await client.upload(dataset_id, "s3://b/p/", config=config)
    assert isinstance(caught.value.report, UploadReport)
    assert ACCESS not in f"{caught.value!r}{caught.value.__cause__!r}"
    broken.fault = lambda key, _: ""
    again = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert (again.uploaded, again.complete) == (12, True)


@pytest.mark.parametrize("said", ["400 ExpiredToken", "403 InvalidAccessKeyId"])
async def test_credentials_that_fail_in_mid_run_end_the_job(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, tmp_path: Path, said: str
) -> None:
    """All other objects would meet the same: they wait for the next run, which has fresh ones."""
    broken.fault = lambda key, _: said if key else ""
    config = UploadConfig(store_options=broken.options, journal=tmp_path / "j")
    words = f"its credentials are not accepted .the store answered {said}"
    with pytest.raises(TransferError, match=words):
        await client.upload(dataset_id, "s3://b/p/", config=config)
    broken.fault = lambda key, _: ""
    again = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert (again.complete, len(await stored(client, dataset_id))) == (True, 12)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("301", "is in another region; set AWS_REGION, or give"),
        ("400 AuthorizationHeaderMalformed", "is in another region; set AWS_REGION, or give"),
        ("404 NoSuchBucket", "the bucket does not exist"),
        ("404 ContainerNotFound", "the bucket does not exist"),
    ],
)
async def test_a_bucket_that_is_not_there(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, said: str, words: str
) -> None:
    """S3 leads to no address of one in another region; what to set is told."""
    broken.fault = lambda key, _: said
    config = UploadConfig(store_options=broken.options)
    with pytest.raises(ConfigurationError, match=words):
        await client.upload(dataset_id, "s3://b/p/", config=config)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("s3://b/none/", {}, "There is no object, and nothing below, s3://b/none/."),
        ("s3://b/p/*.png", {}, "No object matches s3://b/p/*.png."),
        ("s3://b/p/no.jpg", {}, "s3://b/p/no.jpg: it does not exist."),
        ("s3://AKIASENTINEL:pass@b/p", {}, "credentials have no place in it"),
        ("s3://AKIASENTINEL@b/p", {}, "An address with an @ is not an address in a store"),
        ("s3://b:9000/p", {}, "'s3://b:9000/p' is not an address in a store"),
        ("s3:///p", {}, "is not an address in a store"),
        ("s3://b/p//x.png", {}, "has empty or dotted parts"),
        ("s3://b/p/a\tb.png", {}, r"the key 'p/a\tb.png' has empty or dotted parts, or a control"),
        ("s3://b/p", {"colour": SECRET}, "does not know the option colour (options: a"),
        ("s3://b/p", {"skip_signature": SECRET}, "cannot use its options (options: a"),
        (
            "s3://b/p",
            {"endpoint": "127.0.0.1:9000"},
            "endpoint is not an address of a store, which is",
        ),
        ("s3://b/p", {"endpoint": "http://here:99999"}, "endpoint is not an address of a store"),
        ("s3://b/p", {"access_key_id": f"{ACCESS}\n"}, "access_key_id contains a line break"),
        ("s3://b/p", {"bucket": "a b"}, "s3://b/p: its address, options or cred"),
        ("az://b/p", {"endpoint": ""}, "is not an address of a store"),
        (
            "az://b/p",
            {"azure_msi_endpoint": "x"},
            "azure_msi_endpoint is not an address of a store",
        ),
        ("gs://b/p", {"base_url": "here"}, "base_url is not an address of a store"),
    ],
)
async def test_slips_are_told_before_anything_is_sent(
    client: DataGymClient,
    dataset_id: str,
    broken: BrokenStore,
    source: str,
    options: dict[str, str],
    words: str,
) -> None:
    """A wrong address or option is the error of the call, in words of ours, without secrets."""
    config = UploadConfig(store_options=broken.options | options)
    with pytest.raises(ConfigurationError) as caught:
        await client.upload(dataset_id, source, config=config)
    assert words in str(caught.value)
    assert all(each not in repr(caught.value) for each in (ACCESS, SECRET))


@pytest.mark.parametrize(
    ("source", "name", "value", "words"),
    [
        ("az://b/p", "OTHER", "", "az://b has no account; set AZURE_STORAGE_ACCOUNT_NAME"),
        ("az://b/p", "AZURE_STORAGE_ENDPOINT", "x", "{name} is not an address of a store"),
        ("s3://b/p", "AWS_ENDPOINT", "minio:9000", "{name} is not an address of a store"),
        ("s3://b/p", "AWS_ENDPOINT_URL", "minio:9000", "{name} is not an address of a store"),
        ("s3://b/p", "AWS_ENDPOINT_URL_S3", "minio:9000", "{name} is not an address of a store"),
        ("s3://b/p", "AWS_SECRET_ACCESS_KEY", f"{SECRET}\n", "{name} contains a line break"),
        ("s3://b/p", "AWS_DEFAULT_REGION", "a\n", "{name} contains a line break"),
        ("s3://b/p", "AWS_SKIP_SIGNATURE", SECRET, "cannot use its options (options: none were"),
    ],
)
async def test_slips_of_the_environment(
    client: DataGymClient,
    dataset_id: str,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    name: str,
    value: str,
    words: str,
) -> None:
    """They are told of by the name of the variable; what lacks is named too."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        await client.upload(dataset_id, source)
    assert words.format(name=name) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
async def test_the_environment_may_name_a_server_without_tls(
    client: DataGymClient,
    dataset_id: str,
    broken: BrokenStore,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """By each variable that holds its address; others, of whatever content, change nothing."""
    options = broken.options
    monkeypatch.setenv(name, options.pop("endpoint"))
    monkeypatch.setenv("AWS_CREDENTIALS", "[default]\nregion = here\n")
    config = UploadConfig(store_options=options)
    assert (await client.upload(dataset_id, "s3://b/p/", config=config)).uploaded == 12


async def test_no_credentials(
    client: DataGymClient, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to set, whichever way the machine has none."""
    monkeypatch.setattr("datagym_async._runs._stores._RETRIES", {"max_retries": 0})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    options = {"region": "here", "metadata_endpoint": "http://127.0.0.1:9", "allow_http": "true"}
    config = UploadConfig(store_options=options)
    with pytest.raises(ConfigurationError, match="there are no credentials for the store; set"):
        await client.upload(dataset_id, "s3://bucket/p/", config=config)


async def test_a_listing_that_is_refused(
    client: DataGymClient, dataset_id: str, broken: BrokenStore
) -> None:
    """It is a source that names nothing; others go on."""
    broken.fault = lambda key, _: "" if key else "403"
    config = UploadConfig(store_options=broken.options)
    report = await client.upload(dataset_id, ["s3://b/p/", "s3://b/p/01.jpg"], config=config)
    assert report.uploaded == 1
    assert [each.reason for each in report.problems] == [
        "s3://b/p: access is denied (the store answered 403 AccessDenied)."
    ]


async def test_a_listing_with_a_key_that_cannot_be_asked_for(
    client: DataGymClient, dataset_id: str, broken: BrokenStore
) -> None:
    """The key is named, with what to do about it."""
    broken.objects["p/../x.jpg"] = jpeg(2000)
    config = UploadConfig(store_options=broken.options)
    with pytest.raises(
        ConfigurationError, match=r"the key 'p/\.\./x\.jpg' has .* parts.*; rename it"
    ):
        await client.upload(dataset_id, "s3://b/p/", config=config)


def test_a_store_is_gone_after_so_many_failures_in_a_row() -> None:
    """Any other answer in between, also one against an object, begins the count anew."""
    stores, failed = Stores(), StoreError("no answer", trouble="passing")
    for between in (None, StoreError("it does not exist", trouble="gone")):
        for _ in range(7):
            stores.noted(failed)
        stores.noted(between)
    for _ in range(7):
        stores.noted(failed)
    with pytest.raises(StoreError, match="no answer"):
        stores.noted(failed)


async def test_reads_are_one_request_and_bounded(
    client: DataGymClient, dataset_id: str, broken: BrokenStore
) -> None:
    """A small image takes one request, what is none its first bytes, a large one its ranges."""
    broken.objects |= {"p/big.jpg": jpeg(9_000_000), "p/x.txt": b"t" * 100_000}
    broken.objects["p/photo"] = jpeg(5000, seed=99)  # what it is shows in its first bytes
    config = UploadConfig(store_options=broken.options)
    report = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert (report.uploaded, report.rejected) == (14, 1)
    held = {each.name: each.id for each in (await client.datasets.get(dataset_id)).media}
    assert await client.media.download(held["photo"]) == broken.objects["p/photo"]
    wanted = [each for key, each in broken.ranges if key == "p/photo"]
    assert wanted == ["bytes=0-63", "bytes=0-4999"]
    asked = dict(broken.ranges)
    assert all(broken.asked[f"p/{at:02}.jpg"] == 1 for at in range(12))
    assert asked["p/x.txt"] == "bytes=0-63"
    ranges = [wanted for key, wanted in broken.ranges if key == "p/big.jpg"]
    assert ranges == [
        "bytes=0-4095",
        "bytes=0-4194303",
        "bytes=4194304-8388607",
        "bytes=8388608-8999999",
    ]


async def test_a_list_in_a_store_that_cannot_be_read_is_no_empty_one(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, tmp_path: Path
) -> None:
    """It is named with its reason, others are uploaded, and the next run reads it."""
    broken.objects["list.txt"] = b"".join(f"s3://b/p/{at:02}.jpg\n".encode() for at in range(12))
    broken.fault = lambda key, asked: "403" if key == "list.txt" and asked > 1 else ""
    (tmp_path / "a.jpg").write_bytes(jpeg(2000))
    config = UploadConfig(store_options=broken.options)
    sources: list[Source] = [tmp_path / "a.jpg", "s3://b/list.txt"]
    report = await client.upload(dataset_id, sources, config=config)
    assert (report.uploaded, report.rejected, report.ok) == (1, 1, False)
    assert "s3://b/list.txt: access is denied" in report.problems[0].reason
    broken.fault = lambda key, _: ""
    again = await client.upload(dataset_id, sources, config=config)
    assert (again.uploaded, again.skipped, again.ok) == (12, 1, True)


@pytest.mark.parametrize("number", [2, 3, 4])
async def test_an_object_that_comes_short_is_not_stored(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, number: int
) -> None:
    """Whichever of its ranges has a byte less: half an image is none, and the others come."""
    broken.objects["p/big.jpg"] = jpeg(9_000_000)
    broken.fault = lambda key, asked: "short" if (key, asked) == ("p/big.jpg", number) else ""
    config = UploadConfig(store_options=broken.options)
    report = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert (report.uploaded, report.failed, report.complete) == (12, 1, True)
    assert "s3://b/p/big.jpg: the store cannot be reached, or" in report.problems[0].reason
    assert "big.jpg" not in await stored(client, dataset_id)
    assert (await client.upload(dataset_id, "s3://b/p/", config=config)).uploaded == 1
    assert (await stored(client, dataset_id))["big.jpg"] == broken.objects["p/big.jpg"]


async def test_files_do_not_wait_for_objects(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, tmp_path: Path
) -> None:
    """They are sent once as many objects are asked for as are read at once."""
    for at in range(5):
        (tmp_path / f"file {at}.jpg").write_bytes(jpeg(2000, seed=at))
    broken.objects = {f"p/{at:02}.jpg": jpeg(3000, seed=at) for at in range(90)}
    settled, files_are_sent = [], threading.Event()

    def note(event: UploadEvent) -> None:
        settled.append(event)
        if sum(isinstance(each, ItemSettled) for each in settled) == 5:
            files_are_sent.set()

    broken.fault = lambda key, _: "" if not key or files_are_sent.wait(30) else "500"
    config = UploadConfig(store_options=broken.options, on_event=note)
    report = await client.upload(dataset_id, [tmp_path, "s3://b/p/"], config=config)

    assert (report.uploaded, report.failed, report.complete) == (95, 0, True)


def test_a_listing_is_a_stream(broken: BrokenStore) -> None:
    """Its first object is there after its first page."""
    broken.objects = {f"p/{at:05}.jpg": b"x" for at in range(5000)}
    rules = Rules(stores=Stores(tuple(f"{k}={v}" for k, v in broken.options.items())))
    (leaf,) = leaves("s3://b/p/", rules)
    found = iter(leaf)  # type: ignore[arg-type]
    assert next(found).item.content == "s3://b/p/00000.jpg"
    assert broken.asked[""] <= 2
    assert sum(1 for _ in found) == 4999
    check_there(["s3://b/p/"], rules)


async def test_no_secret_is_kept_or_shown(
    client: DataGymClient,
    dataset_id: str,
    broken: BrokenStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in journal, report, texts of a configuration, log; what is no secret is kept."""
    caplog.set_level("DEBUG")
    broken.fault = lambda key, _: "403" if key == "p/03.jpg" else ""
    config = UploadConfig(store_options=broken.options, journal=tmp_path / "j.journal")
    report = await client.upload(dataset_id, "s3://b/p/", config=config)
    job = await asyncio.to_thread(show_job, tmp_path / "j.journal")
    assert set(job.options["store_options"]) == {f"endpoint={broken.url}", "region=us-east-1"}
    shown = f"{config!r}{report.to_json()}{report!r}{job!r}{caplog.text}"
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    for secret in (ACCESS, SECRET):
        assert secret not in shown
        assert secret.encode() not in kept
    with pytest.raises(ConfigurationError) as caught:
        UploadConfig(store_options=[SECRET])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("listed", ["", "bare", "weak"])
async def test_stores_list_etags_in_ways_of_their_own(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, listed: str, tmp_path: Path
) -> None:
    """Without quotes, or not at all, which is no change; then the time of an object tells one."""
    broken.listed_etags = listed
    config = UploadConfig(store_options=broken.options, journal=tmp_path / "j")
    assert (await client.upload(dataset_id, "s3://b/p/", config=config)).uploaded == 12
    broken.objects["p/05.jpg"], broken.minute = jpeg(3005, seed=99), 29
    again = await client.upload(dataset_id, "s3://b/p/", config=config)
    assert again.resumed == (11 if listed else 0)


@pytest.mark.parametrize("asked", [1, 2, 3])
async def test_leaving_early_leaves_nothing_behind(
    client: DataGymClient, dataset_id: str, broken: BrokenStore, asked: int
) -> None:
    """No task, whether the block is left or cancelled, whatever is being read or sent."""
    large = [jpeg(9_000_000, seed=at) for at in range(6)]
    broken.objects |= {f"p/large {at}.jpg": large[at] for at in range(3)}
    broken.latency = 0.005
    config = UploadConfig(store_options=broken.options)
    async with client.uploader(dataset_id, "s3://b/p/", config=config) as run:
        async for _ in run:
            break
    assert run.report.unsettled == 0
    # Of its own: on a slow machine the first ones may all have been read and sent by now.
    broken.objects |= {f"p/larger {at}.jpg": large[at] for at in range(3, 6)}
    begun, loop, left = asyncio.Event(), asyncio.get_running_loop(), threading.Event()

    def fault(key: str, number: int) -> str:
        if key.startswith("p/larger") and number == asked:
            loop.call_soon_threadsafe(begun.set)
            left.wait(30)
        return ""

    broken.fault = fault
    task = asyncio.create_task(client.upload(dataset_id, "s3://b/p/", config=config))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "Object.read" not in str(asyncio.all_tasks())
    left.set()


@pytest.mark.parametrize(
    ("root", "options"),
    [
        ("gs://bucket", ("anonymous=true",)),
        ("az://container", ("account_name=me", "skip_signature=true", "use_fabric_endpoint=true")),
        ("az://container", ("account_name=me", "account_key=c2VjcmV0IQ==", "timeout=5s")),
        ("s3://bucket", ("request_payer=true", "virtual_hosted_style_request=true")),
    ],
)
def test_other_services_are_opened_by_the_same_options(
    root: str, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address and options are enough, once; nothing is asked before something is read."""
    for scheme, name in (("s3", "AWS_ENDPOINT_URL"), ("az", "AZURE_STORAGE_ENDPOINT")):
        if not root.startswith(scheme):
            monkeypatch.setenv(name, "of another service")
    stores = Stores(options)
    assert root.partition("://")[2] in repr(stores.open(root))
    assert stores.open(root) is stores.open(root)


# A real S3 server.


async def test_thousands_of_objects_at_a_server_of_s3(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """Keys of odd names, a large one, stopped five times and resumed: each once, byte for byte."""
    odd = ["ü+%20#?&=.jpg", "a b/c'd\".jpg", "sub/deep/er/[x].jpg", "日本.jpg"]
    with moto_server() as endpoint:
        make_bucket(endpoint, "photos")
        options = s3(endpoint)
        store = opened("s3://photos", options)
        for at in range(300):
            store.put(f"set/{at % 7}/{at}.jpg", jpeg(2000, seed=at % 50))
        for name in odd:
            store.put(f"set/{name}", jpeg(3000))
        make_bucket(endpoint, "photos/set/0/")  # what a console shows as a folder, not an image
        store.put("set/large.jpg", jpeg(12_000_000, seed=1))
        config = UploadConfig(
            name="relative", store_options=options, journal=tmp_path / "j", max_files=45
        )
        for _ in range(5):
            report = await client.upload(dataset_id, "s3://photos/set/", config=config)
            assert not report.complete
        config = attrs.evolve(config, max_files=None)
        report = await client.upload(dataset_id, "s3://photos/set", config=config)
    assert (report.ok, report.planned) == (True, 305)
    held = await client.datasets.get(dataset_id)
    names = [each.name for each in held.media]
    assert [name for name in names if names.count(name) > 1] == []
    assert len(names) == 305
    assert set(odd) < set(names)
    (large,) = (each.id for each in held.media if each.name == "large.jpg")
    assert await client.media.download(large) == jpeg(12_000_000, seed=1)
