"""The real transport against a socket that misbehaves as servers do."""

from __future__ import annotations

import gzip
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from horror_pipeline.tmdb.transport import LARGEST_BODY_BYTES, ConnectionFailedError, Request, RequestsTransport

Serve = Callable[[socket.socket, int], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    """Starts a server that hands every accepted connection, with its number, to a function; gives its URL."""
    sockets: list[socket.socket] = []

    def start(handle: Serve) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def loop() -> None:
            number = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                number += 1
                threading.Thread(target=handle, args=(connection, number), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for one in sockets:
        one.close()


@pytest.fixture
def transport() -> Iterator[RequestsTransport]:
    made = RequestsTransport()
    yield made
    made.close()


def request(url: str, **extra: Any) -> Request:
    return Request(f"{url}/3/movie/1?language=en-US", {}, secret_query="api_key=SECRETKEY", **extra)


def replying(reply: bytes, heads: list[bytes] | None = None) -> Serve:
    """Answer each connection's first request with these bytes, then close it."""

    def handle(connection: socket.socket, _: int) -> None:
        with connection, suppress(OSError):
            head = read_head(connection)
            if heads is not None:
                heads.append(head)
            connection.sendall(reply)

    return handle


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            return b""
        head += piece
    return head


def well(connection: socket.socket, _: int) -> None:
    with connection:
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\n{}")


def test_connections_are_kept(serve: Callable[[Serve], str], transport: RequestsTransport) -> None:
    seen = []

    def handle(connection: socket.socket, number: int) -> None:
        seen.append(number)
        well(connection, number)

    url = serve(handle)
    for _ in range(5):
        assert transport(request(url)).body == b"{}"
    assert seen == [1]


def test_threads_share_a_transport_without_mixing_their_requests(
    serve: Callable[[Serve], str], transport: RequestsTransport
) -> None:
    def echo(connection: socket.socket, _: int) -> None:
        with connection:
            while head := read_head(connection):
                target = head.split(b" ")[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))

    url = serve(echo)

    def ask(number: int) -> bytes:
        return transport(Request(f"{url}/{number}", {}, secret_query=f"api_key={number}")).body

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(400))) == [f"/{number}?api_key={number}".encode() for number in range(400)]


def test_a_packed_answer_is_unpacked(serve: Callable[[Serve], str], transport: RequestsTransport) -> None:
    packed = gzip.compress(b'{"id": 1}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    assert transport(request(serve(replying(head.encode() + packed)))).body == b'{"id": 1}'


def test_a_connection_the_server_closed_meanwhile_is_not_used_again(
    serve: Callable[[Serve], str], transport: RequestsTransport
) -> None:
    url = serve(replying(OK))
    for _ in range(3):
        assert transport(request(url)).body == b"{}"
        time.sleep(0.02)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70_000, "cut"),
        (CHUNKED + b"4\r\nhalf\r\n", "cut"),
        (CHUNKED + b"400\r\nhalf", "cut"),
        (CHUNKED + b"zz\r\nhalf\r\n", "cut|failed"),
        (b"", "cut"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "BadStatusLine"),
        (GZIP + b"Content-Length: 4\r\n\r\nhalf", "compressed body is damaged"),
        (GZIP + b"Content-Length: 20\r\n\r\n" + gzip.compress(b"x" * 50)[:20], "compressed body ends too early"),
        (GZIP + b"\r\n" + gzip.compress(b"x" * 50)[:20], "compressed body ends too early"),
        (GZIP + b"Content-Length: 0\r\n\r\n", "compressed body ends too early"),
    ],
)
def test_half_an_answer_is_no_answer(
    serve: Callable[[Serve], str], transport: RequestsTransport, reply: bytes, reason: str
) -> None:
    with pytest.raises(ConnectionFailedError, match=reason) as caught:
        transport(request(serve(replying(reply))))
    assert caught.value.reached
    assert "SECRETKEY" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_half_a_stream_is_no_stream(serve: Callable[[Serve], str], transport: RequestsTransport) -> None:
    url = serve(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
    response = transport(request(url, is_stream=True))
    assert response.stream is not None
    assert response.stream.read(4) == b"half"
    with pytest.raises(ConnectionFailedError, match="cut"):
        response.stream.read(4)
    response.stream.close()


def test_an_answer_that_never_comes_times_out(serve: Callable[[Serve], str], transport: RequestsTransport) -> None:
    def handle(connection: socket.socket, _: int) -> None:
        read_head(connection)
        threading.Event().wait(3)
        connection.close()

    with pytest.raises(ConnectionFailedError, match="timed out"):
        transport(request(serve(handle), read_seconds=0.1))


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX: ", CHUNKED, CHUNKED + b"1;", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_that_trickles_is_ended(
    serve: Callable[[Serve], str], transport: RequestsTransport, head: bytes, is_stream: bool
) -> None:
    def trickle(connection: socket.socket, _: int) -> None:
        with connection, suppress(OSError):
            read_head(connection)
            connection.sendall(head)
            for _ in range(200):
                connection.sendall(b"1")
                time.sleep(0.02)

    started = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="timed out"):
        response = transport(request(serve(trickle), whole_seconds=0.3, is_stream=is_stream))
        assert response.stream is not None
        with response.stream as stream:
            while stream.read(100):
                pass
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_body_without_end_is_refused_while_it_is_read(
    serve: Callable[[Serve], str], transport: RequestsTransport, is_packed: bool
) -> None:
    sent = []

    def handle(connection: socket.socket, _: int) -> None:
        packer = gzip.zlib.compressobj(wbits=31)  # type: ignore[attr-defined]
        with connection, suppress(OSError):
            read_head(connection)
            connection.sendall((GZIP if is_packed else b"HTTP/1.1 200 OK\r\n") + b"\r\n")
            for _ in range(3_000):
                piece = bytes(1 << 20)
                connection.sendall(packer.compress(piece) if is_packed else piece)
                sent.append(len(piece))

    with pytest.raises(ConnectionFailedError, match="the body is larger than 8,388,608 bytes"):
        transport(request(serve(handle)))
    time.sleep(0.1)
    assert is_packed or sum(sent) < LARGEST_BODY_BYTES + (16 << 20)


def test_a_stream_is_not_read_ahead(serve: Callable[[Serve], str], transport: RequestsTransport) -> None:
    response = transport(request(serve(well), is_stream=True))
    assert response.body == b""
    assert response.stream is not None
    assert response.stream.read(10) == b"{}"
    response.stream.close()


def test_a_closed_port_was_never_reached(transport: RequestsTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match="refused") as caught:
        transport(request(f"http://127.0.0.1:{port}"))
    assert not caught.value.reached


def test_the_address_that_was_reached_is_tried_first(
    serve: Callable[[Serve], str], transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(serve(replying(OK)).rsplit(":", 1)[1])
    looked_up: list[str] = []

    def addresses(host: str, *_: Any) -> list[Any]:
        looked_up.append(host)
        numbers = ("127.0.0.9", "127.0.0.1") if host == "tmdb.test" else (host,)  # the first refuses
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    for _ in range(3):
        assert transport(request(f"http://tmdb.test:{port}")).body == b"{}"
        time.sleep(0.02)
    assert looked_up == ["tmdb.test", "127.0.0.1", "127.0.0.1"]


# -- nothing of the credential, and nobody else's ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        OK,
        b"",
        b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken header\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
@pytest.mark.parametrize("is_closed", [False, True])
def test_the_credential_is_sent_and_in_no_log(
    serve: Callable[[Serve], str],
    transport: RequestsTransport,
    caplog: pytest.LogCaptureFixture,
    reply: bytes,
    is_closed: bool,
) -> None:
    heads: list[bytes] = []
    for name in ("", "urllib3", "urllib3.connectionpool", "urllib3.connection", "requests", "http.client"):
        caplog.set_level(logging.DEBUG, logger=name)
    made = request("http://127.0.0.1:9" if is_closed else serve(replying(reply, heads)))
    try:
        transport(made)
    except ConnectionFailedError as error:
        logging.getLogger().exception("a failure: %r, %s", error, made)
    assert is_closed or heads[0].startswith(b"GET /3/movie/1?language=en-US&api_key=SECRETKEY HTTP/1.1\r\n")
    logged = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "/3/movie/1" in logged  # the logs were on
    assert "SECRETKEY" not in logged


def test_no_redirect_is_followed_and_none_is_read_to_its_end(
    serve: Callable[[Serve], str], transport: RequestsTransport
) -> None:
    elsewhere: list[bytes] = []
    head = (
        f"HTTP/1.1 302 Found\r\nLocation: {serve(replying(OK, elsewhere))}/3/movie/1\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    assert transport(request(serve(replying(head.encode())))).status == 302
    endless = head.replace("Content-Length: 2", f"Content-Length: {LARGEST_BODY_BYTES * 2}") + "x" * LARGEST_BODY_BYTES
    with pytest.raises(ConnectionFailedError, match="larger"):
        transport(request(serve(replying(endless.encode() + b"x" * LARGEST_BODY_BYTES))))
    assert elsewhere == []


def test_neither_netrc_nor_cookies_are_sent(
    serve: Callable[[Serve], str], transport: RequestsTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password NETRC\ndefault login me password NETRC\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    heads: list[bytes] = []
    url = serve(replying(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=1; Path=/\r\nConnection: close\r\n\r\n"), heads))
    for _ in range(2):
        transport(request(url))
    assert len(heads) == 2
    assert not any(b"authorization" in head.lower() or b"cookie" in head.lower() for head in heads)


def test_https_goes_through_the_proxy_of_the_environment_and_plain_http_never(
    serve: Callable[[Serve], str], transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    proxy = serve(replying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", heads))
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.replace("//", "//user:word@"))
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConnectionFailedError, match="the proxy could not be used") as caught:
        transport(request("https://tmdb.test"))
    assert not caught.value.reached
    assert heads[0].startswith(b"CONNECT tmdb.test:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic " in heads[0]
    assert b"SECRETKEY" not in heads[0]
    assert transport(request(serve(well))).body == b"{}"
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    with pytest.raises(ConnectionFailedError, match="refused"):
        transport(request("https://127.0.0.1:9"))
    assert len(heads) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_certificates_of_requests_ca_bundle_are_trusted_and_no_others(
    serve: Callable[[Serve], str], transport: RequestsTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "both.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(  # noqa: S603
        [*make.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
    )
    pem.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def handle(connection: socket.socket, number: int) -> None:
        with suppress(OSError):
            well(context.wrap_socket(connection, server_side=True), number)

    url = serve(handle).replace("http:", "https:")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with pytest.raises(ConnectionFailedError, match="TLS certificate"):
        transport(request(url))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    for _ in range(2):
        assert transport(request(url)).body == b"{}"
