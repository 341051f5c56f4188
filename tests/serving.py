"""A server for tests that are asked many things at once."""

from http.server import ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Where its queue is 5 long, as it is by default, a loaded machine loses some of many requests at once."""

    request_queue_size = 128
