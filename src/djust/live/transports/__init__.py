"""How frames travel: a WebSocket, POSTs with an event stream, forms without JavaScript."""
