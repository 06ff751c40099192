import pytest

from agents.errors import LimitExceeded, OutputInvalid
from tests.agents.api.conftest import Call, Lines
from tests.agents.http_server import Server, json_reply

LINK = {"type": "link"}
CURSOR = {"type": "cursor", "cursorPath": "next", "items": "rows"}


async def test_link_headers_are_followed(call: Call, server: Server) -> None:
    server.answers = [json_reply([1, 2], link='</two?x=1>; rel="next", </>; rel="first"'), json_reply([3])]
    output = await call({"url": server.url("/one"), "pagination": LINK})
    assert output["data"] == [1, 2, 3]
    assert output["attempts"] == 2
    assert [received.target for received in server.received] == ["/one", "/two?x=1"]


async def test_a_link_to_another_host_gets_no_credentials(call: Call, server: Server, other_server: Server) -> None:
    server.answers = [json_reply([1], link=f'<{other_server.url()}>; rel="next"')]
    other_server.answers = [json_reply([2])]
    auth = {"type": "bearer", "token": "planted"}
    output = await call({"url": server.url(), "pagination": LINK, "auth": auth, "headers": {"Cookie": "a=b"}})
    assert output["data"] == [1, 2]
    assert not {"authorization", "cookie"} & set(other_server.received[0].headers)


async def test_cursors_are_sent_until_there_is_none(call: Call, server: Server) -> None:
    pages = [{"rows": [1], "next": "a b"}, {"rows": [2], "next": 7}, {"rows": [3], "next": None}]
    server.answers = [json_reply(page) for page in pages]
    output = await call({"url": server.url("/?q=1"), "pagination": CURSOR, "extract": "[?@ > `1`]"})
    assert output["data"] == [2, 3]
    expected = [{"q": "1"}, {"q": "1", "cursor": "a b"}, {"q": "1", "cursor": "7"}]
    assert [received.query for received in server.received] == expected


async def test_page_numbers_end_with_an_empty_page(call: Call, server: Server) -> None:
    server.answers = [json_reply([1]), json_reply([2]), json_reply([])]
    output = await call({"url": server.url(), "pagination": {"type": "page", "pageParam": "p", "start": 0}})
    assert output["data"] == [1, 2]
    assert [received.query for received in server.received] == [{"p": "0"}, {"p": "1"}, {"p": "2"}]


async def test_page_numbers_end_with_a_short_page(call: Call, server: Server) -> None:
    server.answers = [json_reply([1, 2]), json_reply([3])]
    pagination = {"type": "page", "pageSize": 2, "sizeParam": "n"}
    output = await call({"url": server.url(), "pagination": pagination})
    assert output["data"] == [1, 2, 3]
    assert server.received[1].query == {"page": "2", "n": "2"}


async def test_max_pages_ends_it_and_says_so(call: Call, server: Server, log: Lines) -> None:
    server.answers = [json_reply([1])]
    output = await call({"url": server.url(), "pagination": {"type": "page", "maxPages": 3}})
    assert output["data"] == [1, 1, 1]
    assert any("maxPages" in message for _, message in log.written)


@pytest.mark.parametrize("page", [json_reply({"rows": [], "next": "same"}), json_reply({"rows": [1], "next": "same"})])
async def test_a_cursor_that_repeats_is_an_error(call: Call, server: Server, page: bytes) -> None:
    server.answers = [page]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url(), "pagination": CURSOR})
    assert len(server.received) == 2


async def test_a_next_link_to_itself_is_an_error(call: Call, server: Server) -> None:
    server.answers = [json_reply([], link='</>; rel="next"')]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url(), "pagination": LINK})


async def test_next_links_that_go_round_are_an_error(call: Call, server: Server) -> None:
    server.answers = [json_reply([n], link=f'</{n % 3}>; rel="next"') for n in range(1, 9)]
    with pytest.raises(OutputInvalid, match="the pages never end"):
        await call({"url": server.url(), "pagination": LINK})
    assert len(server.received) == 4


async def test_items_that_are_no_list_are_named(call: Call, server: Server) -> None:
    server.answers = [json_reply({"rows": {"a": 1}})]
    with pytest.raises(OutputInvalid) as caught:
        await call({"url": server.url(), "pagination": CURSOR})
    assert caught.value.path == "pagination.items"


async def test_the_byte_limit_counts_all_pages(call: Call, server: Server) -> None:
    server.answers = [json_reply(["x" * 400])]
    with pytest.raises(LimitExceeded):
        await call({"url": server.url(), "pagination": {"type": "page"}, "maxResponseBytes": 1000})
    assert len(server.received) == 3


async def test_each_page_of_a_changing_method_has_its_own_idempotency_key(call: Call, server: Server) -> None:
    server.answers = [json_reply([1]), json_reply([2]), json_reply([])]
    await call({"method": "POST", "url": server.url(), "pagination": {"type": "page"}})
    keys = [received.headers["x-idempotency-key"] for received in server.received]
    assert keys == ["key-1", "key-1-page-2", "key-1-page-3"]
