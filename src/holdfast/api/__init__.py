"""HTTP: the endpoint table, requests and answers. The only code that knows ASGI."""
