import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_socket

from tests.live.processes import connect, get, head, read, run, send, tiny

MIB = 1024 * 1024


def is_refused(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(condition, *, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- Stopping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_running_request_is_answered_while_the_server_stops(number):
    with tiny() as server:
        answer = send(server.port, "/slow?1")
        server.wait_for("BEGUN")
        server.signal(number)
        wait_until(lambda: is_refused(server.port))
        assert server.popen.poll() is None
        answer = read(answer)
        assert (answer.status, answer.body) == (200, b"whole")
        assert answer.headers["connection"] == "close"
        assert server.end() == 0
        assert server.lines[-2:] == ["BACKGROUND STOPPED", "ENDED"]


def test_queued_requests_are_answered_while_the_server_stops():
    with tiny(admitted=1) as server:
        answers = [send(server.port, "/block?0.3") for _ in range(5)]
        server.wait_for("BEGUN")
        server.signal()
        assert [read(answer).status for answer in answers] == [200] * 5
        assert server.end() == 0


def test_a_request_whose_body_still_comes_is_answered_while_the_server_stops():
    with tiny() as server:
        connection = connect(server.port)
        connection.sendall(head("POST", "/size", Content_Length="6") + b"abc")
        get(server.port, "/state")  # sent after it, so the server has seen the beginning
        server.signal()
        wait_until(lambda: is_refused(server.port))
        connection.sendall(b"def")
        assert read(connection).body == b"6"
        assert server.end() == 0


def test_an_answer_that_is_read_slowly_is_not_cut():
    with tiny() as server:
        connection = send(server.port, "/big")
        server.wait_for("BEGUN")
        server.signal()
        wait_until(lambda: is_refused(server.port))
        assert len(read(connection).body) == 8 * MIB
        assert server.end() == 0


def test_clients_that_keep_their_connections_lose_no_request_when_the_server_stops():
    with tiny(admitted=16) as server:
        cut = []
        answered = []

        def ask_again_and_again():
            connection = connect(server.port)
            while True:
                try:
                    connection.sendall(head("GET", "/block?0.01"))
                    answer = read(connection)
                except (AssertionError, OSError) as error:
                    cut.append(error)
                    return
                answered.append(answer.status)
                if answer.headers.get("connection") == "close":
                    return

        clients = [threading.Thread(target=ask_again_and_again) for _ in range(12)]
        for client in clients:
            client.start()
        wait_until(lambda: len(answered) > 100)
        server.signal()
        for client in clients:
            client.join(20)
        assert cut == []
        assert set(answered) == {200}
        assert server.end() == 0


def test_an_idle_connection_does_not_hold_the_server():
    with tiny() as server:
        connection = connect(server.port)
        connection.sendall(head("GET", "/size"))
        read(connection)
        began = time.monotonic()
        server.signal()
        assert server.end() == 0
        assert time.monotonic() - began < 5
        assert connection.recv(1) == b""


def test_a_long_poll_is_told_of_the_stop_and_answers_early():
    with tiny() as server:
        connection = send(server.port, "/wait")
        server.wait_for("BEGUN")
        server.signal()
        assert read(connection).body == b"nothing yet"
        assert server.end() == 0


@pytest.mark.parametrize("is_reaped", [False, True], ids=["just opened", "open for a while"])
def test_sockets_are_closed_with_service_restart(is_reaped):
    with tiny() as server, ExitStack() as stack:
        address = f"ws://127.0.0.1:{server.port}/"
        sockets = [stack.enter_context(connect_socket(address, proxy=None)) for _ in range(4)]
        if is_reaped:
            # Until then the request from which a socket came is a connection without an application.
            wait_until(lambda: get(server.port, "/state").json()["ended"] <= 1)
        server.signal()
        for socket_ in sockets:
            with pytest.raises(ConnectionClosed) as closed:
                socket_.recv(timeout=20)
            assert closed.value.rcvd.code == 1012
        assert server.end() == 0
        assert server.lines.count("SOCKET LEFT 1012") == 4
        assert not [line for line in server.lines if "Traceback" in line or "KeyError" in line]


def test_a_socket_that_does_not_answer_the_close_does_not_hold_the_server():
    with tiny() as server:
        connection = connect(server.port)
        key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
        connection.sendall(head("GET", "/", Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", **key))
        assert b"101" in connection.recv(4096)
        server.signal()
        assert connection.recv(4096) == b"\x88\x02" + (1012).to_bytes(2, "big")
        assert server.end() == 0


def test_the_drain_ends_when_its_time_is_over():
    with tiny(drain_seconds=1, admitted=1) as server:
        running = send(server.port, "/slow?60")
        server.wait_for("BEGUN")
        queued = send(server.port, "/api/v1/slow?60")
        waiting = send(server.port, "/api/v1/sessions/s/commands?wait=60")
        server.wait_for("BEGUN /api/v1/sessions")
        began = time.monotonic()
        server.signal()
        for answer in (read(queued), read(waiting)):  # of these nothing was done
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert answer.json()["code"] == "unavailable"
        assert running.recv(1) == b""
        assert server.end() == 0
        assert 1 <= time.monotonic() - began < 8
        assert [line for line in server.lines if "BACKGROUND STOPPED" in line]


@pytest.mark.slow
def test_a_thread_that_does_not_end_does_not_hold_the_server():
    with tiny(drain_seconds=0) as server:
        stuck = send(server.port, "/block?60")
        server.wait_for("BEGUN")
        began = time.monotonic()
        server.signal()
        assert stuck.recv(1) == b""
        assert server.end() == 0
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_second_signal_hastens(number):
    with tiny(drain_seconds=60) as server:
        running = send(server.port, "/slow?60")
        server.wait_for("BEGUN")
        server.signal()
        wait_until(lambda: is_refused(server.port))
        began = time.monotonic()
        server.signal(number)
        assert running.recv(1) == b""
        assert server.end() == 0
        assert time.monotonic() - began < 8


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("unshare") is None, reason="needs a process space of its own")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_first_process_of_a_container_stops_too(number):
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-m", "tests.live.tiny", "{}"]
    if subprocess.run([*command[:3], "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system allows no process space")
    with run(*command) as server:
        server.port = int(server.wait_for("PORT ").split()[1])
        (child,) = Path(f"/proc/{server.popen.pid}/task/{server.popen.pid}/children").read_text().split()
        answer = send(server.port, "/slow?0.5")
        server.wait_for("BEGUN")
        os.kill(int(child), number)
        assert read(answer).body == b"whole"
        assert server.end() == 0
        assert server.lines[-1] == "ENDED"


# --- Bodies ------------------------------------------------------------------------------------------------


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent():
    with tiny() as server:
        with connect(server.port) as connection:
            connection.sendall(head("POST", "/api/v1/size", Content_Length=str(MIB + 1)))
            answer = read(connection)
        assert answer.status == 413
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["status"]) == ("too_large", 413)
        assert "1 MiB" in problem["detail"]
        assert get(server.port, "/size", method="POST", body=b"x" * MIB).body == str(MIB).encode()


def test_a_client_that_asks_first_is_not_told_to_go_on():
    with tiny() as server, connect(server.port) as connection:
        connection.sendall(head("POST", "/size", Content_Length=str(MIB + 1), Expect="100-continue"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_cut_where_it_passes_the_limit():
    with tiny() as server:
        with connect(server.port) as connection:
            connection.sendall(head("POST", "/v1/sessions", Transfer_Encoding="chunked"))
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            connection.sendall(chunk * 16)
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)  # a megabyte is allowed
            connection.settimeout(20)
            connection.sendall(b"1\r\nx\r\n")
            answer = read(connection)
            assert answer.status == 413
            assert answer.json() == {
                "error": {"key": "too_large", "message": "The body is larger than the limit of 1 MiB."}
            }
            # Whoever reads only after all is sent has to see the answer, so the rest is taken and forgotten.
            connection.sendall(chunk * 64 + b"0\r\n\r\n")
            assert connection.recv(1) == b""
        assert get(server.port, "/state").json()["spooled"] == 0


def test_all_bodies_together_have_a_limit():
    with tiny(max_body=200_000) as server:
        part = head("POST", "/v1/size", Content_Length="200000") + b"x" * 199_999
        held = []
        for _ in range(8):
            connection = connect(server.port)
            connection.sendall(part)
            held.append(connection)
        wait_until(lambda: get(server.port, "/state").json()["held"] == 8 * 199_999)
        with connect(server.port) as connection:
            connection.sendall(part)
            answer = read(connection)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        held.pop().close()
        for connection in held:
            connection.sendall(b"x")
            assert read(connection).body == b"200000"
        assert get(server.port, "/size", method="POST", body=b"x" * 200_000).body == b"200000"


def test_bodies_lie_in_memory_up_to_a_limit_and_the_rest_in_files():
    size = 2 * 1024 * 1024 - 1

    def facts():
        found = get(server.port, "/state").json()
        return found["in_memory"] // size, found["spooled"], found["held"] // 1000

    with tiny(max_body=2 * size) as server:
        connections = [connect(server.port) for _ in range(19)]
        for connection in connections:
            connection.sendall(head("POST", "/size", Content_Length=str(size)) + b"x" * 1000)
        wait_until(lambda: facts() == (16, 3, 19))
        for connection in connections:
            connection.sendall(b"x" * (size - 1000))
            assert read(connection).body == str(size).encode()
            connection.close()
        assert facts() == (0, 0, 0)


def test_a_form_is_left_to_the_application():
    with tiny() as server:
        kind = {"Content_Type": "multipart/form-data"}  # Without a boundary Twisted would call it a bad request.
        answer = get(server.port, "/size", method="POST", body=b"12345", **kind)
        assert (answer.status, answer.body) == (200, b"5")


def test_a_malformed_request_is_answered_in_the_form_of_its_door():
    with tiny() as server:
        answer = get(server.port, "/v1/sessions", X_Odd="\x0b")
        assert (answer.status, answer.json()["error"]["key"]) == (400, "invalid_request")


def test_an_application_that_fails_is_answered_in_the_form_of_its_door():
    with tiny() as server:
        answer = get(server.port, "/api/v1/fail")
        assert (answer.status, answer.json()["code"]) == (500, "internal")
        assert get(server.port, "/size").status == 200


@pytest.mark.parametrize(
    "lines",
    [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 0", f"Content-Length: {'9' * 5000}",
        "Content-Length: +5", "Content-Length : 5", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    ],
)  # fmt: skip
def test_nobody_hides_a_request_in_the_body_of_another(lines):
    hidden = b"0\r\n\r\nGET /state HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with tiny() as server, connect(server.port) as connection:
        connection.sendall(f"POST /size HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n".encode() + hidden)
        told = b""
        while piece := connection.recv(4096):
            told += piece
        head, body = told.split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
        assert b"not as HTTP has them" in body


def test_no_client_says_where_we_are_mounted():
    with tiny() as server:
        assert get(server.port, "/state", Daphne_Root_Path="//evil.example").json()["root"] == ""


# --- Listening ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"), [(200, "OK"), (422, "Unprocessable "), (429, "Too Many Requests"), (599, "Unknown Status")]
)
def test_a_status_is_told_in_the_words_of_http(status, words):
    with tiny() as server, send(server.port, f"/status?{status}") as connection:
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status} {words}".encode())


def test_no_answer_tells_what_the_server_is_made_of():
    with tiny() as server:
        assert "server" not in get(server.port, "/size").headers
        with connect_socket(f"ws://127.0.0.1:{server.port}/", proxy=None) as socket_:
            assert "server" not in socket_.response.headers


def test_sockets_carry_messages_of_a_whole_content():
    with tiny() as server, connect_socket(f"ws://127.0.0.1:{server.port}/", proxy=None, max_size=None) as socket_:
        socket_.send("x" * 16 * MIB)
        assert len(socket_.recv(timeout=20)) == 16 * MIB


def test_rejected_sockets_do_not_disturb_the_others():
    with tiny() as server:
        with connect_socket(f"ws://127.0.0.1:{server.port}/", proxy=None) as socket_:
            for _ in range(3):
                with pytest.raises(Exception, match="403"):
                    connect_socket(f"ws://127.0.0.1:{server.port}/reject", proxy=None)
            socket_.send("still here")
            assert socket_.recv(timeout=20) == "still here"
        assert not [line for line in server.lines if "Traceback" in line]
