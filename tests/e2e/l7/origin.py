"""A server that keeps the bytes it got, and answers what a test tells it to."""
import re
import socket
import threading

CHUNKED_END = re.compile(rb"\r\n0\r\n([^\r\n]+\r\n)*\r\n$")


class Origin:
    """Listens on loopback. Each connection's bytes are in `got`; `script` is sent once a head has come."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.got = b""
        self.script = None
        self.close_after = False
        threading.Thread(target=self._accept, daemon=True).start()

    def tell(self, script, close_after=False):
        """What every request is answered with from now on; forgets what came before."""
        with self.lock:
            self.got, self.script, self.close_after = b"", script, close_after

    def heard(self):
        with self.lock:
            return self.got

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        pending = b""
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                connection.close()
                return
            pending += data
            with self.lock:
                self.got += data
                script, close_after = self.script, self.close_after
            if b"\r\n\r\n" not in pending:
                continue
            head = pending.split(b"\r\n\r\n", 1)[0].lower()
            if b"transfer-encoding: chunked" in head and not CHUNKED_END.search(pending):
                continue
            pending = b""
            try:
                connection.sendall(script)
                if close_after:
                    connection.close()
                    return
            except OSError:
                return
